import { elementTexts, memberTexts } from "./json";

/** A key, a value or a header as the API tells it: exactly one of its forms. */
export type Field =
  | { kind: "none" }
  | { kind: "text"; text: string }
  | { kind: "json"; text: string }
  | { kind: "base64"; text: string };

export interface Header {
  name: string;
  value: Field;
}

/** A record as it was read. `value.text` of JSON is the producer's text, byte for byte. */
export interface StoredRecord {
  partition: number;
  offset: number;
  timestamp: number;
  key: Field;
  value: Field;
  headers: Header[];
  /** The record as the API wrote it, for re-sending and downloading. */
  raw: string;
}

export const NONE: Field = { kind: "none" };

/** Reads a record's envelope and leaves its value as text. */
export function readRecord(raw: string): StoredRecord {
  const members = memberTexts(raw);
  const number = (name: string) => Number(members.get(name) ?? 0);
  return {
    partition: number("partition"),
    offset: number("offset"),
    timestamp: number("timestamp"),
    key: field(members, "key", "text"),
    value: field(members, "value", "json"),
    headers: headers(members),
    raw,
  };
}

function field(members: Map<string, string>, name: string, kind: "text" | "json"): Field {
  const plain = members.get(name);
  if (plain !== undefined) {
    // A key that is null is absent, and a value that is null deletes its key.
    if (plain === "null") return NONE;
    return { kind, text: kind === "json" ? plain : JSON.parse(plain) };
  }
  const text = members.get(`${name}_text`);
  if (text !== undefined) return { kind: "text", text: JSON.parse(text) };
  const base64 = members.get(`${name}_base64`);
  if (base64 !== undefined && base64 !== "null") return { kind: "base64", text: JSON.parse(base64) };
  return NONE;
}

function headers(members: Map<string, string>): Header[] {
  const found: Header[] = [];
  for (const [member, kind] of [
    ["headers", "text"],
    ["headers_base64", "base64"],
  ] as const) {
    const text = members.get(member);
    if (text === undefined || text === "null") continue;
    for (const [name, value] of memberTexts(text)) {
      const values = value.startsWith("[") ? elementTexts(value) : [value];
      for (const one of values) found.push({ name, value: { kind, text: JSON.parse(one) } });
    }
  }
  return found;
}

/** What a list shows of a field, cut to `max` characters. */
export function preview(field: Field, max = 300): string {
  if (field.kind === "none") return "";
  const text = field.text.length > max ? field.text.slice(0, max) : field.text;
  return text.replace(/\s+/g, " ");
}

/** The bytes of a field as they are in the log. */
export function fieldBytes(field: Field): Uint8Array {
  if (field.kind === "none") return new Uint8Array();
  if (field.kind !== "base64") return new TextEncoder().encode(field.text);
  const binary = atob(field.text);
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}

/** Roughly what a record holds in memory, to bound what is kept of a tail. */
export const recordWeight = (record: StoredRecord) => record.raw.length * 2 + 400;

/** A record of the form that produce takes, as text: the value goes in byte for byte. */
export interface Draft {
  key: Field;
  value: Field;
  headers: Header[];
  partition?: number;
}

/** The same record once more. One with a key goes where its key belongs; one without goes where it was. */
export function draftOf({ key, value, headers, partition }: StoredRecord): Draft {
  return { key, value, headers, partition: key.kind === "none" ? partition : undefined };
}

export function draftText(draft: Draft): string {
  const parts: string[] = [];
  const { key, value } = draft;
  if (key.kind === "base64") parts.push(`"key_base64":${JSON.stringify(key.text)}`);
  else if (key.kind !== "none") parts.push(`"key":${JSON.stringify(key.text)}`);
  if (value.kind === "none") parts.push('"value":null');
  else if (value.kind === "json") parts.push(`"value":${value.text}`);
  else if (value.kind === "text") parts.push(`"value_text":${JSON.stringify(value.text)}`);
  else parts.push(`"value_base64":${JSON.stringify(value.text)}`);
  for (const [member, kind] of [
    ["headers", "text"],
    ["headers_base64", "base64"],
  ] as const) {
    const own = draft.headers.filter((header) => header.value.kind === kind);
    if (own.length > 0) parts.push(`"${member}":{${headerTexts(own)}}`);
  }
  if (draft.partition !== undefined) parts.push(`"partition":${draft.partition}`);
  return `{${parts.join(",")}}`;
}

function headerTexts(headers: Header[]): string {
  const byName = new Map<string, string[]>();
  for (const { name, value } of headers) {
    if (value.kind === "none") continue;
    byName.set(name, [...(byName.get(name) ?? []), JSON.stringify(value.text)]);
  }
  const one = ([name, values]: [string, string[]]) =>
    `${JSON.stringify(name)}:${values.length === 1 ? values[0] : `[${values.join(",")}]`}`;
  return [...byName].map(one).join(",");
}
