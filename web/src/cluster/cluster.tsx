import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { ArrowLeftRight } from "lucide-react";
import { useMemo, useState } from "react";
import { management, ok, type Schemas } from "../api/client";
import { clusterQuery } from "../api/queries";
import { formatAgo, formatBytes, formatCount } from "../lib/format";
import { Button } from "../ui/button";
import { Confirm } from "../ui/confirm";
import { Dialog } from "../ui/dialog";
import { Loaded } from "../ui/loaded";
import { Badge, Page, Panel, Stat } from "../ui/page";
import { ProblemNote } from "../ui/problem-note";
import { type Column, DataTable } from "../ui/table";
import { toast, toastProblem } from "../ui/toast";

type Broker = Schemas["Broker"];
type Move = Schemas["PartitionMove"];

export function ClusterPage() {
  const cluster = useQuery(clusterQuery);
  const [balancing, setBalancing] = useState(false);
  const [draining, setDraining] = useState<Broker | null>(null);
  const queries = useQueryClient();
  const reread = () => queries.invalidateQueries({ queryKey: ["cluster"] });
  const drain = (broker: number, on: boolean) =>
    ok(management.POST("/cluster/brokers/{broker}/drain", { params: { path: { broker } }, body: { draining: on } })).then(reread);
  const columns = useMemo(() => brokerColumns(setDraining, (broker) => void drain(broker.id, false).catch(toastProblem)), []);
  return (
    <Page
      title="Cluster"
      lead="For operators of the service."
      actions={
        <Button icon={<ArrowLeftRight className="size-4" />} onClick={() => setBalancing(true)}>
          Rebalance
        </Button>
      }
    >
      <Loaded query={cluster}>
        {(now) => (
          <div className="flex flex-col gap-4">
            <div className="grid grid-cols-2 gap-3 lg:grid-cols-4">
              <Stat name="Brokers" value={formatCount(now.brokers.length)} note={`${now.brokers.filter((broker) => broker.state === "live").length} live`} />
              <Stat name="Controller" value={now.controller == null ? "none" : `Broker ${now.controller}`} note="decides who leads" />
              <Stat name="Under-replicated" value={<Alarm count={now.under_replicated} />} note="partitions short of replicas" />
              <Stat name="Offline" value={<Alarm count={now.offline} />} note="partitions without a leader" />
            </div>
            <Panel title="Brokers" flush>
              <DataTable label="Brokers" rows={now.brokers} columns={columns} rowId={(broker) => String(broker.id)} minWidth={760} sort={{ id: "id", desc: false }} />
            </Panel>
            <Panel title="Moves" help="Copies of partitions that are on their way to other brokers." flush>
              <DataTable
                label="Moves"
                rows={now.moves}
                columns={MOVES}
                rowId={(move) => `${move.topic_id}/${move.partition}`}
                empty={<p className="px-4 py-6 text-faint">Nothing moves.</p>}
              />
            </Panel>
            <p className="text-[12.5px] text-faint">
              Cluster <code className="font-mono">{now.cluster_id}</code>
            </p>
          </div>
        )}
      </Loaded>
      {balancing && <Rebalance onClose={() => setBalancing(false)} onDone={reread} />}
      {draining && (
        <Confirm title={`Drain broker ${draining.id}?`} action="Drain" onConfirm={() => drain(draining.id, true)} onClose={() => setDraining(null)}>
          Its {draining.leaders} leaderships and {draining.replicas} replicas move to other brokers. It can be undone until it is removed.
        </Confirm>
      )}
    </Page>
  );
}

const Alarm = ({ count }: { count: number }) => <span className={count > 0 ? "text-bad" : ""}>{formatCount(count)}</span>;

const TONES = { live: "good", draining: "warn", fenced: "bad" } as const;

