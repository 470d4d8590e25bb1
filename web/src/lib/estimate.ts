/** What a topic's retention will come to, if it goes on as it did. */
export interface RetentionEstimate {
  /** Bytes where it levels off, of one copy; null where it grows without end. */
  levelBytes: number | null;
  /** What bounds it. */
  by: "time" | "size" | "nothing" | "compaction";
  /** Time until then; null where it is there already, or nothing is written. */
  levelInMs: number | null;
}

export function estimateRetention(topic: {
  bytesPerSecond: number;
  storedBytes: number;
  partitions: number;
  retentionMs: number | null;
  retentionBytes: number | null;
  compacted: boolean;
}): RetentionEstimate {
  if (topic.compacted) return { levelBytes: null, by: "compaction", levelInMs: null };
  const byTime = topic.retentionMs === null ? Infinity : (topic.bytesPerSecond * topic.retentionMs) / 1_000;
  const bySize = topic.retentionBytes === null ? Infinity : topic.retentionBytes * topic.partitions;
  const level = Math.min(byTime, bySize);
  if (level === Infinity) return { levelBytes: null, by: "nothing", levelInMs: null };
  const missing = level - topic.storedBytes;
  const levelInMs = missing > 0 && topic.bytesPerSecond > 0 ? (missing / topic.bytesPerSecond) * 1_000 : null;
  return { levelBytes: level, by: byTime <= bySize ? "time" : "size", levelInMs };
}
