import type { StoredRecord } from "../lib/record";

/** Saves records as NDJSON, each as the service wrote it: what is saved can be uploaded again. */
export function saveRecords(topic: string, records: StoredRecord[]) {
  const lines = records.map((record) => `${record.raw.replace(/\r?\n/g, " ")}\n`);
  save(new Blob(lines, { type: "application/x-ndjson" }), `${topic}.ndjson`);
}

export function save(content: Blob, name: string) {
  const url = URL.createObjectURL(content);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  // The browser has taken the content by the next turn.
  setTimeout(() => URL.revokeObjectURL(url));
}
