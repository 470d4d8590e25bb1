import { useQueryClient } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { management, ok, type Schemas } from "../api/client";
import { formatAgo, formatBytes, formatCount } from "../lib/format";
import { Button } from "../ui/button";
import { Confirm } from "../ui/confirm";
import { Badge, Panel } from "../ui/page";
import { type Column, DataTable } from "../ui/table";
import { toast, toastProblem } from "../ui/toast";

type Broker = Schemas["Broker"];

export function Brokers({ brokers }: { brokers: Broker[] }) {
  const [draining, setDraining] = useState<Broker | null>(null);
  const [removing, setRemoving] = useState<Broker | null>(null);
  const queries = useQueryClient();
  const { drain, remove } = useMemo(() => {
    const reread = () => queries.invalidateQueries({ queryKey: ["cluster"] });
    const path = (broker: Broker) => ({ path: { broker: broker.id } });
    return {
      drain: (broker: Broker, on: boolean) =>
        ok(
          management.POST("/cluster/brokers/{broker}/drain", {
            params: path(broker),
            body: { draining: on },
          }),
        ).then(reread),
      remove: (broker: Broker) =>
        ok(management.DELETE("/cluster/brokers/{broker}", { params: path(broker) }))
          .then(() => toast(`Broker ${broker.id} is removed.`))
          .then(reread),
    };
  }, [queries]);
  const columns = useMemo(
    () =>
      columnsOf({
        drain: setDraining,
        undrain: (broker) => void drain(broker, false).catch(toastProblem),
        remove: setRemoving,
      }),
    [drain],
  );
  return (
    <Panel title="Brokers" flush>
      <DataTable
        label="Brokers"
        rows={brokers}
        columns={columns}
        rowId={(broker) => String(broker.id)}
        minWidth={880}
        sort={{ id: "id", desc: false }}
      />
      {draining && (
        <Confirm
          title={`Drain broker ${draining.id}?`}
          action="Drain"
          onConfirm={() => drain(draining, true)}
          onClose={() => setDraining(null)}
        >
          Its {draining.leaders} leaderships and {draining.replicas} replicas move to other brokers. It can be
          undone until it is removed.
        </Confirm>
      )}
      {removing && (
        <Confirm
          title={`Remove broker ${removing.id}?`}
          action="Remove"
          typed={String(removing.id)}
          onConfirm={() => remove(removing)}
          onClose={() => setRemoving(null)}
        >
          For good: its number is not given again. It must be stopped and hold no copies; the service checks
          that.
        </Confirm>
      )}
    </Panel>
  );
}

/** Whether it could be stopped and empty; the service knows for certain. */
const isRemovable = ({ state, replicas }: Broker) => state !== "live" && replicas === 0;

interface Actions {
  drain: (broker: Broker) => void;
  undrain: (broker: Broker) => void;
  remove: (broker: Broker) => void;
}

const TONES = { live: "good", draining: "warn", fenced: "bad" } as const;

function columnsOf({ drain, undrain, remove }: Actions): Column<Broker>[] {
  return [
    {
      id: "id",
      header: "Broker",
      width: "5rem",
      sortBy: (broker) => broker.id,
      cell: (broker) => <span className="font-medium">{broker.id}</span>,
    },
    {
      id: "state",
      header: "State",
      width: "6rem",
      sortBy: (broker) => broker.state,
      cell: (broker) => (
        <Badge tone={TONES[broker.state as keyof typeof TONES] ?? "plain"}>{broker.state}</Badge>
      ),
    },
    {
      id: "rack",
      header: "Rack",
      width: "minmax(5rem, 1fr)",
      sortBy: (broker) => broker.rack ?? "",
      cell: (broker) => broker.rack ?? <span className="text-faint">none</span>,
    },
    {
      id: "leaders",
      header: "Leads",
      width: "5rem",
      align: "right",
      sortBy: (broker) => broker.leaders,
      cell: (broker) => formatCount(broker.leaders),
    },
    {
      id: "replicas",
      header: "Replicas",
      width: "6rem",
      align: "right",
      sortBy: (broker) => broker.replicas,
      cell: (broker) => formatCount(broker.replicas),
    },
    {
      id: "hot_bytes",
      header: "On disk",
      width: "7rem",
      align: "right",
      sortBy: (broker) => broker.hot_bytes ?? -1,
      cell: (broker) => (broker.hot_bytes == null ? "?" : formatBytes(broker.hot_bytes)),
    },
    {
      id: "last_seen",
      header: "Last seen",
      width: "9rem",
      cell: (broker) => <span className="text-soft">{formatAgo(Date.parse(broker.last_seen))}</span>,
    },
    {
      id: "actions",
      header: "",
      width: "10rem",
      align: "right",
      cell: (broker) => (
        <span className="inline-flex gap-2">
          {isRemovable(broker) && (
            <Button small onClick={() => remove(broker)}>
              Remove
            </Button>
          )}
          {broker.state === "draining" ? (
            <Button small onClick={() => undrain(broker)}>
              Undrain
            </Button>
          ) : (
            <Button small onClick={() => drain(broker)}>
              Drain
            </Button>
          )}
        </span>
      ),
    },
  ];
}
