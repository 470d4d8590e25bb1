import { startQuery, type Page, type Start } from './consume.js';
import { EventParser, type ServerEvent } from './events.js';
import { shouldRetry, toError } from './problem.js';
import { ReceivedRecord } from './record.js';
import { answered, sleep, waitMs, withRetries, within, type RetryOptions } from './retry.js';
import { fetchTopic, type RecordOutput } from './streaming/index.js';
import type { Client } from './streaming/client/index.js';

/** How to follow a topic. */
export interface TailOptions extends Start, RetryOptions {
  /**
   * A connection that says nothing for so long is taken for dead, in milliseconds; 45 000 by default.
   * The service sends a heartbeat every 15 s.
   */
  silenceMs?: number;
  /** Ends the loop, by an exception. */
  signal?: AbortSignal;
}

/** What was followed: records, and the cursor behind them. */
export type Batch = Pick<Page, 'records' | 'cursor'>;

/**
 * Follows a topic over one connection, from its end by default. When the connection breaks, falls
 * silent or is sent away, another resumes at the last cursor: no record is missed or seen twice.
 */
export async function* tail(
  client: Client,
  topic: string,
  options: TailOptions = {},
): AsyncGenerator<Batch, void, undefined> {
  const { signal } = options;
  let start = startQuery(options, 'latest');
  // The end is another one after each broken connection: fix it before the first.
  if (start.from === 'latest') start = { cursor: await endOf(client, topic, options) };
  let failures = 0;
  let lastGood = Date.now();
  for (;;) {
    try {
      for await (const event of connect(client, topic, start, options)) {
        if (event.type === 'error') throw toError(JSON.parse(event.data));
        const { cursor, records = [] } = JSON.parse(event.data) as { cursor: string; records?: RecordOutput[] };
        start = { cursor };
        failures = 0;
        lastGood = Date.now();
        if (event.type === 'records') {
          yield { records: records.map((record) => new ReceivedRecord(record)), cursor };
        }
        if (event.type === 'goaway') break;
      }
      failures += 1; // a service that ends every connection at once is not asked in a tight loop
      await sleep(waitMs(failures, undefined, options), signal);
    } catch (thrown) {
      signal?.throwIfAborted();
      const error = toError(thrown);
      failures += 1;
      const wait = waitMs(failures, error.retryAfterMs, options);
      const deadline = lastGood + (options.deadlineMs ?? 120_000);
      if (!shouldRetry(error, true) || Date.now() + wait > deadline) throw error;
      await sleep(wait, signal);
    }
  }
}

async function endOf(client: Client, topic: string, options: TailOptions): Promise<string> {
  const call = () =>
    answered(
      fetchTopic({
        client,
        path: { topic },
        query: { from: 'latest' },
        signal: within(30_000, options.signal),
      }),
    );
  return (await withRetries(call, true, options, options.signal)).cursor;
}

/** The events of one connection, until it ends or falls silent. */
async function* connect(
  client: Client,
  topic: string,
  start: Start,
  { silenceMs = 45_000, signal }: TailOptions,
): AsyncGenerator<ServerEvent, void, undefined> {
  const silence = new AbortController();
  const silent = () => silence.abort(new Error(`nothing was heard for ${silenceMs} ms`));
  let timer = setTimeout(silent, silenceMs);
  try {
    const body = await answered(
      client.get<ReadableStream<Uint8Array>>({
        url: '/topics/{topic}/tail',
        path: { topic },
        query: { ...start, encoding: 'base64' },
        security: [{ scheme: 'bearer', type: 'http' }],
        parseAs: 'stream',
        signal: signal === undefined ? silence.signal : AbortSignal.any([signal, silence.signal]),
      }),
    );
    const parser = new EventParser();
    const decoder = new TextDecoder();
    for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) {
      clearTimeout(timer);
      // While the caller looks at a record nobody listens, and nothing is held against the service.
      yield* parser.push(decoder.decode(chunk, { stream: true }));
      timer = setTimeout(silent, silenceMs);
    }
  } finally {
    clearTimeout(timer);
    silence.abort();
  }
}
