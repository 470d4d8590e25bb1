import { useVirtualizer } from "@tanstack/react-virtual";
import { ArrowUp } from "lucide-react";
import { type ReactNode, useRef, useState } from "react";
import { formatCount, formatTime } from "../lib/format";
import { preview, type StoredRecord } from "../lib/record";
import { Button } from "../ui/button";
import { cx } from "../ui/classes";
import { Badge } from "../ui/page";
import { Skeleton } from "../ui/skeleton";

interface RecordTableProps {
  records: StoredRecord[];
  /** How many came in all; tells what came since somebody scrolled away. */
  received: number;
  loading: boolean;
  chosen: string | undefined;
  onOpen: (record: StoredRecord) => void;
  empty: ReactNode;
}

const ROW_HEIGHT = 32;
/** A narrow screen has room for the clock, the key and the value; the rest is in the drawer. */
const GRID =
  "grid grid-cols-[6.5rem_minmax(4rem,6rem)_minmax(0,1fr)] gap-3 px-3 sm:gap-4 sm:min-w-[780px] " +
  "sm:grid-cols-[12.5rem_3.5rem_6.5rem_minmax(7rem,14rem)_minmax(14rem,1fr)]";
const WIDE = "hidden sm:block";

/**
 * A list that may change many times a second. Whoever scrolls away from its top keeps what they look at,
 * until they come back.
 */
export function RecordTable({ records, received, loading, chosen, onOpen, empty }: RecordTableProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const [held, setHeld] = useState<{ records: StoredRecord[]; received: number } | null>(null);
  const rows = held?.records ?? records;
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_HEIGHT,
    overscan: 20,
  });
  const onScroll = () => {
    const away = (scroller.current?.scrollTop ?? 0) > ROW_HEIGHT;
    if (away && !held) setHeld({ records, received });
    else if (!away && held) setHeld(null);
  };
  const behind = held ? received - held.received : 0;
  if (rows.length === 0) {
    return <div className="min-h-80">{loading ? <Skeleton rows={8} className="p-4" /> : empty}</div>;
  }
  return (
    <div className="relative">
      {behind > 0 && (
        <div className="absolute inset-x-0 top-11 z-20 flex justify-center">
          <Button
            small
            variant="primary"
            icon={<ArrowUp className="size-3.5" />}
            onClick={() => scroller.current?.scrollTo({ top: 0 })}
            className="rounded-full shadow-md tabular-nums"
          >
            {formatCount(behind)} more
          </Button>
        </div>
      )}
      <div
        ref={scroller}
        onScroll={onScroll}
        className="h-[max(20rem,calc(100dvh-19rem))] overflow-auto"
        tabIndex={0}
        role="region"
        aria-label="Records"
      >
        <div role="table" aria-label="Records" aria-rowcount={rows.length + 1}>
          <div role="rowgroup" className="sticky top-0 z-10 border-b bg-panel">
            <div role="row" className={cx(GRID, "h-9 items-center text-[12.5px] font-medium text-faint")}>
              <span role="columnheader">Time</span>
              <span role="columnheader" className={cx(WIDE, "text-right")}>
                Part.
              </span>
              <span role="columnheader" className={cx(WIDE, "text-right")}>
                Offset
              </span>
              <span role="columnheader">Key</span>
              <span role="columnheader">Value</span>
            </div>
          </div>
          <div
            role="rowgroup"
            className="relative sm:min-w-[780px]"
            style={{ height: virtual.getTotalSize() }}
          >
            {virtual.getVirtualItems().map((item) => {
              const record = rows[item.index]!;
              const id = `${record.partition}:${record.offset}`;
              return (
                <Row
                  key={id}
                  record={record}
                  index={item.index}
                  start={item.start}
                  chosen={id === chosen}
                  onOpen={onOpen}
                />
              );
            })}
          </div>
        </div>
      </div>
    </div>
  );
}

interface RowProps {
  record: StoredRecord;
  index: number;
  start: number;
  chosen: boolean;
  onOpen: (record: StoredRecord) => void;
}

function Row({ record, index, start, chosen, onOpen }: RowProps) {
  const [day, clock] = formatTime(record.timestamp).split(" ");
  return (
    <div
      role="row"
      aria-rowindex={index + 2}
      aria-selected={chosen}
      onClick={() => onOpen(record)}
      style={{ height: ROW_HEIGHT, transform: `translateY(${start}px)` }}
      className={cx(
        GRID,
        "absolute inset-x-0 cursor-pointer items-center border-b text-[12.5px]",
        chosen ? "bg-accent-wash" : "hover:bg-sunken",
      )}
    >
      <span role="cell" className="truncate text-soft tabular-nums">
        <button
          type="button"
          aria-label={`Open record ${record.offset} of partition ${record.partition}`}
          className="rounded"
          onClick={() => onOpen(record)}
        >
          <span className="hidden sm:inline">{day} </span>
          {clock}
        </button>
      </span>
      <span role="cell" className={cx(WIDE, "text-right tabular-nums")}>
        {record.partition}
      </span>
      <span role="cell" className={cx(WIDE, "text-right tabular-nums")}>
        {record.offset}
      </span>
      <span role="cell" className="truncate font-mono text-[12px]">
        {preview(record.key, 100)}
      </span>
      <span role="cell" className="truncate font-mono text-[12px]">
        {record.value.kind === "none" ? <Badge tone="warn">tombstone</Badge> : preview(record.value)}
        {record.value.kind === "base64" && <span className="text-faint"> base64</span>}
      </span>
    </div>
  );
}
