import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { Scissors } from "lucide-react";
import { type FormEvent, useMemo, useState } from "react";
import { ok, type Schemas, streaming } from "../api/client";
import { partitionsQuery, topicQuery } from "../api/queries";
import { Elect } from "../cluster/elect";
import { formatBytes, formatCount } from "../lib/format";
import { useHere, useMay } from "../shell/here";
import { Button, IconButton } from "../ui/button";
import { Dialog } from "../ui/dialog";
import { Field, Input } from "../ui/field";
import { Loaded } from "../ui/loaded";
import { Badge, Panel, Stat } from "../ui/page";
import { ProblemNote } from "../ui/problem-note";
import { type Column, DataTable } from "../ui/table";
import { toast } from "../ui/toast";

type Partition = Schemas["PartitionInfo"];

const isShort = (partition: Partition) => partition.in_sync.length < partition.replicas.length;
const sum = (partitions: Partition[], of: (partition: Partition) => number) =>
  partitions.reduce((total, one) => total + of(one), 0);

export function Partitions() {
  const { project, topic } = useParams({ from: "/app/p/$project/topics/$topic/partitions" });
  const partitions = useQuery(partitionsQuery(project, topic));
  const [trimmed, setTrimmed] = useState<Partition | null>(null);
  const [leaderless, setLeaderless] = useState<number | null>(null);
  const mayChange = useMay("developer");
  const isOperator = useHere().me?.operator === true;
  const topicId = useQuery(topicQuery(project, topic)).data?.data.topic_id;
  const columns = useMemo(
    () => columnsOf(mayChange ? setTrimmed : undefined, isOperator ? setLeaderless : undefined),
    [mayChange, isOperator],
  );
  return (
    <Loaded query={partitions}>
      {(all) => (
        <>
          <div className="mb-4 grid grid-cols-2 gap-3 lg:grid-cols-4">
            <Stat
              name="Records"
              value={formatCount(sum(all, (one) => one.high_watermark - one.log_start))}
              note="between the ends of the log"
            />
            <Stat name="On disk" value={formatBytes(sum(all, (one) => one.hot_bytes))} />
            <Stat
              name="In the object store"
              value={formatBytes(sum(all, (one) => one.cold_bytes))}
              note={`${formatBytes(sum(all, (one) => one.offload_backlog_bytes))} yet to be uploaded`}
            />
            <Stat
              name="Short of replicas"
              value={formatCount(all.filter(isShort).length)}
              note={`${all.filter((one) => one.leader == null).length} without a leader`}
            />
          </div>
          <Panel flush>
            <DataTable
              label="Partitions"
              rows={all}
              columns={columns}
              rowId={(one) => String(one.partition)}
              minWidth={1080}
              sort={{ id: "partition", desc: false }}
            />
          </Panel>
          {leaderless !== null && (
            <Elect
              topicId={topicId}
              partition={leaderless}
              onClose={() => setLeaderless(null)}
              onDone={() => void partitions.refetch()}
            />
          )}
          {trimmed && (
            <Trim project={project} topic={topic} partition={trimmed} onClose={() => setTrimmed(null)} />
          )}
        </>
      )}
    </Loaded>
  );
}

