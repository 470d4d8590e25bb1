import type { ReactNode } from "react";
import { cx } from "./classes";

interface PageProps {
  title: ReactNode;
  /** For the window's title where `title` is more than text. */
  name?: string;
  lead?: ReactNode;
  actions?: ReactNode;
  children: ReactNode;
}

export function Page({ title, name, lead, actions, children }: PageProps) {
  const text = name ?? (typeof title === "string" ? title : "");
  return (
    <div className="mx-auto w-full max-w-[1440px] px-4 py-5 sm:px-6">
      <title>{text ? `${text} - Headwater` : "Headwater"}</title>
      <div className="mb-5 flex flex-wrap items-start gap-x-4 gap-y-3">
        <div className="min-w-0 flex-1 basis-64">
          <h1 className="text-xl font-semibold tracking-tight break-words">{title}</h1>
          {lead && <p className="mt-1 max-w-prose text-soft">{lead}</p>}
        </div>
        {actions && <div className="flex flex-wrap gap-2">{actions}</div>}
      </div>
      {children}
    </div>
  );
}

interface PanelProps {
  title?: ReactNode;
  help?: ReactNode;
  actions?: ReactNode;
  flush?: boolean;
  className?: string;
  children: ReactNode;
}

export function Panel({ title, help, actions, flush, className, children }: PanelProps) {
  return (
    <section className={cx("min-w-0 rounded-xl border bg-panel", flush && "overflow-hidden", className)}>
      {title && (
        <div className="flex min-h-12 flex-wrap items-center gap-x-3 gap-y-1 border-b px-4 py-2">
          <div className="min-w-0 flex-1">
            <h2 className="font-semibold">{title}</h2>
            {help && <p className="text-[12.5px] text-faint">{help}</p>}
          </div>
          {actions}
        </div>
      )}
      <div className={flush ? "" : "p-4"}>{children}</div>
    </section>
  );
}

/** A number with its name. */
export function Stat({ name, value, note }: { name: string; value: ReactNode; note?: ReactNode }) {
  return (
    <div className="min-w-0 rounded-xl border bg-panel px-4 py-3">
      <p className="text-[12.5px] text-faint">{name}</p>
      <p className="mt-0.5 truncate text-lg font-semibold tabular-nums">{value}</p>
      <p className="line-clamp-2 min-h-[1.2em] text-[12.5px] text-faint">{note}</p>
    </div>
  );
}

interface EmptyProps {
  icon: ReactNode;
  title: string;
  children?: ReactNode;
  action?: ReactNode;
}

/** What stands where there is nothing yet, and how there comes to be something. */
export function Empty({ icon, title, children, action }: EmptyProps) {
  return (
    <div className="mx-auto flex max-w-2xl flex-col items-center px-4 py-12 text-center">
      <div className="mb-3 flex size-11 items-center justify-center rounded-full bg-accent-wash text-accent-ink">
        {icon}
      </div>
      <p className="text-base font-semibold">{title}</p>
      {action && <div className="mt-4">{action}</div>}
      {children && <div className="mt-3 w-full text-soft">{children}</div>}
    </div>
  );
}

type Tone = "plain" | "good" | "warn" | "bad" | "accent";

const TONES: Record<Tone, string> = {
  plain: "bg-sunken text-soft",
  good: "bg-good-wash text-good",
  warn: "bg-warn-wash text-warn",
  bad: "bg-bad-wash text-bad",
  accent: "bg-accent-wash text-accent-ink",
};

export function Badge({ tone = "plain", children }: { tone?: Tone; children: ReactNode }) {
  return (
    <span
      className={cx(
        "inline-flex items-center rounded px-1.5 py-px text-[12px] font-medium whitespace-nowrap",
        TONES[tone],
      )}
    >
      {children}
    </span>
  );
}
