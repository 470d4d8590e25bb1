import type { Schemas } from "../api/client";

export type TopicConfig = Schemas["TopicConfig"];

interface Described {
  label: string;
  help: string;
}

/** How each setting that is a number is typed, named and explained. */
export interface NumberSetting extends Described {
  name:
    | "retention_ms"
    | "retention_bytes"
    | "local_retention_ms"
    | "local_retention_bytes"
    | "delete_retention_ms"
    | "segment_bytes"
    | "max_record_bytes"
    | "min_insync_replicas";
  unit: "time" | "bytes" | "count";
  /** What null means; without it there must be a number. */
  none?: string;
}

interface ChoiceSetting extends Described {
  name: "cleanup_policy" | "compression";
  choices: [value: string, name: string][];
}

export type Setting = ChoiceSetting | NumberSetting;

export const CHOICES: ChoiceSetting[] = [
  {
    name: "cleanup_policy",
    label: "Cleanup",
    help: "How old records go: by age and size, or by keeping the last record of each key.",
    choices: [
      ["delete", "Delete by age and size"],
      ["compact", "Keep the last of each key"],
    ],
  },
  {
    name: "compression",
    label: "Compression",
    help: "How stored batches are compressed. zstd is smallest, lz4 costs least.",
    choices: [
      ["none", "None"],
      ["lz4", "lz4"],
      ["zstd", "zstd"],
    ],
  },
];

export const NUMBERS: NumberSetting[] = [
  {
    name: "retention_ms",
    unit: "time",
    none: "For ever",
    label: "Keep records for",
    help: "After this age records go.",
  },
  {
    name: "retention_bytes",
    unit: "bytes",
    none: "Without limit",
    label: "Keep bytes of a partition",
    help: "Above this size the oldest records of a partition go.",
  },
  {
    name: "local_retention_ms",
    unit: "time",
    none: "As long as they are kept",
    label: "On disk for",
    help: "What is in the object store leaves the broker's disk after this age.",
  },
  {
    name: "local_retention_bytes",
    unit: "bytes",
    none: "Without limit",
    label: "Bytes on disk of a partition",
    help: "What is in the object store leaves the disk above this size.",
  },
  {
    name: "delete_retention_ms",
    unit: "time",
    label: "Keep tombstones for",
    help: "How long a compacted topic tells of deleted keys.",
  },
  {
    name: "segment_bytes",
    unit: "bytes",
    label: "Segment size",
    help: "Retention and offload work on whole segments of this size.",
  },
  {
    name: "max_record_bytes",
    unit: "bytes",
    label: "Largest record",
    help: "Key, value and headers together; 8 MiB at most.",
  },
  {
    name: "min_insync_replicas",
    unit: "count",
    label: "Copies before an acknowledgement",
    help: "So many replicas must have a record before it is acknowledged.",
  },
];