function columnsOf(
  onTrim: ((partition: Partition) => void) | undefined,
  onElect: ((partition: number) => void) | undefined,
): Column<Partition>[] {
  const number = (
    id: string,
    header: string,
    of: (one: Partition) => number,
    format = formatCount,
  ): Column<Partition> => ({
    id,
    header,
    width: "minmax(5.5rem, 1fr)",
    align: "right",
    sortBy: of,
    cell: (one) => format(of(one)),
  });
  return [
    {
      id: "partition",
      header: "Partition",
      width: "5rem",
      align: "right",
      sortBy: (one) => one.partition,
      cell: (one) => one.partition,
    },
    {
      id: "leader",
      header: "Leader",
      width: "8rem",
      sortBy: (one) => one.leader ?? -1,
      cell: ({ leader, partition }) =>
        leader != null ? (
          `Broker ${leader}`
        ) : (
          <span className="inline-flex items-center gap-2">
            <Badge tone="bad">none</Badge>
            {onElect && (
              <Button small onClick={() => onElect(partition)}>
                Elect
              </Button>
            )}
          </span>
        ),
    },
    {
      id: "in_sync",
      header: "In sync",
      width: "minmax(7rem, 1fr)",
      sortBy: (one) => one.in_sync.length - one.replicas.length,
      cell: (one) => (
        <span className="inline-flex items-center gap-1.5 tabular-nums">
          <Badge tone={isShort(one) ? "warn" : "good"}>
            {one.in_sync.length} of {one.replicas.length}
          </Badge>
          <span className="truncate text-faint">{one.in_sync.join(", ")}</span>
        </span>
      ),
    },
    number("log_start", "First offset", (one) => one.log_start),
    number("high_watermark", "Next offset", (one) => one.high_watermark),
    number("hot_bytes", "On disk", (one) => one.hot_bytes, formatBytes),
    number("hot_start", "On disk from", (one) => one.hot_start),
    number("cold_bytes", "In the store", (one) => one.cold_bytes, formatBytes),
    {
      id: "cold_start",
      header: "In the store from",
      width: "minmax(6.5rem, 1fr)",
      align: "right",
      sortBy: (one) => one.cold_start ?? -1,
      cell: (one) => (one.cold_start == null ? "–" : formatCount(one.cold_start)),
    },
    {
      id: "actions",
      header: "",
      width: "2.5rem",
      cell: (one) =>
        onTrim && (
          <IconButton
            label={`Trim partition ${one.partition}`}
            onClick={() => onTrim(one)}
            disabled={one.high_watermark === one.log_start}
          >
            <Scissors className="size-4" />
          </IconButton>
        ),
    },
  ];
}

function Trim({
  project,
  topic,
  partition,
  onClose,
}: {
  project: string;
  topic: string;
  partition: Partition;
  onClose: () => void;
}) {
  const [text, setText] = useState("");
  const queries = useQueryClient();
  const before = Number(text);
  const valid =
    text !== "" &&
    Number.isInteger(before) &&
    before > partition.log_start &&
    before <= partition.high_watermark;
  const trim = useMutation({
    mutationFn: () =>
      ok(
        streaming(project).POST("/topics/{topic}/trim", {
          params: { path: { topic } },
          body: { partition: partition.partition, before_offset: before },
        }),
      ),
    onSuccess: (answer) => {
      toast(`Partition ${answer.partition} now begins at offset ${formatCount(answer.log_start)}.`);
      void queries.invalidateQueries({ queryKey: ["partitions", project, topic] });
      onClose();
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    trim.mutate();
  };
  const footer = (
    <>
      <Button onClick={onClose}>Cancel</Button>
      <Button variant="danger" type="submit" form="trim" busy={trim.isPending} disabled={!valid}>
        {valid ? `Delete ${formatCount(before - partition.log_start)} offsets` : "Delete"}
      </Button>
    </>
  );
  return (
    <Dialog
      title={`Trim partition ${partition.partition}`}
      description="All records before an offset are deleted. This cannot be undone."
      open
      onClose={onClose}
      footer={footer}
    >
      <form id="trim" onSubmit={submit} className="flex flex-col gap-4">
        <Field
          label="Delete records before offset"
          help={`From ${partition.log_start + 1} to ${partition.high_watermark}; at ${partition.high_watermark} nothing is left.`}
        >
          <Input
            type="number"
            value={text}
            min={partition.log_start + 1}
            max={partition.high_watermark}
            onChange={(event) => setText(event.target.value)}
            autoFocus
          />
        </Field>
        {trim.isError && <ProblemNote error={trim.error} />}
      </form>
    </Dialog>
  );
}
