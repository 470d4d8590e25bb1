import { LoaderCircle } from "lucide-react";
import type { ComponentProps, ReactNode } from "react";
import { cx } from "./classes";

type Variant = "primary" | "plain" | "ghost" | "danger";

const VARIANTS: Record<Variant, string> = {
  primary: "bg-accent text-on-accent hover:brightness-110 font-medium",
  plain: "bg-panel border border-line-strong text-ink hover:bg-sunken",
  ghost: "text-soft hover:bg-sunken hover:text-ink",
  danger: "bg-bad-fill text-white hover:brightness-110 font-medium",
};

const SHAPE =
  "inline-flex items-center justify-center gap-1.5 rounded-md whitespace-nowrap transition-[background,filter] " +
  "disabled:opacity-50 aria-disabled:opacity-50 select-none";

export function buttonClass(variant: Variant = "plain", small = false) {
  return cx(SHAPE, VARIANTS[variant], small ? "h-7 px-2 text-[13px]" : "h-8 px-3");
}

interface ButtonProps extends ComponentProps<"button"> {
  variant?: Variant;
  small?: boolean;
  busy?: boolean;
  icon?: ReactNode;
}

export function Button({ variant, small, busy, icon, className, children, disabled, ...rest }: ButtonProps) {
  return (
    <button
      type="button"
      className={cx(buttonClass(variant, small), className)}
      disabled={disabled || busy}
      aria-busy={busy || undefined}
      {...rest}
    >
      {busy ? <LoaderCircle className="size-4 animate-spin" aria-hidden /> : icon}
      {children}
    </button>
  );
}

interface IconButtonProps extends ComponentProps<"button"> {
  label: string;
}

export function IconButton({ label, className, children, ...rest }: IconButtonProps) {
  return (
    <button
      type="button"
      aria-label={label}
      title={label}
      className={cx(
        "inline-flex size-8 shrink-0 items-center justify-center rounded-md text-soft hover:bg-sunken hover:text-ink disabled:opacity-50",
        className,
      )}
      {...rest}
    >
      {children}
    </button>
  );
}
