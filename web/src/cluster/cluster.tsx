import { useQuery, useQueryClient } from "@tanstack/react-query";
import { ArrowLeftRight } from "lucide-react";
import { useState } from "react";
import { clusterQuery } from "../api/queries";
import { formatCount } from "../lib/format";
import { Button } from "../ui/button";
import { Loaded } from "../ui/loaded";
import { Page, Panel, Stat } from "../ui/page";
import { DataTable } from "../ui/table";
import { Brokers } from "./brokers";
import { Elect } from "./elect";
import { MOVES, moveId } from "./moves";
import { Rebalance } from "./rebalance";

export function ClusterPage() {
  const cluster = useQuery(clusterQuery);
  const [open, setOpen] = useState<"rebalance" | "elect" | null>(null);
  const queries = useQueryClient();
  const reread = () => queries.invalidateQueries({ queryKey: ["cluster"] });
  return (
    <Page
      title="Cluster"
      lead="For operators of the service."
      actions={
        <Button icon={<ArrowLeftRight className="size-4" />} onClick={() => setOpen("rebalance")}>
          Rebalance
        </Button>
      }
    >
      <Loaded query={cluster}>
        {(now) => (
          <div className="flex flex-col gap-4">
            <div className="grid grid-cols-2 gap-3 lg:grid-cols-4">
              <Stat
                name="Brokers"
                value={formatCount(now.brokers.length)}
                note={`${now.brokers.filter((broker) => broker.state === "live").length} live`}
              />
              <Stat
                name="Controller"
                value={now.controller == null ? "none" : `Broker ${now.controller}`}
                note="decides who leads"
              />
              <Stat
                name="Under-replicated"
                value={<Alarm count={now.under_replicated} />}
                note="partitions short of replicas"
              />
              <Stat name="Offline" value={<Alarm count={now.offline} />} note="partitions without a leader" />
            </div>
            {now.offline > 0 && <Offline count={now.offline} onElect={() => setOpen("elect")} />}
            <Brokers brokers={now.brokers} />
            <Panel title="Moves" help="Copies of partitions that are on their way to other brokers." flush>
              <DataTable
                label="Moves"
                rows={now.moves}
                columns={MOVES}
                rowId={moveId}
                empty={<p className="px-4 py-6 text-faint">Nothing moves.</p>}
              />
            </Panel>
            <Panel title="Object store">
              <p className="text-soft">
                The API does not tell what waits for the object store, nor how the cache of cold segments
                does. Each broker says it at <Code>/metrics</Code>:
              </p>
              <ul className="mt-2 flex flex-col gap-1">
                {STORE_METRICS.map((name) => (
                  <li key={name}>
                    <Code>{name}</Code>
                  </li>
                ))}
              </ul>
            </Panel>
            <p className="text-[12.5px] text-faint">
              Cluster <Code>{now.cluster_id}</Code>
            </p>
          </div>
        )}
      </Loaded>
      {open === "rebalance" && <Rebalance onClose={() => setOpen(null)} onDone={reread} />}
      {open === "elect" && <Elect onClose={() => setOpen(null)} onDone={reread} />}
    </Page>
  );
}

const STORE_METRICS = [
  "headwater_tier_backlog_bytes",
  "headwater_tier_cached_bytes",
  "headwater_tier_cache_hits_total",
  "headwater_tier_cache_misses_total",
];

const Alarm = ({ count }: { count: number }) => (
  <span className={count > 0 ? "text-bad" : ""}>{formatCount(count)}</span>
);

const Code = ({ children }: { children: string }) => (
  <code className="font-mono text-[12.5px] break-all">{children}</code>
);

function Offline({ count, onElect }: { count: number; onElect: () => void }) {
  return (
    <div role="status" className="flex flex-wrap items-center gap-3 rounded-xl border bg-warn-wash p-4">
      <p className="min-w-0 flex-1 basis-72">
        {count === 1 ? "One partition has" : `${formatCount(count)} partitions have`} no leader: the brokers
        that have all of its records are away. Once one comes back it leads by itself.
      </p>
      <Button onClick={onElect}>They are lost for good</Button>
    </div>
  );
}
