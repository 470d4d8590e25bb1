import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { Plus, Workflow } from "lucide-react";
import { useMemo, useState } from "react";
import { projectPath } from "../api/client";
import { type Group, groupQuery, groupsQuery, type GroupSummary } from "../api/groups";
import { formatCount, formatSpan } from "../lib/format";
import { useMay } from "../shell/here";
import { Button } from "../ui/button";
import { CallSnippet } from "../ui/copy";
import { Loaded } from "../ui/loaded";
import { Badge, Empty, Page, Panel } from "../ui/page";
import { type Column, DataTable } from "../ui/table";
import { CreateGroup } from "./create";
import { lagMs, lagRecords, STATE_TONES } from "./group-lag";

export function Groups() {
  const { project } = useParams({ from: "/app/p/$project/groups" });
  const groups = useQuery(groupsQuery(project));
  const [creating, setCreating] = useState(false);
  const mayChange = useMay("developer");
  const columns = useMemo(() => columnsOf(project), [project]);
  const create = mayChange && !groups.isError && (
    <Button variant="primary" icon={<Plus className="size-4" />} onClick={() => setCreating(true)}>
      Create group
    </Button>
  );
  return (
    <Page
      title="Groups"
      lead="Readers that share topics among them and remember how far they came."
      actions={groups.data?.length !== 0 && create}
    >
      <Loaded query={groups}>
        {(all) => (
          <Panel flush>
            {all.length === 0 ? (
              <Empty icon={<Workflow className="size-5" />} title="No groups yet" action={create}>
                <p className="mb-4">
                  Members of a group each read some of its partitions. Make one here, or with an API key:
                </p>
                <CallSnippet
                  call={{
                    method: "PUT",
                    url: `${window.location.origin}${projectPath(project)}/groups/billing`,
                    body: '{"topics":["orders"],"type":"partitioned","start":"earliest"}',
                  }}
                  className="text-left"
                />
              </Empty>
            ) : (
              <DataTable
                label="Groups"
                rows={all}
                columns={columns}
                rowId={(group) => group.group}
                minWidth={820}
                sort={{ id: "group", desc: false }}
              />
            )}
          </Panel>
        )}
      </Loaded>
      {creating && <CreateGroup project={project} onClose={() => setCreating(false)} />}
    </Page>
  );
}

function columnsOf(project: string): Column<GroupSummary>[] {
  return [
    {
      id: "group",
      header: "Name",
      width: "minmax(7rem, 1fr)",
      sortBy: (group) => group.group,
      cell: ({ group }) => (
        <Link
          to="/p/$project/groups/$group"
          params={{ project, group }}
          className="font-medium text-accent-ink hover:underline"
        >
          {group}
        </Link>
      ),
    },
    {
      id: "lag",
      header: "Lag",
      width: "7rem",
      align: "right",
      cell: ({ group }) => <Lag project={project} group={group} of={lagRecords} format={formatCount} />,
    },
    {
      id: "lag_ms",
      header: "Behind",
      width: "7rem",
      align: "right",
      cell: ({ group }) => <Lag project={project} group={group} of={lagMs} format={formatSpan} />,
    },
    {
      id: "state",
      header: "State",
      width: "7rem",
      sortBy: (group) => group.state,
      cell: ({ state }) => <Badge tone={STATE_TONES[state]}>{state}</Badge>,
    },
    {
      id: "members",
      header: "Members",
      width: "5.5rem",
      align: "right",
      sortBy: (group) => group.members.length,
      cell: ({ members }) => formatCount(members.length),
    },
    {
      id: "type",
      header: "Type",
      width: "6.5rem",
      sortBy: (group) => group.type,
      cell: (group) => group.type,
    },
    {
      id: "topics",
      header: "Topics",
      width: "minmax(8rem, 1fr)",
      cell: ({ topics }) => <span title={topics.join(", ")}>{topics.join(", ")}</span>,
    },
  ];
}

interface LagProps {
  project: string;
  group: string;
  of: (group: Group) => number | null;
  format: (value: number) => string;
}

/** The list does not tell lags: each row that is seen asks for its own. */
function Lag({ project, group, of, format }: LagProps) {
  const { data } = useQuery({ ...groupQuery(project, group), refetchInterval: 10_000 });
  const value = data ? of(data) : null;
  return value === null ? "" : format(value);
}
