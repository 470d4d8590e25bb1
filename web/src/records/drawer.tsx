import { useMutation, useQuery } from "@tanstack/react-query";
import { useRouter } from "@tanstack/react-router";
import { ChevronDown, ChevronUp, Link2, Pencil, Repeat, Undo2 } from "lucide-react";
import { lazy, Suspense, useEffect, useState } from "react";
import { fetchRecords, produceTexts, recordsPath } from "../api/records";
import { deadLetterOf } from "../lib/dead-letter";
import { formatAgo, formatBytes, formatTime } from "../lib/format";
import { draftOf, draftText, fieldBytes, type StoredRecord } from "../lib/record";
import { useMay } from "../shell/here";
import { Button, IconButton } from "../ui/button";
import { CallSnippet, CopyButton } from "../ui/copy";
import { Drawer } from "../ui/dialog";
import { Loaded } from "../ui/loaded";
import { toast, toastProblem } from "../ui/toast";
import { useSendBack } from "./send-back";
import { ValueView } from "./value-view";

const ProduceDialog = lazy(() => import("./produce"));

interface RecordDrawerProps {
  project: string;
  topic: string;
  /** The group whose dead-letter topic this is, where it is shown as that. */
  group?: string;
  /** `partition:offset`. */
  id: string;
  records: StoredRecord[];
  onOpen: (record: StoredRecord | null) => void;
  onSent: (() => void) | undefined;
}

export function RecordDrawer({ project, topic, group, id, records, onOpen, onSent }: RecordDrawerProps) {
  const [partition, offset] = id.split(":").map(Number) as [number, number];
  const at = records.findIndex((record) => record.partition === partition && record.offset === offset);
  const known = records[at];
  // Somebody followed a link: the record is not in the list, and is read by itself.
  const fetched = useQuery({
    queryKey: ["record", project, topic, id],
    queryFn: async () => {
      const query = { offset: String(offset), max_records: "1", on_out_of_range: "error" };
      const page = await fetchRecords({ project, topic }, partition, query);
      return page.records.find((record) => record.offset === offset) ?? null;
    },
    initialData: known,
    staleTime: Infinity,
  });
  const router = useRouter();
  const before = at > 0 ? records[at - 1] : undefined;
  const after = at >= 0 ? records[at + 1] : undefined;
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement;
      if (
        event.ctrlKey ||
        event.metaKey ||
        /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) ||
        target.isContentEditable
      )
        return;
      const next = event.key === "j" ? after : event.key === "k" ? before : undefined;
      if (next) onOpen(next);
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  });
  const share = () => {
    const href = router.buildLocation({
      to: "/p/$project/topics/$topic",
      params: { project, topic },
      search: { record: id },
    }).href;
    navigator.clipboard
      .writeText(window.location.origin + href)
      .then(() => toast("The link to this record is copied."), toastProblem);
  };
  const actions = (
    <>
      <IconButton label="Previous record (k)" disabled={!before} onClick={() => before && onOpen(before)}>
        <ChevronUp className="size-4" />
      </IconButton>
      <IconButton label="Next record (j)" disabled={!after} onClick={() => after && onOpen(after)}>
        <ChevronDown className="size-4" />
      </IconButton>
      <IconButton label="Copy link" onClick={share}>
        <Link2 className="size-4" />
      </IconButton>
    </>
  );
  return (
    <Drawer
      label={`Record ${offset} of partition ${partition}`}
      title={
        <span className="tabular-nums">
          Partition {partition}, offset {offset}
        </span>
      }
      open
      onClose={() => onOpen(null)}
      actions={actions}
    >
      <div className="p-4">
        <Loaded query={fetched}>
          {(record) =>
            record ? (
              <Details
                key={id}
                project={project}
                topic={topic}
                group={group}
                record={record}
                onSent={onSent}
              />
            ) : (
              <p className="text-soft">There is no record at this offset any more.</p>
            )
          }
        </Loaded>
      </div>
    </Drawer>
  );
}

