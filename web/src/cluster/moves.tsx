import type { Schemas } from "../api/client";
import { formatBytes } from "../lib/format";
import type { Column } from "../ui/table";

type Move = Schemas["PartitionMove"];

export const moveId = (move: Move) => `${move.topic_id}/${move.partition}`;

export const MOVES: Column<Move>[] = [
  {
    id: "topic_id",
    header: "Topic id",
    width: "minmax(12rem, 1fr)",
    cell: (move) => <code className="font-mono text-[12px]">{move.topic_id}</code>,
  },
  { id: "partition", header: "Partition", width: "5rem", align: "right", cell: (move) => move.partition },
  { id: "replicas", header: "From", width: "7rem", cell: (move) => move.replicas.join(", ") },
  { id: "target", header: "To", width: "7rem", cell: (move) => move.target.join(", ") },
  {
    id: "bytes",
    header: "Size",
    width: "6rem",
    align: "right",
    cell: ({ bytes }) => (bytes == null ? "?" : formatBytes(bytes)),
  },
  {
    id: "done",
    header: "Copied",
    width: "8rem",
    align: "right",
    cell: ({ copied_offset, high_watermark }) =>
      copied_offset == null || !high_watermark
        ? ""
        : `${Math.floor((copied_offset / high_watermark) * 100)} %`,
  },
];
