import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { Boxes, Plus } from "lucide-react";
import { useDeferredValue, useMemo, useState } from "react";
import { projectPath } from "../api/client";
import { type Topic, topicsQuery } from "../api/queries";
import { formatBytes, formatCount, formatDuration, formatMinute } from "../lib/format";
import { useMay } from "../shell/here";
import { Button } from "../ui/button";
import { CallSnippet } from "../ui/copy";
import { Input } from "../ui/field";
import { Loaded } from "../ui/loaded";
import { Badge, Empty, Page, Panel } from "../ui/page";
import { type Column, DataTable } from "../ui/table";
import { CreateTopic } from "./create";

export function Topics() {
  const { project } = useParams({ from: "/app/p/$project/topics" });
  const { q = "", sort = "name", desc = false } = useSearch({ from: "/app/p/$project/topics" });
  const navigate = useNavigate({ from: "/p/$project/topics" });
  const topics = useQuery(topicsQuery(project));
  const [creating, setCreating] = useState(false);
  const mayChange = useMay("developer");
  const wanted = useDeferredValue(q.toLowerCase());
  const found = useMemo(
    () => (topics.data ?? []).filter((topic) => `${topic.name}\n${topic.description}`.toLowerCase().includes(wanted)),
    [topics.data, wanted],
  );
  const columns = useColumns(project);
  const create = mayChange && (
    <Button variant="primary" icon={<Plus className="size-4" />} onClick={() => setCreating(true)}>
      Create topic
    </Button>
  );
  return (
    <Page title="Topics" actions={create}>
      <Loaded query={topics}>
        {(all) =>
          all.length === 0 ? (
            <Panel>
              <NoTopics project={project} action={create} />
            </Panel>
          ) : (
            <Panel flush>
              <div className="flex flex-wrap items-center gap-3 border-b p-3">
                <Input
                  type="search"
                  aria-label="Search topics"
                  placeholder="Search by name or description"
                  className="max-w-sm"
                  value={q}
                  onChange={(event) =>
                    void navigate({ search: (old) => ({ ...old, q: event.target.value || undefined }), replace: true })
                  }
                />
                <span className="text-[13px] text-faint tabular-nums" role="status">
                  {wanted ? `${formatCount(found.length)} of ` : ""}
                  {formatCount(all.length)} {all.length === 1 ? "topic" : "topics"}
                </span>
              </div>
              <DataTable
                label="Topics"
                rows={found}
                columns={columns}
                rowId={(topic) => topic.topic_id}
                minWidth={820}
                sort={{ id: sort, desc }}
                onSort={(next) =>
                  void navigate({ search: (old) => ({ ...old, sort: next.id, desc: next.desc || undefined }), replace: true })
                }
                empty={<p className="px-4 py-10 text-center text-faint">No topic matches this search.</p>}
              />
            </Panel>
          )
        }
      </Loaded>
      {creating && <CreateTopic project={project} onClose={() => setCreating(false)} />}
    </Page>
  );
}

function useColumns(project: string): Column<Topic>[] {
  return useMemo(
    () => [
      {
        id: "name",
        header: "Name",
        width: "minmax(14rem, 1fr)",
        sortBy: (topic) => topic.name,
        cell: (topic) => (
          <Link
            to="/p/$project/topics/$topic"
            params={{ project, topic: topic.name }}
            title={topic.description || topic.name}
            className="font-medium text-accent-ink hover:underline"
          >
            {topic.name}
          </Link>
        ),
      },
      { id: "partitions", header: "Partitions", width: "6rem", align: "right", sortBy: (topic) => topic.partitions, cell: (topic) => formatCount(topic.partitions) },
      { id: "hot_bytes", header: "On disk", width: "6.5rem", align: "right", sortBy: (topic) => topic.hot_bytes, cell: (topic) => formatBytes(topic.hot_bytes) },
      { id: "cold_bytes", header: "In the store", width: "6.5rem", align: "right", sortBy: (topic) => topic.cold_bytes, cell: (topic) => formatBytes(topic.cold_bytes) },
      {
        id: "retention",
        header: "Keeps",
        width: "8rem",
        cell: ({ config }) =>
          config.cleanup_policy === "compact" ? (
            <Badge tone="accent">last of each key</Badge>
          ) : config.retention_ms == null ? (
            "for ever"
          ) : (
            formatDuration(config.retention_ms)
          ),
      },
      { id: "created_at", header: "Created", width: "10.5rem", sortBy: (topic) => topic.created_at, cell: (topic) => <span className="tabular-nums text-soft">{formatMinute(topic.created_at)}</span> },
    ],
    [project],
  );
}

function NoTopics({ project, action }: { project: string; action: React.ReactNode }) {
  const base = `${window.location.origin}${projectPath(project)}`;
  return (
    <Empty icon={<Boxes className="size-5" />} title="No topics yet" action={action}>
      <p className="mb-4">A topic is a log of records that many can write and read. Make one here, or with an API key:</p>
      <CallSnippet call={{ method: "PUT", url: `${base}/topics/orders`, body: '{"partitions":3}' }} className="text-left" />
    </Empty>
  );
}
