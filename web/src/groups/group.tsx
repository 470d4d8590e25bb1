import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { RotateCcw, Trash2 } from "lucide-react";
import { lazy, Suspense, useEffect, useMemo, useState } from "react";
import type { Schemas } from "../api/client";
import { deleteGroup, type Group, groupQuery } from "../api/groups";
import { formatAgo, formatCount, formatDuration } from "../lib/format";
import { type LagSample, timeToDrain } from "../lib/lag";
import { useMay } from "../shell/here";
import { Button } from "../ui/button";
import { Confirm } from "../ui/confirm";
import { Loaded } from "../ui/loaded";
import { Badge, Page, Panel, Stat } from "../ui/page";
import { type Column, DataTable } from "../ui/table";
import { toast } from "../ui/toast";
import { lagMs, lagRecords, STATE_TONES } from "./group-lag";
import { ResetGroup } from "./reset";

const Chart = lazy(() => import("../ui/chart"));

/** The lag is remembered for as long as the page is open: the API has no history of it. */
const SAMPLES_MAX = 600;

function useLagSamples(group: Group | undefined): LagSample[] {
  const [samples, setSamples] = useState<LagSample[]>([]);
  useEffect(() => {
    const records = group && lagRecords(group);
    if (records == null) return;
    setSamples((old) => [...old.slice(1 - SAMPLES_MAX), { time: Date.now(), records }]);
  }, [group]);
  return samples;
}

export function GroupPage() {
  const { project, group: name } = useParams({ from: "/app/p/$project/groups/$group" });
  const group = useQuery(groupQuery(project, name));
  const samples = useLagSamples(group.data);
  const [open, setOpen] = useState<"reset" | "delete" | null>(null);
  const mayChange = useMay("developer") && group.data !== undefined;
  const navigate = useNavigate();
  const remove = async () => {
    await deleteGroup(project, name);
    toast(`Group ${name} is deleted.`);
    void navigate({ to: "/p/$project/groups", params: { project } });
  };
  const positions = useMemo(() => positionColumns(project), [project]);
  return (
    <Page
      title={<span className="font-mono text-lg">{name}</span>}
      name={name}
      actions={
        mayChange && (
          <>
            <Button icon={<RotateCcw className="size-4" />} onClick={() => setOpen("reset")}>
              Reset
            </Button>
            <Button icon={<Trash2 className="size-4" />} onClick={() => setOpen("delete")}>
              Delete
            </Button>
          </>
        )
      }
    >
      <Loaded query={group}>
        {(now) => (
          <div className="flex flex-col gap-4">
            <Numbers group={now} samples={samples} />
            <Panel title="Lag" help="Since this page is open.">
              <div className="h-[210px]">
                <Suspense fallback={null}>
                  <Chart
                    label="Lag in records"
                    times={samples.map((sample) => sample.time)}
                    lines={[{ name: "Records behind", values: samples.map((sample) => sample.records) }]}
                    format={formatCount}
                  />
                </Suspense>
              </div>
            </Panel>
            <Settings project={project} group={now} />
            <Panel title="Members" flush>
              <DataTable
                label="Members"
                rows={now.members}
                columns={MEMBERS}
                rowId={(member) => member.member}
                empty={<p className="px-4 py-6 text-faint">Nobody reads in this group now.</p>}
              />
            </Panel>
            <Panel title="Positions" flush>
              <DataTable
                label="Positions"
                rows={now.positions}
                columns={positions}
                rowId={(position) => `${position.topic}/${position.partition}`}
                minWidth={760}
                empty={<p className="px-4 py-6 text-faint">No positions.</p>}
              />
            </Panel>
            {open === "reset" && (
              <ResetGroup
                project={project}
                group={now}
                onClose={() => setOpen(null)}
                onReset={() => void group.refetch()}
              />
            )}
          </div>
        )}
      </Loaded>
      {open === "delete" && (
        <Confirm
          title={`Delete ${name}?`}
          action="Delete group"
          typed={name}
          onConfirm={remove}
          onClose={() => setOpen(null)}
        >
          The group forgets its members and how far they came. The records stay.
        </Confirm>
      )}
    </Page>
  );
}

