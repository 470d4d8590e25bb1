import { useMutation, useQuery } from "@tanstack/react-query";
import { Plus, X } from "lucide-react";
import { type FormEvent, useState } from "react";
import { management, ok, type Schemas } from "../api/client";
import { meQuery } from "../api/queries";
import { isAtLeast, type Role, ROLES } from "../lib/access";
import { Button, IconButton } from "../ui/button";
import { SameByCall } from "../ui/copy";
import { Dialog } from "../ui/dialog";
import { Field, Input, Select } from "../ui/field";
import { ProblemNote } from "../ui/problem-note";

type Rule = Schemas["IssuerRule"];

const RULES_MAX = 20;
const FIRST_RULE: Rule = { claim: "groups", value: "", role: "developer" };

interface IssuerFormProps {
  organization: string;
  existing?: Schemas["Issuer"];
  onClose: () => void;
  onSaved: () => void;
}

export function IssuerForm({ organization, existing, onClose, onSaved }: IssuerFormProps) {
  const [name, setName] = useState(existing?.name ?? "");
  const [issuer, setIssuer] = useState(existing?.issuer ?? "https://");
  const [audience, setAudience] = useState(existing?.audience ?? "headwater");
  const [rules, setRules] = useState<Rule[]>(existing?.rules ?? [FIRST_RULE]);
  const own = useQuery(meQuery).data?.organizations.find(({ id }) => id === organization)?.role;
  const spec = { issuer, audience, rules };
  const path = { organization, issuer: name };
  const save = useMutation({
    mutationFn: () =>
      ok(management.PUT("/organizations/{organization}/issuers/{issuer}", { params: { path }, body: spec })),
    onSuccess: () => {
      onSaved();
      onClose();
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    save.mutate();
  };
  const put = (index: number, change: Partial<Rule>) =>
    setRules(rules.map((rule, at) => (at === index ? { ...rule, ...change } : rule)));
  const footer = (
    <>
      <Button onClick={onClose}>Cancel</Button>
      <Button type="submit" form="issuer" variant="primary" busy={save.isPending}>
        {existing ? "Save" : "Trust it"}
      </Button>
    </>
  );
  return (
    <Dialog
      title={existing ? `Issuer ${existing.name}` : "Trust an issuer"}
      open
      onClose={onClose}
      wide
      footer={footer}
    >
      <form id="issuer" onSubmit={submit} className="flex flex-col gap-4">
        <div className="grid gap-4 sm:grid-cols-2">
          <Field label="Name" help="Of this entry, for people and the audit log.">
            <Input
              value={name}
              onChange={(event) => setName(event.target.value)}
              disabled={existing !== undefined}
              autoComplete="off"
              required
            />
          </Field>
          <Field label="Audience" help="What the claim aud must hold.">
            <Input
              value={audience}
              onChange={(event) => setAudience(event.target.value)}
              autoComplete="off"
              required
              maxLength={256}
            />
          </Field>
        </div>
        <Field
          label="Issuer"
          help="As in the claim iss. Its keys are found below it by OpenID Connect discovery."
        >
          <Input
            type="url"
            value={issuer}
            onChange={(event) => setIssuer(event.target.value)}
            autoComplete="off"
            required
            maxLength={2048}
          />
        </Field>
        <fieldset className="flex flex-col gap-2">
          <legend className="text-[13px] font-medium">Rules</legend>
          <p className="mb-1 text-[12.5px] text-faint">
            A token has the highest role that any rule gives it; one that no rule fits is refused.
          </p>
          {rules.map((rule, index) => (
            <RuleFields
              key={index}
              number={index + 1}
              rule={rule}
              owner={own === "owner"}
              onChange={(change) => put(index, change)}
              onRemove={() => setRules(rules.filter((_, at) => at !== index))}
            />
          ))}
          {rules.length < RULES_MAX && (
            <Button
              small
              variant="ghost"
              className="self-start"
              icon={<Plus className="size-4" />}
              onClick={() => setRules([...rules, { ...FIRST_RULE, claim: rules.at(-1)?.claim ?? "groups" }])}
            >
              Add rule
            </Button>
          )}
        </fieldset>
        {save.isError && <ProblemNote error={save.error} />}
        <SameByCall
          call={{
            method: "PUT",
            asPerson: true,
            url: `${window.location.origin}/v1/organizations/${organization}/issuers/${name || "NAME"}`,
            body: JSON.stringify(spec),
          }}
        />
      </form>
    </Dialog>
  );
}

interface RuleFieldsProps {
  number: number;
  rule: Rule;
  /** Only an owner may make others owners. */
  owner: boolean;
  onChange: (change: Partial<Rule>) => void;
  onRemove: () => void;
}

function RuleFields({ number, rule, owner, onChange, onRemove }: RuleFieldsProps) {
  const roles = ROLES.map(({ role }) => role).filter((role) => owner || !isAtLeast(role, "owner"));
  return (
    <div className="grid grid-cols-[minmax(0,1fr)_minmax(0,1fr)_auto] gap-2 sm:grid-cols-[minmax(0,1fr)_minmax(0,1fr)_9rem_auto]">
      <Input
        aria-label={`Claim of rule ${number}`}
        placeholder="claim"
        value={rule.claim}
        onChange={(event) => onChange({ claim: event.target.value })}
        required
      />
      <Input
        aria-label={`Value of rule ${number}`}
        placeholder="value"
        value={rule.value}
        onChange={(event) => onChange({ value: event.target.value })}
        required
      />
      <Select
        aria-label={`Role of rule ${number}`}
        className="col-span-2 row-start-2 sm:col-span-1 sm:row-start-auto"
        value={rule.role}
        onChange={(event) => onChange({ role: event.target.value as Role })}
      >
        {roles.map((role) => (
          <option key={role}>{role}</option>
        ))}
      </Select>
      <IconButton label={`Remove rule ${number}`} onClick={onRemove}>
        <X className="size-4" />
      </IconButton>
    </div>
  );
}
