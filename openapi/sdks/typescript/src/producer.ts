import { shouldRetry, toError, type HeadwaterError } from './problem.js';
import { encodeRecord, type NewRecord } from './record.js';
import { answered, sleep, waitMs, within, type RetryOptions } from './retry.js';
import { produceRecords, type Acks, type ProduceRequest, type ProduceResponse } from './streaming/index.js';
import type { Client } from './streaming/client/index.js';

/** How a producer batches, waits and gives up. */
export interface ProducerOptions extends RetryOptions {
  /** How long the first record of a batch waits for others, in milliseconds; 5 by default. */
  lingerMs?: number;
  /** Records of a batch at most; 1 000 by default, 10 000 is the service's limit. */
  maxBatchRecords?: number;
  /** Bytes of a batch at most, as JSON; 1 MiB by default. A larger record goes alone. */
  maxBatchBytes?: number;
  /** Bytes that may wait, as JSON; 32 MiB by default. `ready` waits while there are more. */
  maxBufferedBytes?: number;
  /** When one try is given up, in milliseconds; 30 000 by default. */
  requestTimeoutMs?: number;
  /** What an acknowledgement means; `quorum` by default. */
  acks?: Acks;
}

/** Where an acknowledged record is. */
export interface Receipt {
  partition: number;
  offset: number;
  timestamp: number;
  /** Whether an earlier try had appended it and its answer was lost. */
  duplicate: boolean;
}

interface Pending {
  json: string;
  bytes: number;
  resolve(receipt: Receipt): void;
  reject(error: unknown): void;
}

/** Sends one batch under a key; the same batch and key may come again. */
export type SendBatch = (body: string, idempotencyKey: string) => Promise<ProduceResponse>;

/** Sends batches to a topic through the generated client. */
export function sendTo(client: Client, topic: string, requestTimeoutMs = 30_000): SendBatch {
  return (body, idempotencyKey) =>
    answered(
      produceRecords({
        client,
        path: { topic },
        headers: { 'Idempotency-Key': idempotencyKey },
        body: body as unknown as ProduceRequest, // text already: see encodeRecord
        bodySerializer: (text: unknown) => text as string,
        signal: within(requestTimeoutMs),
      }),
    );
}

/**
 * Appends records to one topic in batches, in the order they were sent. One batch is on its way at a
 * time, and what comes meanwhile makes up the next; each has an Idempotency-Key, so that it may be
 * repeated through broken connections and restarts without appending anything twice.
 */
export class Producer {
  private readonly lingerMs: number;
  private readonly maxBatchRecords: number;
  private readonly maxBatchBytes: number;
  private readonly maxBufferedBytes: number;
  private readonly acks: string;
  private readonly keyPrefix = crypto.randomUUID();
  private batches = 0;
  private waiting: Pending[] = [];
  private bufferedBytes = 0;
  private failure: unknown;
  private closed = false;
  private sending: Promise<void> | undefined;
  private wake: (() => void) | undefined;
  private hurried = false;
  private roomWaiters: (() => void)[] = [];

  constructor(
    private readonly sendBatch: SendBatch,
    private readonly options: ProducerOptions = {},
  ) {
    this.lingerMs = options.lingerMs ?? 5;
    this.maxBatchRecords = options.maxBatchRecords ?? 1_000;
    this.maxBatchBytes = options.maxBatchBytes ?? 1 << 20;
    this.maxBufferedBytes = options.maxBufferedBytes ?? 32 << 20;
    this.acks = options.acks ?? 'quorum';
  }

  /** Resolves when there is room for another record. Await it before each `send` of a long run. */
  get ready(): Promise<void> {
    if (this.bufferedBytes < this.maxBufferedBytes) return Promise.resolve();
    return new Promise((resolve) => this.roomWaiters.push(resolve));
  }