function Numbers({ group, samples }: { group: Group; samples: LagSample[] }) {
  const drain = timeToDrain(samples);
  const behind = lagMs(group);
  return (
    <div className="grid grid-cols-2 gap-3 lg:grid-cols-4">
      <Stat
        name="State"
        value={<Badge tone={STATE_TONES[group.state]}>{group.state}</Badge>}
        note={group.type}
      />
      <Stat name="Lag" value={textOf(lagRecords(group))} note="records" />
      <Stat
        name="Behind"
        value={behind === null ? "-" : formatDuration(behind)}
        note="the partition that is furthest behind"
      />
      <Stat
        name="Time to drain"
        value={drain === null ? "-" : drain === 0 ? "drained" : formatDuration(drain)}
        note={drain === null ? "the lag does not shrink" : "at the rate seen here"}
      />
    </div>
  );
}

/** What the group was made with, and where what nobody could handle goes. */
function Settings({ project, group }: { project: string; group: Group }) {
  const entries = Object.entries(group.config).filter(([, value]) => value != null);
  if (entries.length === 0) return null;
  return (
    <Panel title="Settings" flush>
      <dl>
        {entries.map(([name, value]) => (
          <div
            key={name}
            className="grid grid-cols-[minmax(0,14rem)_minmax(0,1fr)] gap-4 border-b px-4 py-2 last:border-b-0"
          >
            <dt className="truncate font-mono text-[12.5px] text-soft">{name}</dt>
            <dd className="truncate tabular-nums">
              {name === "dead_letter_topic" ? (
                <Link
                  to="/p/$project/topics/$topic"
                  params={{ project, topic: String(value) }}
                  search={{ header: `headwater-group=${group.group}`, from: "earliest" }}
                  className="text-accent-ink hover:underline"
                >
                  {String(value)}: the dead letters of this group
                </Link>
              ) : typeof value === "number" && name.endsWith("_ms") ? (
                formatDuration(value)
              ) : (
                String(value)
              )}
            </dd>
          </div>
        ))}
      </dl>
    </Panel>
  );
}

const MEMBERS: Column<Schemas["GroupMember"]>[] = [
  {
    id: "member",
    header: "Member",
    width: "minmax(8rem, 1fr)",
    sortBy: (one) => one.member,
    cell: (one) => <span className="font-medium">{one.member}</span>,
  },
  { id: "instance", header: "Instance", width: "minmax(8rem, 1fr)", cell: (one) => one.instance ?? "" },
  {
    id: "assignment",
    header: "Reads",
    width: "minmax(10rem, 2fr)",
    cell: (one) => one.assignment.map(({ topic, partition }) => `${topic} ${partition}`).join(", "),
  },
  {
    id: "expires_at",
    header: "Lease ends",
    width: "8rem",
    cell: (one) => <span className="text-soft">{formatAgo(Date.parse(one.expires_at))}</span>,
  },
];

const textOf = (count: number | null | undefined) => (count == null ? "?" : formatCount(count));

function positionColumns(project: string): Column<Schemas["GroupPosition"]>[] {
  return [
    {
      id: "topic",
      header: "Topic",
      width: "minmax(8rem, 1fr)",
      sortBy: (one) => one.topic,
      cell: ({ topic }) => (
        <Link
          to="/p/$project/topics/$topic"
          params={{ project, topic }}
          className="text-accent-ink hover:underline"
        >
          {topic}
        </Link>
      ),
    },
    {
      id: "partition",
      header: "Partition",
      width: "5.5rem",
      align: "right",
      sortBy: (one) => one.partition,
      cell: (one) => one.partition,
    },
    {
      id: "committed",
      header: "Committed",
      width: "8rem",
      align: "right",
      sortBy: (one) => one.committed ?? -1,
      cell: (one) => (one.committed == null ? "none" : formatCount(one.committed)),
    },
    {
      id: "high_watermark",
      header: "Next offset",
      width: "8rem",
      align: "right",
      sortBy: (one) => one.high_watermark ?? -1,
      cell: (one) => textOf(one.high_watermark),
    },
    {
      id: "lag",
      header: "Lag",
      width: "7rem",
      align: "right",
      sortBy: (one) => one.lag ?? -1,
      cell: (one) => textOf(one.lag),
    },
    {
      id: "lag_ms",
      header: "Behind",
      width: "11.5rem",
      align: "right",
      sortBy: (one) => one.lag_ms ?? -1,
      cell: (one) => (one.lag_ms == null ? "" : formatDuration(one.lag_ms)),
    },
  ];
}
