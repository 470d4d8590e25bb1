import { useMutation } from "@tanstack/react-query";
import { Plus, X } from "lucide-react";
import { type FormEvent, useState } from "react";
import { management, ok, projectPath, type Schemas } from "../api/client";
import { Button, IconButton } from "../ui/button";
import { SameByCall } from "../ui/copy";
import { Checkbox, Field, Input, Select } from "../ui/field";
import { Dialog } from "../ui/dialog";
import { ProblemNote } from "../ui/problem-note";

type Scope = Schemas["Scope"];
type Grant = Schemas["Grant"];

const GRANTS: [Grant, string][] = [
  ["describe", "see topics and settings"],
  ["produce", "append records"],
  ["fetch", "read records"],
  ["consume", "read as a member of a group"],
  ["manage", "create, change, trim, delete"],
];

const EXPIRIES: [name: string, days: number | null][] = [
  ["Never", null],
  ["In 30 days", 30],
  ["In 90 days", 90],
  ["In a year", 365],
];

const DAY_MS = 86_400_000;

interface KeyFormProps {
  project: string;
  existing?: Schemas["Key"];
  onClose: () => void;
  onSaved: (name: string, secret: string | null) => void;
}

export function KeyForm({ project, existing, onClose, onSaved }: KeyFormProps) {
  const [name, setName] = useState(existing?.name ?? "");
  const [scopes, setScopes] = useState<Scope[]>(
    existing?.scopes ?? [{ operations: ["describe", "produce", "fetch"], topic: "*" }],
  );
  const [expiry, setExpiry] = useState(existing ? "keep" : "Never");
  const days = EXPIRIES.find(([label]) => label === expiry)?.[1];
  const [now] = useState(Date.now);
  const expires_at =
    expiry === "keep" ? existing?.expires_at : days ? new Date(now + days * DAY_MS).toISOString() : null;
  const spec = {
    scopes,
    ...(expires_at ? { expires_at } : {}),
    ...(existing ? { quotas: existing.quotas } : {}),
  };
  const save = useMutation({
    mutationFn: () =>
      ok(
        management.PUT("/projects/{project}/keys/{key}", {
          params: { path: { project, key: name } },
          body: spec,
        }),
      ),
    onSuccess: (key) => onSaved(key.name, "secret" in key ? (key.secret ?? null) : null),
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    save.mutate();
  };
  const put = (index: number, scope: Scope) =>
    setScopes(scopes.map((old, at) => (at === index ? scope : old)));
  const complete =
    name !== "" &&
    scopes.length > 0 &&
    scopes.every((scope) => scope.operations.length > 0 && (scope.topic || scope.group));
  const footer = (
    <>
      <Button onClick={onClose}>Cancel</Button>
      <Button type="submit" form="key" variant="primary" busy={save.isPending} disabled={!complete}>
        {existing ? "Save" : "Create key"}
      </Button>
    </>
  );
  return (
    <Dialog
      title={existing ? `Scopes of ${existing.name}` : "Create key"}
      open
      onClose={onClose}
      wide
      footer={footer}
    >
      <form id="key" onSubmit={submit} className="flex flex-col gap-4">
        <div className="grid gap-4 sm:grid-cols-2">
          <Field label="Name" help="Of the program that will use it.">
            <Input
              value={name}
              onChange={(event) => setName(event.target.value)}
              disabled={existing !== undefined}
              autoComplete="off"
              required
            />
          </Field>
          <Field label="Expires">
            <Select value={expiry} onChange={(event) => setExpiry(event.target.value)}>
              {existing && <option value="keep">As it does now</option>}
              {EXPIRIES.map(([label]) => (
                <option key={label}>{label}</option>
              ))}
            </Select>
          </Field>
        </div>
        {scopes.map((scope, index) => (
          <ScopeFields
            key={index}
            number={index + 1}
            scope={scope}
            onChange={(next) => put(index, next)}
            onRemove={scopes.length > 1 ? () => setScopes(scopes.filter((_, at) => at !== index)) : undefined}
          />
        ))}
        <Button
          small
          variant="ghost"
          className="self-start"
          icon={<Plus className="size-4" />}
          onClick={() => setScopes([...scopes, { operations: ["consume"], group: "*" }])}
        >
          Add scope
        </Button>
        {save.isError && <ProblemNote error={save.error} />}
        <SameByCall
          call={{
            method: "PUT",
            url: `${window.location.origin}${projectPath(project)}/keys/${name || "NAME"}`,
            body: JSON.stringify(spec),
          }}
        />
      </form>
    </Dialog>
  );
}

interface ScopeFieldsProps {
  number: number;
  scope: Scope;
  onChange: (scope: Scope) => void;
  onRemove: (() => void) | undefined;
}

function ScopeFields({ number, scope, onChange, onRemove }: ScopeFieldsProps) {
  const on = scope.group == null ? "topic" : "group";
  const toggle = (grant: Grant) => {
    const has = scope.operations.includes(grant);
    onChange({
      ...scope,
      operations: has ? scope.operations.filter((one) => one !== grant) : [...scope.operations, grant],
    });
  };
  return (
    <fieldset className="relative rounded-lg border p-4">
      <legend className="px-1 text-[13px] font-medium">Scope {number}</legend>
      {onRemove && (
        <IconButton label={`Remove scope ${number}`} className="absolute -top-1 right-2" onClick={onRemove}>
          <X className="size-4" />
        </IconButton>
      )}
      <div className="grid gap-4 sm:grid-cols-2">
        <div className="flex flex-col gap-1.5">
          {GRANTS.map(([grant, meaning]) => (
            <Checkbox
              key={grant}
              checked={scope.operations.includes(grant)}
              onChange={() => toggle(grant)}
              label={
                <>
                  {grant} <span className="text-[12.5px] text-faint">{meaning}</span>
                </>
              }
            />
          ))}
        </div>
        <div className="flex flex-col gap-3">
          <Field label="On">
            <Select
              value={on}
              onChange={(event) => onChange({ operations: scope.operations, [event.target.value]: "*" })}
            >
              <option value="topic">topics</option>
              <option value="group">groups</option>
            </Select>
          </Field>
          <Field
            label="Of the name"
            help={on === "topic" ? "orders, orders-* or *" : "billing, billing-* or *"}
          >
            <Input
              className="font-mono text-[12.5px]"
              value={scope[on] ?? ""}
              onChange={(event) => onChange({ operations: scope.operations, [on]: event.target.value })}
            />
          </Field>
        </div>
      </div>
    </fieldset>
  );
}
