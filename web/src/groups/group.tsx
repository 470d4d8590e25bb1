import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { RotateCcw, Trash2 } from "lucide-react";
import { useCallback, useState } from "react";
import type { Schemas } from "../api/client";
import { deleteGroup, type Group, groupQuery } from "../api/groups";
import { formatAgo, formatDuration, formatSpan } from "../lib/format";
import { assignmentText } from "../lib/assignment";
import { type LagSample, timeToDrain } from "../lib/lag";
import { useMay } from "../shell/here";
import { Button } from "../ui/button";
import { Confirm } from "../ui/confirm";
import { Loaded } from "../ui/loaded";
import { Badge, Page, Panel, Stat } from "../ui/page";
import { type Column, DataTable } from "../ui/table";
import { toast } from "../ui/toast";
import { DeadLetters } from "./dead-letters";
import { countOrUnknown, lagMs, lagRecords, STATE_TONES } from "./group-lag";
import { LagChart } from "./lag-chart";
import { useLagSamples } from "./lag-samples";
import { Positions } from "./positions";
import { ResetGroup } from "./reset";
import { Work } from "./work";

export function GroupPage() {
  const { project, group: name } = useParams({ from: "/app/p/$project/groups/$group" });
  const group = useQuery(groupQuery(project, name));
  const records = group.data ? lagRecords(group.data) : null;
  const samples = useLagSamples(`${project}/${name}`, records, group.dataUpdatedAt);
  const [open, setOpen] = useState<"reset" | "delete" | null>(null);
  const mayChange = useMay("developer") && group.data !== undefined;
  const navigate = useNavigate();
  const remove = async () => {
    await deleteGroup(project, name);
    toast(`Group ${name} is deleted.`);
    void navigate({ to: "/p/$project/groups", params: { project } });
  };
  const { letter } = useSearch({ from: "/app/p/$project/groups/$group" });
  const openLetter = useCallback(
    (id: string | undefined) => void navigate({ to: ".", search: { letter: id }, replace: true }),
    [navigate],
  );
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
            {now.work && <Work work={now.work} config={now.config} />}
            <Panel
              title="Lag"
              help="Since this group was first looked at here: the API keeps no history of it."
            >
              <LagChart samples={samples} />
            </Panel>
            {now.config.dead_letter_topic != null && (
              <DeadLetters
                project={project}
                group={name}
                topic={now.config.dead_letter_topic}
                opened={letter}
                onOpen={openLetter}
              />
            )}
            <Settings config={now.config} />
            {now.type === "partitioned" && (
              <Panel title="Members" flush>
                <DataTable
                  label="Members"
                  rows={now.members}
                  columns={MEMBERS}
                  rowId={(member) => member.member}
                  empty={<p className="px-4 py-6 text-faint">Nobody reads in this group now.</p>}
                />
              </Panel>
            )}
            <Positions project={project} positions={now.positions} />
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
      <Stat name="Lag" value={countOrUnknown(lagRecords(group))} note="records" />
      <Stat
        name="Behind"
        value={behind === null ? "-" : formatSpan(behind)}
        note="the partition that is furthest behind"
      />
      <Stat
        name="Time to drain"
        value={drain === null ? "-" : drain === 0 ? "drained" : formatSpan(drain)}
        note={drain === null ? "the lag does not shrink" : "at the rate seen here"}
      />
    </div>
  );
}

/** What the group was made with. */
function Settings({ config }: { config: Schemas["GroupConfig"] }) {
  const entries = Object.entries(config).filter(([, value]) => value != null);
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
              {typeof value === "number" && name.endsWith("_ms") ? formatDuration(value) : String(value)}
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
    cell: ({ assignment }) => {
      const text = assignmentText(assignment);
      return <span title={text}>{text}</span>;
    },
  },
  {
    id: "expires_at",
    header: "Lease ends",
    width: "8rem",
    cell: (one) => <span className="text-soft">{formatAgo(Date.parse(one.expires_at))}</span>,
  },
];
