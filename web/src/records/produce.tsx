import { useMutation } from "@tanstack/react-query";
import { Plus, X } from "lucide-react";
import { type FormEvent, lazy, Suspense, useState } from "react";
import { produceTexts, topicPath } from "../api/records";
import { parseJson } from "../lib/json";
import { type Draft, draftText, type Field as RecordField, type Header, NONE } from "../lib/record";
import { Button, IconButton } from "../ui/button";
import { SameByCall } from "../ui/copy";
import { Dialog } from "../ui/dialog";
import { Field, Input, Select } from "../ui/field";
import { ProblemNote } from "../ui/problem-note";
import { toast } from "../ui/toast";

const Editor = lazy(() => import("./editor"));

interface ProduceDialogProps {
  project: string;
  topic: string;
  initial?: Draft;
  onClose: () => void;
  onSent: (() => void) | undefined;
}

const START: Draft = { key: NONE, value: { kind: "json", text: '{\n  "hello": "world"\n}' }, headers: [] };

export default function ProduceDialog({
  project,
  topic,
  initial = START,
  onClose,
  onSent,
}: ProduceDialogProps) {
  const [draft, setDraft] = useState(initial);
  const [partition, setPartition] = useState(
    initial.partition === undefined ? "" : String(initial.partition),
  );
  const wrong = valueError(draft.value);
  const text = wrong
    ? ""
    : draftText({ ...draft, partition: partition === "" ? undefined : Number(partition) });
  const send = useMutation({
    mutationFn: () => produceTexts({ project, topic }, [text]),
    onSuccess: ({ results }) => {
      toast(`Sent: partition ${results[0]?.partition}, offset ${results[0]?.offset}.`);
      onSent?.();
      onClose();
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    send.mutate();
  };
  const set = (change: Partial<Draft>) => setDraft((old) => ({ ...old, ...change }));
  const footer = (
    <>
      <Button onClick={onClose}>Cancel</Button>
      <Button type="submit" form="produce" variant="primary" busy={send.isPending} disabled={wrong !== null}>
        Send
      </Button>
    </>
  );
  return (
    <Dialog title={`Produce to ${topic}`} open onClose={onClose} wide footer={footer}>
      <form id="produce" onSubmit={submit} className="flex flex-col gap-4">
        <div className="grid gap-4 sm:grid-cols-[7rem_minmax(0,1fr)_9rem]">
          <Field label="Key is">
            <Select
              value={draft.key.kind}
              onChange={(event) => set({ key: ofKind(event.target.value, draft.key) })}
            >
              <option value="text">text</option>
              <option value="base64">base64</option>
              <option value="none">none</option>
            </Select>
          </Field>
          <Field label="Key" help="Records of one key go to one partition.">
            <Input
              className="font-mono text-[12.5px]"
              value={draft.key.kind === "none" ? "" : draft.key.text}
              onChange={(event) =>
                set({
                  key: { kind: draft.key.kind === "base64" ? "base64" : "text", text: event.target.value },
                })
              }
            />
          </Field>
          <Field label="Partition">
            <Input
              type="number"
              min={0}
              placeholder="by the key"
              value={partition}
              onChange={(event) => setPartition(event.target.value)}
            />
          </Field>
        </div>
        <div className="flex flex-col gap-1">
          <div className="flex items-end justify-between gap-3">
            <span className="text-[13px] font-medium">Value</span>
            <Select
              aria-label="Value is"
              className="!w-auto"
              value={draft.value.kind}
              onChange={(event) => set({ value: ofKind(event.target.value, draft.value) })}
            >
              <option value="json">JSON</option>
              <option value="text">text</option>
              <option value="base64">base64</option>
              <option value="none">null (tombstone)</option>
            </Select>
          </div>
          {draft.value.kind !== "none" && (
            <Suspense fallback={<div className="h-56 rounded-md border border-line-strong" />}>
              <Editor
                label="Value"
                value={draft.value.text}
                isJson={draft.value.kind === "json"}
                onChange={(next) => set({ value: { ...draft.value, text: next } as RecordField })}
              />
            </Suspense>
          )}
          <p role="status" className="min-h-[1.5em] text-[12.5px] text-bad">
            {wrong}
          </p>
        </div>
        <Headers headers={draft.headers} onChange={(headers) => set({ headers })} />
        {send.isError && <ProblemNote error={send.error} />}
        {text && (
          <SameByCall
            call={{
              method: "POST",
              url: `${window.location.origin}${topicPath({ project, topic })}/records`,
              body: `{"records":[${text}]}`,
            }}
          />
        )}
      </form>
    </Dialog>
  );
}

function ofKind(kind: string, old: RecordField): RecordField {
  const text = old.kind === "none" ? "" : old.text;
  return kind === "none" ? NONE : { kind: kind as "text", text };
}

/** Whether the value can be sent as what it is said to be; the text itself is never rewritten. */
function valueError(value: RecordField): string | null {
  try {
    if (value.kind === "json") parseJson(value.text);
    if (value.kind === "base64") atob(value.text);
    return null;
  } catch (error) {
    return value.kind === "json" && error instanceof Error ? `Not JSON: ${error.message}` : "Not base64";
  }
}

function Headers({ headers, onChange }: { headers: Header[]; onChange: (headers: Header[]) => void }) {
  const put = (index: number, header: Header) =>
    onChange(headers.map((old, at) => (at === index ? header : old)));
  return (
    <fieldset className="flex flex-col gap-2">
      <legend className="mb-1 text-[13px] font-medium">Headers</legend>
      {headers.map((header, index) => (
        <div key={index} className="flex items-center gap-2">
          <Input
            aria-label="Header name"
            placeholder="name"
            value={header.name}
            onChange={(event) => put(index, { ...header, name: event.target.value })}
          />
          <Input
            aria-label="Header value"
            placeholder={header.value.kind === "base64" ? "base64" : "value"}
            value={header.value.kind === "none" ? "" : header.value.text}
            onChange={(event) =>
              put(index, {
                ...header,
                value: { kind: header.value.kind === "base64" ? "base64" : "text", text: event.target.value },
              })
            }
          />
          <IconButton label="Remove header" onClick={() => onChange(headers.filter((_, at) => at !== index))}>
            <X className="size-4" />
          </IconButton>
        </div>
      ))}
      <Button
        small
        variant="ghost"
        className="self-start"
        icon={<Plus className="size-4" />}
        onClick={() => onChange([...headers, { name: "", value: { kind: "text", text: "" } }])}
      >
        Add header
      </Button>
    </fieldset>
  );
}
