import { ReceivedRecord } from './record.js';
import { answered, withRetries, within, type RetryOptions } from './retry.js';
import { fetchTopic, type Gap } from './streaming/index.js';
import type { Client } from './streaming/client/index.js';

/** Where to start reading, if not at a cursor. */
export interface Start {
  /** The cursor of an earlier page: read on behind it. */
  cursor?: string;
  /** `earliest`, `latest` or `tail-N`. */
  from?: string;
  /** The first record at that time or later: RFC 3339, or milliseconds since the epoch. */
  at?: string;
}

/** How to read. */
export interface ConsumeOptions extends Start, RetryOptions {
  /** Go on waiting at the end (the default), or end there. */
  follow?: boolean;
  /** Records of a page at most; 500 by default. */
  maxRecords?: number;
  /** How long one call waits at the end, in milliseconds; 30 000 by default, 60 000 at most. */
  waitMs?: number;
  /** Ends the loop, by an exception. */
  signal?: AbortSignal;
}

/** Some records, and where to read on. */
export interface Page {
  records: ReceivedRecord[];
  /** Keep it where the records' effects are kept: reading starts behind them. */
  cursor: string;
  /** Offsets that retention took before they were read. */
  gaps: Gap[];
}

/** Reads all partitions, page by page; of each partition in offset order. */
export async function* consume(
  client: Client,
  topic: string,
  options: ConsumeOptions = {},
): AsyncGenerator<Page, void, undefined> {
  const { follow = true, maxRecords = 500, signal } = options;
  const wait_ms = follow ? (options.waitMs ?? 30_000) : 0;
  let start = startQuery(options, 'earliest');
  for (;;) {
    const call = () =>
      answered(
        fetchTopic({
          client,
          path: { topic },
          query: { ...start, max_records: maxRecords, wait_ms, encoding: 'base64' },
          signal: within(wait_ms + 30_000, signal),
        }),
      );
    const page = await withRetries(call, true, options, signal);
    start = { cursor: page.cursor };
    if (page.records.length > 0 || page.gaps.length > 0) {
      const records = page.records.map((record) => new ReceivedRecord(record));
      yield { records, cursor: page.cursor, gaps: page.gaps };
    }
    const atEnd = page.partitions.every(({ next_offset, high_watermark }) => next_offset >= high_watermark);
    if (atEnd && !follow) return;
  }
}

/** The one parameter that says where to start. */
export function startQuery({ cursor, from, at }: Start, otherwise: string): Start {
  if (cursor !== undefined) return { cursor };
  if (at !== undefined) return { at };
  return { from: from ?? otherwise };
}
