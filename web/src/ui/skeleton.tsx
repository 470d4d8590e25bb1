import { cx } from "./classes";

/** Grey bars of the height of what is to come, so that nothing moves when it does. */
export function Skeleton({ rows = 1, className }: { rows?: number; className?: string }) {
  return (
    <div role="status" aria-label="Loading" className={cx("flex flex-col gap-3", className)}>
      {Array.from({ length: rows }, (_, row) => (
        <div key={row} className="h-5 animate-pulse rounded bg-sunken" style={{ width: `${100 - (row % 3) * 14}%` }} />
      ))}
    </div>
  );
}
