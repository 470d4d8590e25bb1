import { useMutation, useQuery } from "@tanstack/react-query";
import { Plus } from "lucide-react";
import { type FormEvent, useState } from "react";
import { management, ok } from "../api/client";
import { meQuery } from "../api/queries";
import { CreateOrganization } from "../organization/create";
import { Button } from "../ui/button";
import { Field, Input } from "../ui/field";
import { Loaded } from "../ui/loaded";
import { Badge, Page, Panel } from "../ui/page";
import { ProblemNote } from "../ui/problem-note";
import { toast } from "../ui/toast";

export function Profile() {
  const me = useQuery(meQuery);
  const [creating, setCreating] = useState(false);
  return (
    <Page title="Profile">
      <Loaded query={me}>
        {({ email, organizations, operator }) => (
          <div className="grid items-start gap-4 lg:grid-cols-2">
            <Panel
              title={email ?? "You"}
              flush
              actions={
                <Button small icon={<Plus className="size-4" />} onClick={() => setCreating(true)}>
                  Create organization
                </Button>
              }
            >
              <ul>
                {organizations.map((one) => (
                  <li
                    key={one.id}
                    className="flex items-center justify-between gap-3 border-b px-4 py-2.5 last:border-b-0"
                  >
                    <span className="min-w-0 truncate">{one.name}</span>
                    <Badge tone="accent">{one.role}</Badge>
                  </li>
                ))}
                {organizations.length === 0 && (
                  <li className="px-4 py-2.5 text-soft">In no organization yet.</li>
                )}
                {operator && <li className="px-4 py-2.5 text-soft">Operator of this service.</li>}
              </ul>
            </Panel>
            <ChangePassword />
          </div>
        )}
      </Loaded>
      {creating && <CreateOrganization onClose={() => setCreating(false)} />}
    </Page>
  );
}

function ChangePassword() {
  const [current, setCurrent] = useState("");
  const [next, setNext] = useState("");
  const change = useMutation({
    mutationFn: () =>
      ok(management.PUT("/me/password", { body: { current_password: current, new_password: next } })),
    onSuccess: () => {
      setCurrent("");
      setNext("");
      toast("The password is changed. Other sessions of yours have ended.");
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    change.mutate();
  };
  return (
    <Panel title="Password" help="If you sign in through an identity provider there is none here.">
      <form onSubmit={submit} className="flex max-w-sm flex-col gap-4">
        <Field label="Current password">
          <Input
            type="password"
            autoComplete="current-password"
            required
            value={current}
            onChange={(event) => setCurrent(event.target.value)}
          />
        </Field>
        <Field label="New password">
          <Input
            type="password"
            autoComplete="new-password"
            required
            value={next}
            onChange={(event) => setNext(event.target.value)}
          />
        </Field>
        {change.isError && <ProblemNote error={change.error} />}
        <Button type="submit" variant="primary" busy={change.isPending} className="self-start">
          Change password
        </Button>
      </form>
    </Panel>
  );
}
