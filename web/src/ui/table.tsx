import {
  type ColumnDef,
  createSortedRowModel,
  rowSortingFeature,
  sortFn_alphanumeric,
  sortFn_text,
  type SortingState,
  tableFeatures,
  useTable,
} from "@tanstack/react-table";
import { useVirtualizer } from "@tanstack/react-virtual";
import { ArrowDown, ArrowUp } from "lucide-react";
import { type ReactNode, useMemo, useRef, useState } from "react";
import { cx } from "./classes";

const features = tableFeatures({
  rowSortingFeature,
  sortedRowModel: createSortedRowModel(),
  sortFns: { alphanumeric: sortFn_alphanumeric, text: sortFn_text },
});

export interface Column<Row> {
  id: string;
  header: string;
  /** What the column is sorted by; without one it is not. */
  sortBy?: (row: Row) => string | number;
  cell: (row: Row) => ReactNode;
  /** A track of CSS grid. */
  width: string;
  align?: "right";
}

export interface Sort {
  id: string;
  desc: boolean;
}

interface DataTableProps<Row> {
  label: string;
  rows: Row[];
  columns: Column<Row>[];
  rowId: (row: Row) => string;
  /** Where the sort is kept, if not here. */
  sort?: Sort;
  onSort?: (sort: Sort) => void;
  /** Narrower than this it scrolls sideways. */
  minWidth?: number;
  /** Scrolls within this height; only what is seen is drawn. */
  maxHeight?: string;
  empty?: ReactNode;
}

const ROW_HEIGHT = 40;

export function DataTable<Row extends object>(props: DataTableProps<Row>) {
  const { label, rows, columns, rowId, minWidth = 640, maxHeight = "70dvh", empty } = props;
  const [ownSort, setOwnSort] = useState<Sort | undefined>(props.sort);
  const sort = props.onSort ? props.sort : ownSort;
  const onSort = props.onSort ?? setOwnSort;

  const definitions = useMemo(
    () =>
      columns.map(
        (column): ColumnDef<typeof features, Row> => ({
          id: column.id,
          accessorFn: column.sortBy ?? (() => ""),
          enableSorting: column.sortBy !== undefined,
          sortFn: "auto",
        }),
      ),
    [columns],
  );
  const sorting: SortingState = sort ? [sort] : [];
  const table = useTable({ features, data: rows, columns: definitions, state: { sorting }, getRowId: rowId });
  const sorted = table.getRowModel().rows;

  const scroller = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: sorted.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_HEIGHT,
    overscan: 12,
  });
  const template = { gridTemplateColumns: columns.map((column) => column.width).join(" "), minWidth };

  return (
    <div ref={scroller} className="overflow-auto" style={{ maxHeight }} tabIndex={0} role="region" aria-label={label}>
      <div role="table" aria-label={label} aria-rowcount={sorted.length + 1} style={{ minWidth }}>
        <div role="rowgroup" className="sticky top-0 z-10 border-b bg-panel">
          <div role="row" className="grid items-center gap-6 px-4" style={template}>
            {columns.map((column) => (
              <HeaderCell key={column.id} column={column} sort={sort} onSort={onSort} />
            ))}
          </div>
        </div>
        <div role="rowgroup" className="relative" style={{ height: virtual.getTotalSize() }}>
          {virtual.getVirtualItems().map((item) => {
            const row = sorted[item.index]!;
            return (
              <div
                key={row.id}
                role="row"
                aria-rowindex={item.index + 2}
                className="absolute inset-x-0 grid items-center gap-6 border-b px-4 last:border-b-0 hover:bg-sunken/60"
                style={{ ...template, height: ROW_HEIGHT, transform: `translateY(${item.start}px)` }}
              >
                {columns.map((column) => (
                  <div
                    key={column.id}
                    role="cell"
                    className={cx("min-w-0 truncate", column.align === "right" && "text-right tabular-nums")}
                  >
                    {column.cell(row.original)}
                  </div>
                ))}
              </div>
            );
          })}
        </div>
      </div>
      {sorted.length === 0 && empty}
    </div>
  );
}

interface HeaderCellProps<Row> {
  column: Column<Row>;
  sort: Sort | undefined;
  onSort: (sort: Sort) => void;
}

function HeaderCell<Row>({ column, sort, onSort }: HeaderCellProps<Row>) {
  const mine = sort?.id === column.id;
  const right = column.align === "right";
  const base = cx("flex h-9 items-center gap-1 text-[12.5px] font-medium text-faint", right && "justify-end");
  if (!column.sortBy) {
    return (
      <div role="columnheader" className={base}>
        {column.header}
      </div>
    );
  }
  const Arrow = mine && sort.desc ? ArrowDown : ArrowUp;
  return (
    <div role="columnheader" aria-sort={mine ? (sort.desc ? "descending" : "ascending") : "none"} className={base}>
      <button
        type="button"
        className={cx("inline-flex items-center gap-1 rounded hover:text-ink", right && "flex-row-reverse", mine && "text-ink")}
        onClick={() => onSort({ id: column.id, desc: mine ? !sort.desc : false })}
      >
        {column.header}
        <Arrow className={cx("size-3.5", !mine && "opacity-0")} aria-hidden />
      </button>
    </div>
  );
}
