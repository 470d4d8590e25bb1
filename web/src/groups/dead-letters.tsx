import { Link } from "@tanstack/react-router";
import { Undo2 } from "lucide-react";
import { useEffect, useMemo, useSyncExternalStore } from "react";
import { deadLetterOf } from "../lib/dead-letter";
import { formatMinute } from "../lib/format";
import { preview, type StoredRecord } from "../lib/record";
import { RecordDrawer } from "../records/drawer";
import { RecordReader } from "../records/reader";
import { useSendBack } from "../records/send-back";
import { useMay } from "../shell/here";
import { Button } from "../ui/button";
import { Panel } from "../ui/page";
import { ProblemNote } from "../ui/problem-note";
import { Skeleton } from "../ui/skeleton";
import { type Column, DataTable } from "../ui/table";
import { RedriveButton } from "./redrive";

interface DeadLettersProps {
  project: string;
  group: string;
  /** The dead-letter topic, which other groups may write to as well. */
  topic: string;
  /** The letter that is open, as `partition:offset`. */
  opened: string | undefined;
  onOpen: (id: string | undefined) => void;
}

/** So many of the topic's newest records are searched for this group's letters. */
const NEWEST = 10_000;
const READ_ON_EVERY_MS = 5_000;

const idOf = ({ partition, offset }: StoredRecord) => `${partition}:${offset}`;

export function DeadLetters({ project, group, topic, opened, onOpen }: DeadLettersProps) {
  const header = `headwater-group=${group}`;
  const reader = useMemo(
    () => new RecordReader({ project, topic }, { header, n: NEWEST }),
    [project, topic, header],
  );
  useEffect(() => {
    reader.start();
    const timer = setInterval(() => reader.getState().status === "idle" && reader.resume(), READ_ON_EVERY_MS);
    return () => {
      clearInterval(timer);
      reader.stop();
    };
  }, [reader]);
  const { records, status, scanned, error } = useSyncExternalStore(reader.subscribe, reader.getState);
  const mayProduce = useMay("developer");
  const { mutate: sendBack } = useSendBack(project, group);
  const columns = useMemo(
    () => columnsOf(onOpen, mayProduce ? sendBack : undefined),
    [onOpen, mayProduce, sendBack],
  );
  return (
    <Panel
      title="Dead letters"
      flush
      actions={mayProduce && <RedriveButton project={project} group={group} />}
      help={
        <>
          Of this group, among the newest records of{" "}
          <Link
            to="/p/$project/topics/$topic"
            params={{ project, topic }}
            search={{ header, from: "earliest" }}
            className="text-accent-ink underline"
          >
            {topic}
          </Link>
        </>
      }
    >
      {status === "failed" && <ProblemNote error={error} className="m-3" onRetry={() => reader.resume()} />}
      {scanned === 0 && status === "reading" ? (
        <Skeleton rows={3} className="p-4" />
      ) : (
        <DataTable
          label="Dead letters"
          rows={records}
          columns={columns}
          rowId={idOf}
          minWidth={820}
          maxHeight="50dvh"
          empty={<p className="px-4 py-6 text-faint">No record was given up.</p>}
        />
      )}
      {opened !== undefined && (
        <RecordDrawer
          project={project}
          topic={topic}
          group={group}
          id={opened}
          records={records}
          onOpen={(record) => onOpen(record ? idOf(record) : undefined)}
          onSent={undefined}
        />
      )}
    </Panel>
  );
}

function columnsOf(
  onOpen: (id: string) => void,
  onSendBack: ((letter: StoredRecord) => void) | undefined,
): Column<StoredRecord>[] {
  return [
    {
      id: "time",
      header: "Died",
      width: "9.5rem",
      cell: (record) => (
        <button
          type="button"
          aria-label={`Open letter ${idOf(record)}`}
          className="rounded text-accent-ink tabular-nums hover:underline"
          onClick={() => onOpen(idOf(record))}
        >
          {formatMinute(record.timestamp)}
        </button>
      ),
    },
    {
      id: "reason",
      header: "Reason",
      width: "minmax(10rem, 2fr)",
      cell: (record) => {
        const reason = deadLetterOf(record)?.reason;
        return <span title={reason}>{reason}</span>;
      },
    },
    {
      id: "origin",
      header: "Came from",
      width: "minmax(9rem, 1fr)",
      cell: (record) => {
        const letter = deadLetterOf(record);
        return letter && `${letter.topic} ${letter.partition} ${letter.offset}`;
      },
    },
    {
      id: "attempts",
      header: "Attempts",
      width: "5rem",
      align: "right",
      cell: (record) => deadLetterOf(record)?.attempts,
    },
    {
      id: "key",
      header: "Key",
      width: "minmax(6rem, 1fr)",
      cell: (record) => <span className="font-mono text-[12px]">{preview(record.key, 100)}</span>,
    },
    {
      id: "actions",
      header: "",
      width: "8rem",
      align: "right",
      cell: (record) =>
        onSendBack && (
          <Button small icon={<Undo2 className="size-3.5" />} onClick={() => onSendBack(record)}>
            Send back
          </Button>
        ),
    },
  ];
}
