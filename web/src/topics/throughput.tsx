import { useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { projectUsageQuery, topicQuery, USAGE_RANGES } from "../api/queries";
import { estimateRetention } from "../lib/estimate";
import { formatBytes, formatDuration } from "../lib/format";
import { RangePicker, UsageCharts, useRange } from "../overview/usage-charts";
import { Loaded } from "../ui/loaded";
import { Stat } from "../ui/page";

export function TopicThroughput() {
  const { project, topic } = useParams({ from: "/app/p/$project/topics/$topic/throughput" });
  const [range, setRange] = useRange();
  const usage = useQuery(projectUsageQuery(project, range, topic));
  return (
    <div className="flex flex-col gap-4">
      <div className="flex flex-wrap items-end justify-between gap-3">
        <Estimate project={project} topic={topic} />
        <RangePicker range={range} onChange={setRange} />
      </div>
      <Loaded query={usage} skeleton={<div className="h-[280px]" />}>
        {(series) => <UsageCharts series={series} range={range} withStorage={false} />}
      </Loaded>
    </div>
  );
}

const HOUR_SECONDS = 3_600;

/** What retention will come to at the rate of the last hour. */
function Estimate({ project, topic }: { project: string; topic: string }) {
  const info = useQuery(topicQuery(project, topic)).data?.data;
  const hour = useQuery(projectUsageQuery(project, USAGE_RANGES[0]!, topic)).data;
  if (!info || !hour) return <div className="h-[84px]" />;
  const bytesPerSecond = hour.reduce((sum, point) => sum + point.ingress_bytes, 0) / HOUR_SECONDS;
  const estimate = estimateRetention({
    bytesPerSecond,
    storedBytes: Math.max(info.hot_bytes, info.cold_bytes),
    partitions: info.partitions,
    retentionMs: info.config.retention_ms ?? null,
    retentionBytes: info.config.retention_bytes ?? null,
    compacted: info.config.cleanup_policy === "compact",
  });
  const by = {
    time: "bounded by age",
    size: "bounded by size",
    nothing: "nothing bounds it",
    compaction: "depends on its keys",
  }[estimate.by];
  const level = estimate.levelBytes === null ? (estimate.by === "nothing" ? "Grows without end" : "Compacted") : formatBytes(estimate.levelBytes);
  const note = estimate.levelInMs === null ? by : `${by}, in ${formatDuration(estimate.levelInMs)}`;
  return (
    <div className="grid w-full max-w-2xl grid-cols-2 gap-3 sm:w-auto sm:min-w-96">
      <Stat name="Written in the last hour" value={`${formatBytes(bytesPerSecond)}/s`} note="payload, on average" />
      <Stat name="Retention levels off at" value={level} note={note} />
    </div>
  );
}