  /**
   * Queues a record; resolves once it is acknowledged. Rejects at once, and keeps nothing, when the
   * buffer is full or the producer is closed. A failure is told here and by the next `flush`.
   */
  send(record: NewRecord): Promise<Receipt> {
    const acknowledged = new Promise<Receipt>((resolve, reject) => {
      if (this.closed) throw new Error('the producer is closed');
      if (this.bufferedBytes >= this.maxBufferedBytes) throw new Error('the buffer is full: await ready');
      const json = encodeRecord(record);
      const bytes = Buffer.byteLength(json) + 1;
      this.waiting.push({ json, bytes, resolve, reject });
      this.bufferedBytes += bytes;
      this.sending ??= this.run();
      if (this.isFull()) this.wake?.();
    });
    // Whoever only flushes need not look at every promise.
    acknowledged.catch(() => undefined);
    return acknowledged;
  }

  /** Sends what waits, and resolves when all of it is acknowledged; throws the first failure since the last. */
  async flush(): Promise<void> {
    this.hurried = this.sending !== undefined;
    this.wake?.();
    await this.sending;
    const failure = this.failure;
    this.failure = undefined;
    if (failure !== undefined) throw failure;
  }

  /** Flushes, and takes no more. */
  async close(): Promise<void> {
    this.closed = true;
    await this.flush();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  private isFull(): boolean {
    return this.waiting.length >= this.maxBatchRecords || this.bufferedBytes >= this.maxBatchBytes;
  }

  private async run(): Promise<void> {
    // A turn of the event loop even without linger: records sent in one go make up one batch.
    await this.linger();
    while (this.waiting.length > 0) {
      const batch = this.takeBatch();
      await this.deliver(batch);
      for (const { bytes } of batch) this.bufferedBytes -= bytes;
      if (this.bufferedBytes < this.maxBufferedBytes) {
        for (const resolve of this.roomWaiters.splice(0)) resolve();
      }
      if (this.waiting.length > 0 && !this.isFull()) await this.linger();
    }
    this.sending = undefined;
    this.hurried = false;
  }

  private linger(): Promise<void> {
    if (this.hurried || this.isFull()) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, this.lingerMs);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  private takeBatch(): Pending[] {
    let bytes = 0;
    let records = 0;
    for (const { bytes: more } of this.waiting) {
      if (records === this.maxBatchRecords || (records > 0 && bytes + more > this.maxBatchBytes)) break;
      bytes += more;
      records += 1;
    }
    return this.waiting.splice(0, records);
  }

  /** Repeats one batch under one key until each record has its place, or may not be tried again. */
  private async deliver(batch: Pending[]): Promise<void> {
    this.batches += 1;
    const key = `${this.keyPrefix}-${this.batches}`;
    const body = `{"acks":"${this.acks}","records":[${batch.map(({ json }) => json).join(',')}]}`;
    const deadline = Date.now() + (this.options.deadlineMs ?? 120_000);
    const open = new Set(batch.keys());
    for (let attempt = 1; open.size > 0; attempt += 1) {
      const errors = await this.attempt(batch, open, body, key);
      const error = [...errors.values()].find((error) => shouldRetry(error, true));
      const wait = waitMs(attempt, error?.retryAfterMs, this.options);
      const again = error !== undefined && Date.now() + wait <= deadline;
      for (const [slot, error] of errors) {
        if (again && shouldRetry(error, true)) continue;
        this.failure ??= error;
        batch[slot]?.reject(error);
        open.delete(slot);
      }
      if (again) await sleep(wait);
    }
  }

  /** One try: settles the slots that succeeded, and returns why the others did not. */
  private async attempt(
    batch: Pending[],
    open: Set<number>,
    body: string,
    key: string,
  ): Promise<Map<number, HeadwaterError>> {
    let answer: ProduceResponse;
    try {
      answer = await this.sendBatch(body, key);
    } catch (thrown) {
      const error = toError(thrown);
      return new Map([...open].map((slot) => [slot, error]));
    }
    const errors = new Map<number, HeadwaterError>();
    for (const slot of [...open]) {
      const result = answer.results[slot];
      if (result === undefined || result.error !== undefined) {
        errors.set(slot, toError(result?.error ?? new Error('the answer lacks a record')));
        continue;
      }
      const { partition, offset = -1, timestamp = -1 } = result;
      batch[slot]?.resolve({ partition, offset, timestamp, duplicate: answer.duplicate });
      open.delete(slot);
    }
    return errors;
  }
}
