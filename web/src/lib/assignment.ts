import type { Schemas } from "../api/client";

/** Partitions in few words: "orders 0-3 7, payments 1". */
export function assignmentText(assignment: Schemas["TopicPartition"][]): string {
  const byTopic = new Map<string, number[]>();
  for (const { topic, partition } of assignment) {
    byTopic.set(topic, [...(byTopic.get(topic) ?? []), partition]);
  }
  const texts = [...byTopic].map(
    ([topic, partitions]) => `${topic} ${runs(partitions.sort((a, b) => a - b)).join(" ")}`,
  );
  return texts.join(", ");
}

/** Numbers in rising order as runs: 0 1 2 5 → "0-2", "5". */
function runs(numbers: number[]): string[] {
  const found: [first: number, last: number][] = [];
  for (const number of numbers) {
    const run = found.at(-1);
    if (run && run[1] + 1 === number) run[1] = number;
    else found.push([number, number]);
  }
  return found.map(([first, last]) => (first === last ? String(first) : `${first}-${last}`));
}
