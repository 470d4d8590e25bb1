import { createContext, type ComponentProps, type ReactNode, useContext, useId } from "react";
import { cx } from "./classes";

const INPUT =
  "w-full min-w-0 rounded-md border border-line-strong bg-panel px-2.5 text-ink disabled:bg-sunken disabled:text-faint " +
  "aria-invalid:border-bad";

/** A field's control finds its label and its explanation here. */
const FieldIds = createContext<{ id: string; describedBy?: string; invalid: boolean } | null>(null);

interface FieldProps {
  label: ReactNode;
  help?: ReactNode;
  error?: string | null;
  className?: string;
  children: ReactNode;
}

export function Field({ label, help, error, className, children }: FieldProps) {
  const id = useId();
  const helpId = `${id}-help`;
  const describedBy = help || error ? helpId : undefined;
  return (
    <div className={cx("flex min-w-0 flex-col gap-1", className)}>
      <label htmlFor={id} className="text-[13px] font-medium">
        {label}
      </label>
      <FieldIds.Provider value={{ id, describedBy, invalid: Boolean(error) }}>{children}</FieldIds.Provider>
      {describedBy && (
        <p id={helpId} className={cx("text-[12.5px]", error ? "text-bad" : "text-faint")}>
          {error ?? help}
        </p>
      )}
    </div>
  );
}

function useFieldProps() {
  const ids = useContext(FieldIds);
  if (!ids) return {};
  return { id: ids.id, "aria-describedby": ids.describedBy, "aria-invalid": ids.invalid || undefined };
}

export function Input({ className, ...rest }: ComponentProps<"input">) {
  return <input {...useFieldProps()} className={cx(INPUT, "h-8", className)} {...rest} />;
}

export function TextArea({ className, ...rest }: ComponentProps<"textarea">) {
  return <textarea {...useFieldProps()} className={cx(INPUT, "py-1.5 font-mono text-[12.5px]", className)} {...rest} />;
}

export function Select({ className, ...rest }: ComponentProps<"select">) {
  return <select {...useFieldProps()} className={cx(INPUT, "h-8 pr-1", className)} {...rest} />;
}

interface CheckboxProps extends Omit<ComponentProps<"input">, "type"> {
  label: ReactNode;
}

export function Checkbox({ label, className, ...rest }: CheckboxProps) {
  return (
    <label className={cx("flex items-start gap-2", className)}>
      <input type="checkbox" className="mt-0.5 size-4 shrink-0 accent-(--accent)" {...rest} />
      <span>{label}</span>
    </label>
  );
}
