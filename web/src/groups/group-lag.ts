import { formatCount } from "../lib/format";
import type { Group } from "../api/groups";

export const STATE_TONES = { empty: "plain", stable: "good", rebalancing: "warn" } as const;

/** Records that the group has yet to commit; null where a lag is not known. */
export function lagRecords({ positions }: Group): number | null {
  if (positions.some((position) => position.lag == null)) return null;
  return positions.reduce((sum, position) => sum + (position.lag ?? 0), 0);
}

/** How far the partition that is furthest behind is, in milliseconds. */
export function lagMs({ positions }: Group): number | null {
  const known = positions.flatMap((position) => position.lag_ms ?? []);
  return known.length > 0 ? Math.max(...known) : null;
}

export const countOrUnknown = (count: number | null | undefined) =>
  count == null ? "?" : formatCount(count);
