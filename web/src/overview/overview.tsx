import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { Boxes } from "lucide-react";
import {
  projectQuotasQuery,
  projectUsageQuery,
  topicsQuery,
  USAGE_RANGES,
  type UsagePoint,
} from "../api/queries";
import { formatBytes, formatCount, formatRate } from "../lib/format";
import { useHere } from "../shell/here";
import { Loaded } from "../ui/loaded";
import { Page, Panel, Stat } from "../ui/page";
import { Errors } from "./errors";
import { ProjectLag } from "./lag";
import { RangePicker, UsageCharts, useRange } from "./usage-charts";

const RECENT_MS = 5 * 60_000;

/** The rate over the last whole minutes. */
function recentRate(series: UsagePoint[], of: (point: UsagePoint) => number): number {
  const from = Date.now() - RECENT_MS;
  const sum = series
    .filter((point) => Date.parse(point.time) >= from - 60_000)
    .reduce((total, point) => total + of(point), 0);
  return sum / (RECENT_MS / 1_000);
}

export function Overview() {
  const { project } = useParams({ from: "/app/p/$project/" });
  const { project: here } = useHere();
  const [range, setRange] = useRange();
  const usage = useQuery(projectUsageQuery(project, range));
  return (
    <Page
      title={here?.name ?? project}
      name="Overview"
      actions={<RangePicker range={range} onChange={setRange} />}
    >
      <div className="flex flex-col gap-4">
        <Numbers project={project} />
        <Loaded query={usage} skeleton={<div className="h-[560px]" />}>
          {(series) => <UsageCharts series={series} range={range} />}
        </Loaded>
        <div className="grid items-start gap-4 xl:grid-cols-2">
          <ProjectLag project={project} />
          <div className="flex flex-col gap-4">
            <Errors />
            <Largest project={project} />
          </div>
        </div>
      </div>
    </Page>
  );
}

function Numbers({ project }: { project: string }) {
  const hour = useQuery(projectUsageQuery(project, USAGE_RANGES[0]!)).data ?? [];
  const use = useQuery(projectQuotasQuery(project)).data?.data.use;
  const topics = useQuery(topicsQuery(project)).data;
  const hot = topics?.reduce((sum, topic) => sum + topic.hot_bytes, 0);
  const cold = topics?.reduce((sum, topic) => sum + topic.cold_bytes, 0);
  return (
    <div className="grid grid-cols-2 gap-3 lg:grid-cols-4">
      <Stat
        name="Written"
        value={`${formatBytes(recentRate(hour, (point) => point.ingress_bytes))}/s`}
        note={`${formatRate(recentRate(hour, (point) => point.records_in))} records/s, over 5 minutes`}
      />
      <Stat
        name="Read"
        value={`${formatBytes(recentRate(hour, (point) => point.egress_bytes))}/s`}
        note={`${formatRate(recentRate(hour, (point) => point.records_out))} records/s, over 5 minutes`}
      />
      <Stat
        name="Stored"
        value={hot === undefined ? "…" : formatBytes(hot + (cold ?? 0))}
        note={hot === undefined ? "" : `${formatBytes(hot)} on disk, ${formatBytes(cold ?? 0)} in the store`}
      />
      <Stat
        name="Topics"
        value={use ? formatCount(use.topics) : "…"}
        note={use ? `${formatCount(use.partitions)} partitions` : ""}
      />
    </div>
  );
}

const LARGEST = 6;

function Largest({ project }: { project: string }) {
  const topics = useQuery(topicsQuery(project));
  return (
    <Panel
      title="Largest topics"
      flush
      actions={
        <Link
          to="/p/$project/topics"
          params={{ project }}
          className="text-[13px] text-accent-ink hover:underline"
        >
          All topics
        </Link>
      }
    >
      <Loaded query={topics} skeleton={<div className="h-40" />}>
        {(all) => {
          const size = (topic: (typeof all)[number]) => topic.hot_bytes + topic.cold_bytes;
          const largest = [...all].sort((a, b) => size(b) - size(a)).slice(0, LARGEST);
          const most = Math.max(1, ...largest.map(size));
          if (largest.length === 0) {
            return (
              <p className="flex items-center gap-2 p-4 text-soft">
                <Boxes className="size-4" aria-hidden />
                No topics yet.
                <Link to="/p/$project/topics" params={{ project }} className="text-accent-ink underline">
                  Make one
                </Link>
              </p>
            );
          }
          return (
            <ul>
              {largest.map((topic) => (
                <li
                  key={topic.topic_id}
                  className="grid grid-cols-[minmax(0,1fr)_6rem] items-center gap-4 border-b px-4 py-2 last:border-b-0 sm:grid-cols-[minmax(0,16rem)_1fr_6rem]"
                >
                  <Link
                    to="/p/$project/topics/$topic"
                    params={{ project, topic: topic.name }}
                    className="truncate text-accent-ink hover:underline"
                  >
                    {topic.name}
                  </Link>
                  <div className="hidden h-1.5 rounded-full bg-sunken sm:block" aria-hidden>
                    <div
                      className="h-full rounded-full bg-accent"
                      style={{ width: `${(size(topic) / most) * 100}%` }}
                    />
                  </div>
                  <span className="text-right tabular-nums">{formatBytes(size(topic))}</span>
                </li>
              ))}
            </ul>
          );
        }}
      </Loaded>
    </Panel>
  );
}
