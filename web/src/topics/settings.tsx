import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useParams } from "@tanstack/react-router";
import { Pencil, Trash2 } from "lucide-react";
import { useState } from "react";
import { ok, streaming } from "../api/client";
import { topicQuery } from "../api/queries";
import { formatBytes, formatDuration, formatMinute } from "../lib/format";
import { useMay } from "../shell/here";
import { Button } from "../ui/button";
import { Confirm } from "../ui/confirm";
import { CopyButton } from "../ui/copy";
import { Loaded } from "../ui/loaded";
import { Badge, Panel } from "../ui/page";
import { toast } from "../ui/toast";
import { EditTopic } from "./edit";
import { CHOICES, NUMBERS, type NumberSetting } from "./setting-names";

function shown(setting: NumberSetting, value: number | null | undefined): string {
  if (value == null) return setting.none ?? "-";
  if (setting.unit === "count") return String(value);
  return setting.unit === "time" ? formatDuration(value) : formatBytes(value);
}

export function TopicSettings() {
  const { project, topic } = useParams({ from: "/app/p/$project/topics/$topic/settings" });
  const query = useQuery(topicQuery(project, topic));
  const [open, setOpen] = useState<"edit" | "delete" | null>(null);
  const mayChange = useMay("developer");
  const navigate = useNavigate();
  const queries = useQueryClient();
  const remove = async () => {
    await ok(streaming(project).DELETE("/topics/{topic}", { params: { path: { topic }, header: { "If-Match": query.data?.etag } } }));
    queries.removeQueries({ queryKey: ["topic", project, topic] });
    void queries.invalidateQueries({ queryKey: ["topics", project] });
    toast(`Topic ${topic} is deleted.`);
    void navigate({ to: "/p/$project/topics", params: { project } });
  };
  return (
    <Loaded query={query}>
      {({ data, etag }) => (
        <div className="flex flex-col gap-4">
          <Panel
            title="Settings"
            help="What holds for this topic, and whether the topic or the service's default says so."
            flush
            actions={
              mayChange && (
                <Button small icon={<Pencil className="size-3.5" />} onClick={() => setOpen("edit")}>
                  Change
                </Button>
              )
            }
          >
            <dl>
              {CHOICES.map((setting) => (
                <Setting key={setting.name} {...setting} value={setting.choices.find(([value]) => value === data.config[setting.name])?.[1] ?? ""} source={data.config_sources[setting.name]} />
              ))}
              {NUMBERS.map((setting) => (
                <Setting key={setting.name} {...setting} value={shown(setting, data.config[setting.name])} exact={data.config[setting.name]} source={data.config_sources[setting.name]} />
              ))}
            </dl>
          </Panel>
          <Panel title="About" flush>
            <dl>
              <Setting label="Replicas" name="replication_factor" help="Copies of each partition." value={String(data.replication_factor)} />
              <Setting label="Created" name="created_at" help="" value={formatMinute(data.created_at)} />
              <Setting label="Topic id" name="topic_id" help="Stays the topic's own; a later topic of this name has another." value={data.topic_id} copy />
            </dl>
          </Panel>
          {mayChange && (
            <Panel title="Delete this topic" help="Its records go from disk and object store, for everybody, for good.">
              <Button variant="danger" icon={<Trash2 className="size-4" />} onClick={() => setOpen("delete")}>
                Delete topic
              </Button>
            </Panel>
          )}
          {open === "edit" && <EditTopic project={project} topic={data} etag={etag} onClose={() => setOpen(null)} />}
          {open === "delete" && (
            <Confirm title={`Delete ${topic}?`} action="Delete topic" typed={topic} onConfirm={remove} onClose={() => setOpen(null)}>
              {data.partitions} partitions with {formatBytes(data.hot_bytes + data.cold_bytes)} are deleted, and readers of them fail. This
              cannot be undone.
            </Confirm>
          )}
        </div>
      )}
    </Loaded>
  );
}

interface SettingProps {
  label: string;
  name: string;
  help: string;
  value: string;
  exact?: number | null;
  source?: string;
  copy?: boolean;
}

function Setting({ label, name, help, value, exact, source, copy }: SettingProps) {
  return (
    <div className="grid items-baseline gap-x-6 gap-y-0.5 border-b px-4 py-2.5 last:border-b-0 sm:grid-cols-[minmax(0,1fr)_minmax(0,14rem)_5rem]">
      <dt className="min-w-0">
        <span className="font-medium">{label}</span> <code className="ml-1 font-mono text-[12px] text-faint">{name}</code>
        {help && <p className="text-[12.5px] text-faint">{help}</p>}
      </dt>
      <dd className="flex min-w-0 items-center gap-1 break-all tabular-nums" title={exact == null ? undefined : String(exact)}>
        {value}
        {copy && <CopyButton text={value} label={`Copy ${label.toLowerCase()}`} />}
      </dd>
      <dd>{source && <Badge tone={source === "default" ? "plain" : "accent"}>{source}</Badge>}</dd>
    </div>
  );
}