interface DetailsProps {
  project: string;
  topic: string;
  group: string | undefined;
  record: StoredRecord;
  onSent: (() => void) | undefined;
}

function Details({ project, topic, group, record, onSent }: DetailsProps) {
  const [editing, setEditing] = useState(false);
  const mayProduce = useMay("developer");
  const resend = useMutation({
    mutationFn: () => produceTexts({ project, topic }, [draftText(draftOf(record))]),
    onSuccess: ({ results }) => {
      toast(`Sent again: partition ${results[0]?.partition}, offset ${results[0]?.offset}.`);
      onSent?.();
    },
    onError: toastProblem,
  });
  const origin = deadLetterOf(record)?.topic;
  const sendBack = useSendBack(project, group);
  const place = { project, topic };
  const url = `${window.location.origin}${recordsPath(place, record.partition)}?offset=${record.offset}&max_records=1`;
  return (
    <div className="flex flex-col gap-5">
      {mayProduce && (
        <div className="flex flex-wrap gap-2">
          <Button
            small
            icon={<Repeat className="size-3.5" />}
            busy={resend.isPending}
            onClick={() => resend.mutate()}
          >
            Send again
          </Button>
          <Button small icon={<Pencil className="size-3.5" />} onClick={() => setEditing(true)}>
            Edit and send
          </Button>
          {origin && (
            <Button
              small
              icon={<Undo2 className="size-3.5" />}
              busy={sendBack.isPending}
              onClick={() => sendBack.mutate(record)}
            >
              Send back to {origin}
            </Button>
          )}
        </div>
      )}
      <dl className="grid grid-cols-[6rem_minmax(0,1fr)] gap-y-1.5">
        <dt className="text-faint">Time</dt>
        <dd className="tabular-nums">
          {formatTime(record.timestamp)} <span className="text-faint">{formatAgo(record.timestamp)}</span>
        </dd>
        <dt className="text-faint">Timestamp</dt>
        <dd className="tabular-nums">{record.timestamp}</dd>
        <dt className="text-faint">Key</dt>
        <dd className="flex min-w-0 items-start gap-1">
          {record.key.kind === "none" ? (
            <span className="text-faint">none</span>
          ) : (
            <>
              <code className="min-w-0 font-mono text-[12.5px] break-all">{record.key.text}</code>
              {record.key.kind === "base64" && <span className="text-faint">base64</span>}
              <span className="-my-1.5">
                <CopyButton text={record.key.text} label="Copy key" />
              </span>
            </>
          )}
        </dd>
      </dl>
      <section>
        <h3 className="mb-2 font-semibold">
          Value <span className="font-normal text-faint">{formatBytes(fieldBytes(record.value).length)}</span>
        </h3>
        <ValueView value={record.value} />
      </section>
      <section>
        <h3 className="mb-2 font-semibold">Headers</h3>
        {record.headers.length === 0 ? (
          <p className="text-faint">none</p>
        ) : (
          <dl className="overflow-hidden rounded-lg border">
            {record.headers.map((header, index) => (
              <div
                key={index}
                className="grid grid-cols-[minmax(6rem,14.5rem)_minmax(0,1fr)] gap-3 border-b px-3 py-1.5 font-mono text-[12.5px] last:border-b-0"
              >
                <dt className="break-all text-soft">{header.name}</dt>
                <dd className="break-all">{header.value.kind === "none" ? "" : header.value.text}</dd>
              </div>
            ))}
          </dl>
        )}
      </section>
      <section>
        <h3 className="mb-2 font-semibold">Read it without the console</h3>
        <CallSnippet call={{ method: "GET", url }} />
      </section>
      <Suspense fallback={null}>
        {editing && (
          <ProduceDialog
            project={project}
            topic={topic}
            initial={draftOf(record)}
            onClose={() => setEditing(false)}
            onSent={onSent}
          />
        )}
      </Suspense>
    </div>
  );
}
