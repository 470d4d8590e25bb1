import { useQuery } from "@tanstack/react-query";
import { Outlet, useParams } from "@tanstack/react-router";
import { topicQuery } from "../api/queries";
import { formatBytes } from "../lib/format";
import { Loaded } from "../ui/loaded";
import { Badge, Page } from "../ui/page";
import { TabLinks } from "../ui/tabs";

export function TopicPage() {
  const params = useParams({ from: "/app/p/$project/topics/$topic" });
  const topic = useQuery(topicQuery(params.project, params.topic));
  return (
    <Page
      title={<span className="font-mono text-lg">{params.topic}</span>}
      name={params.topic}
      lead={topic.data?.data.description}
      actions={
        topic.data && (
          <div className="flex flex-wrap gap-1.5 pt-1">
            <Badge>
              {topic.data.data.partitions} {topic.data.data.partitions === 1 ? "partition" : "partitions"}
            </Badge>
            <Badge>{formatBytes(topic.data.data.hot_bytes + topic.data.data.cold_bytes)}</Badge>
            {topic.data.data.config.cleanup_policy === "compact" && <Badge tone="accent">compacted</Badge>}
          </div>
        )
      }
    >
      <TabLinks
        label="Topic"
        tabs={[
          { name: "Records", to: "/p/$project/topics/$topic", params },
          { name: "Throughput", to: "/p/$project/topics/$topic/throughput", params },
          { name: "Partitions", to: "/p/$project/topics/$topic/partitions", params },
          { name: "Settings", to: "/p/$project/topics/$topic/settings", params },
        ]}
      />
      <Loaded query={topic}>{() => <Outlet />}</Loaded>
    </Page>
  );
}
