import { lazy, Suspense, useMemo, useState } from "react";
import { type UsagePoint, USAGE_RANGES, type UsageRange } from "../api/queries";
import { formatBytes, formatRate } from "../lib/format";
import { Panel } from "../ui/page";
import { Skeleton } from "../ui/skeleton";

const Chart = lazy(() => import("../ui/chart"));

const STEP_MS = { minute: 60_000, hour: 3_600_000, day: 86_400_000 };

/** The series with a point for every step: the service leaves out steps in which nothing happened. */
export function fillSeries(series: UsagePoint[], range: UsageRange, now: number): { times: number[]; points: (UsagePoint | undefined)[] } {
  const step = STEP_MS[range.step];
  const byTime = new Map(series.map((point) => [Date.parse(point.time), point]));
  const times: number[] = [];
  const last = Math.floor(now / step) * step;
  for (let time = last - Math.floor(range.ms / step) * step + step; time <= last; time += step) times.push(time);
  return { times, points: times.map((time) => byTime.get(time)) };
}

export function RangePicker({ range, onChange }: { range: UsageRange; onChange: (range: UsageRange) => void }) {
  return (
    <div role="group" aria-label="Time range" className="flex rounded-md border border-line-strong bg-panel p-0.5">
      {USAGE_RANGES.map((one) => (
        <button
          key={one.name}
          type="button"
          aria-pressed={one.name === range.name}
          onClick={() => onChange(one)}
          className="h-6.5 rounded px-2.5 text-[13px] text-soft hover:text-ink aria-pressed:bg-accent-wash aria-pressed:text-accent-ink"
        >
          {one.name}
        </button>
      ))}
    </div>
  );
}

export const useRange = () => useState<UsageRange>(USAGE_RANGES[0]!);

interface UsageChartsProps {
  series: UsagePoint[];
  range: UsageRange;
  withStorage?: boolean;
}

export function UsageCharts({ series, range, withStorage = true }: UsageChartsProps) {
  const filled = useMemo(() => fillSeries(series, range, Date.now()), [series, range]);
  const seconds = STEP_MS[range.step] / 1_000;
  const charts = useMemo(() => {
    const rate = (of: (point: UsagePoint) => number) => filled.points.map((point) => (point ? of(point) / seconds : 0));
    return {
      bytes: [
        { name: "In", values: rate((point) => point.ingress_bytes) },
        { name: "Out", values: rate((point) => point.egress_bytes) },
      ],
      records: [
        { name: "In", values: rate((point) => point.records_in) },
        { name: "Out", values: rate((point) => point.records_out) },
      ],
      requests: [{ name: "Requests", values: rate((point) => point.requests) }],
      stored: [
        { name: "On disk", values: carried(filled.points, (point) => point.stored_bytes_hot) },
        { name: "In the store", values: carried(filled.points, (point) => point.stored_bytes_cold) },
      ],
    };
  }, [filled, seconds]);
  const perSecond = (value: number) => `${formatRate(value)}/s`;
  const bytesPerSecond = (value: number) => `${formatBytes(value)}/s`;
  return (
    <div className="grid gap-4 xl:grid-cols-2">
      <ChartPanel title="Throughput" times={filled.times} lines={charts.bytes} format={bytesPerSecond} />
      <ChartPanel title="Records" times={filled.times} lines={charts.records} format={perSecond} />
      {withStorage && <ChartPanel title="Storage by tier" times={filled.times} lines={charts.stored} format={formatBytes} />}
      {withStorage && <ChartPanel title="Requests" times={filled.times} lines={charts.requests} format={perSecond} />}
    </div>
  );
}

/** What is stored stays so until it is said again. */
function carried(points: (UsagePoint | undefined)[], of: (point: UsagePoint) => number): (number | null)[] {
  let last: number | null = null;
  return points.map((point) => {
    if (point) last = of(point);
    return last;
  });
}

interface ChartPanelProps {
  title: string;
  times: number[];
  lines: { name: string; values: (number | null)[] }[];
  format: (value: number) => string;
}

function ChartPanel({ title, ...chart }: ChartPanelProps) {
  return (
    <Panel title={title}>
      <div className="h-[210px]">
        <Suspense fallback={<Skeleton rows={4} />}>
          <Chart label={title} {...chart} />
        </Suspense>
      </div>
    </Panel>
  );
}