function brokerColumns(onDrain: (broker: Broker) => void, onUndrain: (broker: Broker) => void): Column<Broker>[] {
  return [
    { id: "id", header: "Broker", width: "5rem", sortBy: (broker) => broker.id, cell: (broker) => <span className="font-medium">{broker.id}</span> },
    { id: "state", header: "State", width: "6rem", sortBy: (broker) => broker.state, cell: (broker) => <Badge tone={TONES[broker.state as keyof typeof TONES] ?? "plain"}>{broker.state}</Badge> },
    { id: "rack", header: "Rack", width: "minmax(5rem, 1fr)", sortBy: (broker) => broker.rack ?? "", cell: (broker) => broker.rack ?? <span className="text-faint">none</span> },
    { id: "leaders", header: "Leads", width: "5rem", align: "right", sortBy: (broker) => broker.leaders, cell: (broker) => formatCount(broker.leaders) },
    { id: "replicas", header: "Replicas", width: "6rem", align: "right", sortBy: (broker) => broker.replicas, cell: (broker) => formatCount(broker.replicas) },
    { id: "hot_bytes", header: "On disk", width: "7rem", align: "right", sortBy: (broker) => broker.hot_bytes ?? -1, cell: (broker) => (broker.hot_bytes == null ? "?" : formatBytes(broker.hot_bytes)) },
    { id: "last_seen", header: "Last seen", width: "9rem", cell: (broker) => <span className="text-soft">{formatAgo(Date.parse(broker.last_seen))}</span> },
    {
      id: "actions",
      header: "",
      width: "7rem",
      align: "right",
      cell: (broker) =>
        broker.state === "draining" ? (
          <Button small onClick={() => onUndrain(broker)}>
            Undrain
          </Button>
        ) : (
          <Button small onClick={() => onDrain(broker)}>
            Drain
          </Button>
        ),
    },
  ];
}

const MOVES: Column<Move>[] = [
  { id: "topic_id", header: "Topic id", width: "minmax(12rem, 1fr)", cell: (move) => <code className="font-mono text-[12px]">{move.topic_id}</code> },
  { id: "partition", header: "Partition", width: "5rem", align: "right", cell: (move) => move.partition },
  { id: "replicas", header: "From", width: "7rem", cell: (move) => move.replicas.join(", ") },
  { id: "target", header: "To", width: "7rem", cell: (move) => move.target.join(", ") },
  {
    id: "done",
    header: "Copied",
    width: "8rem",
    align: "right",
    cell: ({ copied_offset, high_watermark }) => (copied_offset == null || !high_watermark ? "" : `${Math.floor((copied_offset / high_watermark) * 100)} %`),
  },
];

/** Shows first what would move. */
function Rebalance({ onClose, onDone }: { onClose: () => void; onDone: () => void }) {
  const plan = useQuery({
    queryKey: ["rebalance"],
    queryFn: () => ok(management.POST("/cluster/rebalance", { params: { query: { dry_run: true } } })),
    gcTime: 0,
  });
  const run = useMutation({
    mutationFn: () => ok(management.POST("/cluster/rebalance", {})),
    onSuccess: ({ moves }) => {
      toast(`${moves.length} ${moves.length === 1 ? "move" : "moves"} began.`);
      onDone();
      onClose();
    },
  });
  const count = plan.data?.moves.length ?? 0;
  const footer = (
    <>
      <Button onClick={onClose}>Cancel</Button>
      <Button variant="primary" busy={run.isPending} disabled={count === 0} onClick={() => run.mutate()}>
        Move {count > 0 ? count : ""} copies
      </Button>
    </>
  );
  return (
    <Dialog title="Rebalance" description="Moves copies so that brokers share the work evenly. This is what would move." open onClose={onClose} wide footer={footer}>
      <Loaded query={plan}>
        {({ moves }) => (
          <div className="-mx-5">
            <DataTable label="Planned moves" rows={moves} columns={MOVES.slice(0, 4)} rowId={(move) => `${move.topic_id}/${move.partition}`} maxHeight="50dvh" empty={<p className="px-5 py-4 text-soft">The cluster is balanced: nothing would move.</p>} />
          </div>
        )}
      </Loaded>
      {run.isError && <ProblemNote error={run.error} className="mt-4" />}
    </Dialog>
  );
}
