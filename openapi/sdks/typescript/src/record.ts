import type { RecordOutput } from './streaming/index.js';

/** A value to write. Text, numbers and bytes arrive exactly as they are given here. */
export type Value =
  /** Anything that `JSON.stringify` takes. */
  | { json: unknown }
  /** JSON as text, kept byte for byte: for integers beyond 2^53 and decimals that must not be rounded. */
  | { jsonText: string }
  | { text: string }
  | { bytes: Uint8Array }
  /** The key's record is gone, in a compacted topic. */
  | { tombstone: true };

/** A record to write. */
export type NewRecord = Value & {
  key?: string | Uint8Array;
  headers?: Record<string, string | string[]>;
  /** Milliseconds since the epoch; the service's clock if absent. */
  timestamp?: number;
  /** By default the key decides. */
  partition?: number;
};

/** A record as it was read: key, value and headers as bytes, so that nothing is rounded or replaced. */
export class ReceivedRecord {
  readonly key: Uint8Array | null;
  /** Null is a tombstone. */
  readonly value: Uint8Array | null;
  readonly headers: Record<string, Uint8Array[]>;
  /** Milliseconds since the epoch. */
  readonly timestamp: number;
  readonly partition: number;
  /** Below 2^53 always. */
  readonly offset: number;

  constructor(wire: RecordOutput) {
    this.key = fromBase64(wire.key_base64);
    this.value = fromBase64(wire.value_base64);
    this.headers = {};
    for (const [name, values] of Object.entries(wire.headers_base64 ?? {})) {
      const list = Array.isArray(values) ? values : [values];
      this.headers[name] = list.map((value) => Buffer.from(value, 'base64'));
    }
    this.timestamp = wire.timestamp;
    this.partition = wire.partition;
    this.offset = wire.offset;
  }

  /** The key as text. */
  get keyText(): string | null {
    return this.key === null ? null : new TextDecoder().decode(this.key);
  }

  /** The value as text: of JSON, every digit and space as it was sent. */
  get text(): string | null {
    return this.value === null ? null : new TextDecoder().decode(this.value);
  }

  /**
   * The value parsed as JSON. `JSON.parse` rounds integers beyond 2^53: give `text` to a parser of
   * your choice where they matter.
   */
  json<T = unknown>(): T {
    return JSON.parse(this.text ?? 'null') as T;
  }
}

/** The record as it stands in a request. Built as text, so that `jsonText` is not parsed on the way. */
export function encodeRecord(record: NewRecord): string {
  const fields: string[] = [];
  const put = (name: string, json: string) => fields.push(`"${name}":${json}`);
  if (typeof record.key === 'string') put('key', JSON.stringify(record.key));
  else if (record.key !== undefined) put('key_base64', toBase64(record.key));
  put(...encodeValue(record));
  if (record.headers !== undefined) put('headers', JSON.stringify(record.headers));
  if (record.timestamp !== undefined) put('timestamp', JSON.stringify(record.timestamp));
  if (record.partition !== undefined) put('partition', JSON.stringify(record.partition));
  return `{${fields.join(',')}}`;
}

function encodeValue(value: Value): [string, string] {
  if ('jsonText' in value) return ['value', value.jsonText];
  if ('text' in value) return ['value_text', JSON.stringify(value.text)];
  if ('bytes' in value) return ['value_base64', toBase64(value.bytes)];
  if ('tombstone' in value) return ['value', 'null'];
  const json = JSON.stringify(value.json);
  if (json === undefined) throw new TypeError('the value has no form in JSON');
  return ['value', json];
}

function toBase64(bytes: Uint8Array): string {
  return `"${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')}"`;
}

function fromBase64(text: string | null | undefined): Uint8Array | null {
  return text === null || text === undefined ? null : Buffer.from(text, 'base64');
}
