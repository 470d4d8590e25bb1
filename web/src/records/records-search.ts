import type { RecordFilter } from "../lib/filter";

export type From = "tail" | "earliest" | "offset" | "time";

/** What is looked at, all of it in the address: a link shows a colleague the same. */
export interface RecordsSearch extends RecordFilter {
  /** All partitions where there is none. */
  partition?: number;
  from?: From;
  /** How many of the newest records, with `from` tail. */
  n?: number;
  offset?: number;
  /** A time in RFC 3339. */
  at?: string;
  live?: boolean;
  /** The record that is open, as `partition:offset`. */
  record?: string;
}

export const TAIL_DEFAULT = 100;
export const TAIL_MAX = 10_000;

const whole = (value: unknown): number | undefined => {
  const number = Number(value);
  return value !== undefined && value !== "" && Number.isSafeInteger(number) && number >= 0
    ? number
    : undefined;
};

const text = (value: unknown): string | undefined =>
  value === undefined || value === "" ? undefined : String(value);

/** Whether it is a record's place, `partition:offset`. */
export const isRecordId = (value: unknown): value is string =>
  typeof value === "string" && /^\d+:\d+$/.test(value);

export function readRecordsSearch(search: Record<string, unknown>): RecordsSearch {
  const from = ["earliest", "offset", "time"].includes(search.from as string)
    ? (search.from as From)
    : undefined;
  return {
    partition: whole(search.partition),
    from,
    n: whole(search.n),
    offset: whole(search.offset),
    at: text(search.at),
    live: search.live === true || undefined,
    key: text(search.key),
    header: text(search.header),
    text: text(search.text),
    path: text(search.path),
    record: isRecordId(search.record) ? search.record : undefined,
  };
}

export const filterOf = ({ key, header, text: words, path }: RecordsSearch): RecordFilter => ({
  key,
  header,
  text: words,
  path,
});

/** Where reading begins, as the API's query says it. Offsets are of one partition. */
export function startQuery({ from, n, offset, at, partition }: RecordsSearch): Record<string, string> {
  if (from === "earliest") return { from: "earliest" };
  if (from === "offset" && partition !== undefined) return { offset: String(offset ?? 0) };
  if (from === "time" && at) return { at };
  return { from: `tail-${Math.min(n ?? TAIL_DEFAULT, TAIL_MAX)}` };
}
