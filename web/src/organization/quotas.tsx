import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Pencil } from "lucide-react";
import { type FormEvent, useState } from "react";
import { management, ok, type Schemas } from "../api/client";
import { formatBytes, formatCount } from "../lib/format";
import { Button } from "../ui/button";
import { Dialog } from "../ui/dialog";
import { Field, Input } from "../ui/field";
import { Panel } from "../ui/page";
import { ProblemNote } from "../ui/problem-note";
import { toast } from "../ui/toast";

type Quotas = Schemas["Quotas"];
type QuotaName = keyof Schemas["QuotaLimits"];

const perSecond = (value: number) => `${formatBytes(value)}/s`;

const NAMES: [name: QuotaName, label: string, format: (value: number) => string, unit: string][] = [
  ["requests_per_second", "Requests", (value) => `${formatCount(value)}/s`, "a second"],
  ["ingress_bytes_per_second", "Written", perSecond, "bytes a second"],
  ["egress_bytes_per_second", "Read", perSecond, "bytes a second"],
  ["topics", "Topics", formatCount, "topics"],
  ["partitions", "Partitions", formatCount, "partitions"],
  ["storage_bytes", "Storage", formatBytes, "bytes"],
  ["connections", "Connections", formatCount, "connections"],
  ["tails", "Live tails", formatCount, "tails"],
];

export type QuotaOwner = { organization: string } | { project: string };

interface QuotasPanelProps {
  title: string;
  owner: QuotaOwner;
  quotas: Quotas;
  etag: string | undefined;
  mayChange: boolean;
}

export function QuotasPanel({ title, owner, quotas, etag, mayChange }: QuotasPanelProps) {
  const [editing, setEditing] = useState(false);
  return (
    <Panel
      title={title}
      help="What is used now, of what may be used. Rates, connections and storage are those of the node that answers."
      flush
      actions={
        mayChange && (
          <Button small icon={<Pencil className="size-3.5" />} onClick={() => setEditing(true)}>
            Change
          </Button>
        )
      }
    >
      <dl className="-mb-px grid sm:grid-cols-2">
        {NAMES.map(([name, label, format]) => (
          <Quota key={name} label={label} use={quotas.use[name]} limit={quotas[name] ?? null} format={format} />
        ))}
      </dl>
      {editing && <EditQuotas title={title} owner={owner} quotas={quotas} etag={etag} onClose={() => setEditing(false)} />}
    </Panel>
  );
}

interface QuotaProps {
  label: string;
  use: number;
  limit: number | null;
  format: (value: number) => string;
}

const NEARLY = 0.8;

function Quota({ label, use, limit, format }: QuotaProps) {
  const share = limit ? Math.min(1, use / limit) : 0;
  const colour = share >= 1 ? "bg-bad-fill" : share >= NEARLY ? "bg-warn" : "bg-accent";
  return (
    <div className="border-b px-4 py-3">
      <div className="flex items-baseline justify-between gap-3">
        <dt>{label}</dt>
        <dd className="tabular-nums">
          {format(use)} <span className="text-faint">{limit === null ? "no limit" : `of ${format(limit)}`}</span>
        </dd>
      </div>
      <div className="mt-1.5 h-1.5 rounded-full bg-sunken" aria-hidden>
        <div className={`h-full rounded-full ${colour}`} style={{ width: `${share * 100}%` }} />
      </div>
    </div>
  );
}

function EditQuotas({ title, owner, quotas, etag, onClose }: Omit<QuotasPanelProps, "mayChange"> & { onClose: () => void }) {
  const [texts, setTexts] = useState(() => Object.fromEntries(NAMES.map(([name]) => [name, quotas[name] == null ? "" : String(quotas[name])])));
  const queries = useQueryClient();
  const body = Object.fromEntries(
    NAMES.map(([name]): [QuotaName, number | null] => [name, texts[name] === "" ? null : Number(texts[name])]).filter(([name, value]) => value !== (quotas[name] ?? null)),
  );
  const header = { "If-Match": etag };
  const save = useMutation({
    mutationFn: (): Promise<unknown> =>
      "project" in owner
        ? ok(management.PATCH("/projects/{project}/quotas", { params: { path: owner, header }, body }))
        : ok(management.PATCH("/organizations/{organization}/quotas", { params: { path: owner, header }, body })),
    onSuccess: () => {
      void queries.invalidateQueries({ queryKey: ["quotas"] });
      toast("The quotas are changed.");
      onClose();
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    save.mutate();
  };
  const footer = (
    <>
      <Button onClick={onClose}>Cancel</Button>
      <Button type="submit" form="quotas" variant="primary" busy={save.isPending} disabled={Object.keys(body).length === 0}>
        Save
      </Button>
    </>
  );
  return (
    <Dialog title={title} description="Empty: as much as is wanted." open onClose={onClose} footer={footer}>
      <form id="quotas" onSubmit={submit} className="grid gap-4 sm:grid-cols-2">
        {NAMES.map(([name, label, , unit]) => (
          <Field key={name} label={label} help={unit}>
            <Input type="number" min={0} value={texts[name]} onChange={(event) => setTexts({ ...texts, [name]: event.target.value })} />
          </Field>
        ))}
        {save.isError && (
          <div className="sm:col-span-2">
            <ProblemNote error={save.error} />
          </div>
        )}
      </form>
    </Dialog>
  );
}
