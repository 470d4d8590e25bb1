import { Link } from "@tanstack/react-router";
import { useMemo } from "react";
import type { Schemas } from "../api/client";
import { formatCount, formatSpan } from "../lib/format";
import { Panel } from "../ui/page";
import { type Column, DataTable } from "../ui/table";
import { countOrUnknown } from "./group-lag";

type Position = Schemas["GroupPosition"];

export function Positions({ project, positions }: { project: string; positions: Position[] }) {
  const columns = useMemo(() => columnsOf(project), [project]);
  return (
    <Panel title="Positions" flush>
      <DataTable
        label="Positions"
        rows={positions}
        columns={columns}
        rowId={(position) => `${position.topic}/${position.partition}`}
        minWidth={546}
        empty={<p className="px-4 py-6 text-faint">No positions.</p>}
      />
    </Panel>
  );
}

function columnsOf(project: string): Column<Position>[] {
  const number = (
    id: string,
    header: string,
    of: (one: Position) => number | null | undefined,
    text: (one: Position) => string = (one) => countOrUnknown(of(one)),
  ): Column<Position> => ({
    id,
    header,
    width: "minmax(5.5rem, 1fr)",
    align: "right",
    sortBy: (one) => of(one) ?? -1,
    cell: text,
  });
  return [
    {
      id: "topic",
      header: "Topic",
      width: "minmax(5rem, 1fr)",
      sortBy: (one) => one.topic,
      cell: ({ topic }) => (
        <Link
          to="/p/$project/topics/$topic"
          params={{ project, topic }}
          title={topic}
          className="text-accent-ink hover:underline"
        >
          {topic}
        </Link>
      ),
    },
    {
      id: "partition",
      header: "Part.",
      width: "2.5rem",
      align: "right",
      sortBy: (one) => one.partition,
      cell: (one) => one.partition,
    },
    // What a narrow screen shows without scrolling comes first.
    number("lag", "Lag", (one) => one.lag),
    number(
      "lag_ms",
      "Behind",
      (one) => one.lag_ms,
      (one) => (one.lag_ms == null ? "" : formatSpan(one.lag_ms)),
    ),
    number(
      "committed",
      "Committed",
      (one) => one.committed,
      (one) => (one.committed == null ? "none" : formatCount(one.committed)),
    ),
    number("high_watermark", "Next offset", (one) => one.high_watermark),
  ];
}
