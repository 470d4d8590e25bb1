import { elementTexts, memberTexts } from "../lib/json";
import { readRecord, type StoredRecord } from "../lib/record";
import { okFetch, projectPath, type Schemas } from "./client";

export interface Place {
  project: string;
  topic: string;
}

export interface RecordPage {
  records: StoredRecord[];
  /** The query that reads on from here. */
  next: Record<string, string>;
  /** Offsets between here and the end. */
  remaining: number;
  gaps: Schemas["Gap"][];
}

export const topicPath = ({ project, topic }: Place) => `${projectPath(project)}/topics/${encodeURIComponent(topic)}`;

export const recordsPath = (place: Place, partition: number | undefined) =>
  `${topicPath(place)}${partition === undefined ? "" : `/partitions/${partition}`}/records`;

/**
 * Reads a page. The body is read as text: values must keep every digit, which no JSON parser of the
 * browser grants.
 */
export async function fetchRecords(
  place: Place,
  partition: number | undefined,
  query: Record<string, string>,
  signal?: AbortSignal,
): Promise<RecordPage> {
  const asked = new URLSearchParams({ on_out_of_range: "earliest", ...query });
  if ("cursor" in query) asked.delete("on_out_of_range");
  const answer = await okFetch(`${recordsPath(place, partition)}?${asked}`, { signal });
  const members = memberTexts(await answer.text());
  const parsed = (name: string) => JSON.parse(members.get(name) ?? "null");
  const records = elementTexts(members.get("records") ?? "[]").map(readRecord);
  const gaps = parsed("gaps") ?? [];
  if (partition !== undefined) {
    const next = parsed("next_offset") as number;
    return { records, gaps, next: { offset: String(next) }, remaining: Math.max(0, parsed("high_watermark") - next) };
  }
  const positions = parsed("partitions") as Schemas["PartitionPosition"][];
  const remaining = positions.reduce((sum, one) => sum + Math.max(0, one.high_watermark - one.next_offset), 0);
  return { records, gaps, next: { cursor: parsed("cursor") }, remaining };
}

export type Produced = Schemas["ProduceResponse"];

/** Appends records that are given as text, byte for byte. */
export async function produceTexts(place: Place, records: string[]): Promise<Produced> {
  const answer = await okFetch(`${topicPath(place)}/records`, {
    method: "POST",
    body: `{"records":[${records.join(",")}]}`,
    headers: { "Content-Type": "application/json", "Idempotency-Key": crypto.randomUUID?.() ?? `console-${Date.now()}-${Math.random()}` },
  });
  return answer.json();
}
