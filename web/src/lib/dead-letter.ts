import { draftOf, type Draft, type StoredRecord } from "./record";

/** What a shared group wrote about a record that it gave up. */
export interface DeadLetter {
  topic: string;
  partition: string;
  offset: string;
  group: string;
  attempts: string;
  reason: string;
}

const PREFIX = "headwater-";

/** Reads a dead letter's headers; null for any other record. */
export function deadLetterOf({ headers }: StoredRecord): DeadLetter | null {
  const said = (name: string) => {
    const value = headers.find((header) => header.name === PREFIX + name)?.value;
    return value?.kind === "text" ? value.text : "";
  };
  const topic = said("origin-topic");
  if (topic === "") return null;
  return {
    topic,
    partition: said("origin-partition"),
    offset: said("origin-offset"),
    group: said("group"),
    attempts: said("attempts"),
    reason: said("reason"),
  };
}

/** A dead letter as it was before it died. Its origin may have more partitions by now: the key decides. */
export function withoutDeath(letter: StoredRecord): Draft {
  const headers = letter.headers.filter(({ name }) => !name.startsWith(PREFIX));
  return { ...draftOf(letter), headers, partition: undefined };
}
