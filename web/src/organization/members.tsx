import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { Trash2, UserPlus } from "lucide-react";
import { type FormEvent, useMemo, useState } from "react";
import { management, ok, type Schemas } from "../api/client";
import { meQuery, membersQuery } from "../api/queries";
import { isAtLeast, type Role, ROLES } from "../lib/access";
import { formatAgo, formatMinute } from "../lib/format";
import { useHere } from "../shell/here";
import { Button, IconButton } from "../ui/button";
import { Confirm } from "../ui/confirm";
import { CodeBlock } from "../ui/copy";
import { Dialog } from "../ui/dialog";
import { Field, Input, Select } from "../ui/field";
import { Loaded } from "../ui/loaded";
import { Badge, Page, Panel } from "../ui/page";
import { ProblemNote } from "../ui/problem-note";
import { type Column, DataTable } from "../ui/table";
import { toast, toastProblem } from "../ui/toast";

type Member = Schemas["Member"];

export function Members() {
  const { organization } = useParams({ from: "/app/o/$organization/members" });
  const members = useQuery(membersQuery(organization));
  const role = useHere().organization?.role;
  const email = useQuery(meQuery).data?.email;
  const queries = useQueryClient();
  const [inviting, setInviting] = useState(false);
  const [removing, setRemoving] = useState<Member | null>(null);
  const reread = () => queries.invalidateQueries({ queryKey: ["members", organization] });
  const change = useMutation({
    mutationFn: ({ member, next }: { member: Member; next: Role }) =>
      ok(management.PUT("/organizations/{organization}/members/{email}", { params: { path: { organization, email: member.email } }, body: { role: next } })),
    onSuccess: (_, { member, next }) => toast(`${member.email} is now ${next}.`),
    onError: toastProblem,
    onSettled: reread,
  });
  const columns = useColumns(role, email, setRemoving, (member, next) => change.mutate({ member, next }));
  return (
    <Page
      title="Members"
      lead="Who belongs to this organization, and what they may do in all of its projects."
      actions={
        isAtLeast(role, "admin") && (
          <Button variant="primary" icon={<UserPlus className="size-4" />} onClick={() => setInviting(true)}>
            Invite
          </Button>
        )
      }
    >
      <div className="flex flex-col gap-4">
        <Loaded query={members}>
          {(all) => (
            <Panel flush>
              <DataTable label="Members" rows={all} columns={columns} rowId={(member) => member.email} minWidth={680} sort={{ id: "email", desc: false }} />
            </Panel>
          )}
        </Loaded>
        <Panel title="Roles" help="Each role has all that the one before it has." flush>
          <dl>
            {ROLES.map((one) => (
              <div key={one.role} className="grid gap-x-6 border-b px-4 py-2.5 last:border-b-0 sm:grid-cols-[8rem_minmax(0,1fr)]">
                <dt className="font-medium">{one.role}</dt>
                <dd className="text-soft">{one.may}</dd>
              </div>
            ))}
          </dl>
        </Panel>
      </div>
      {inviting && <Invite organization={organization} role={role!} onClose={() => setInviting(false)} onInvited={reread} />}
      {removing && (
        <Confirm
          title={`Remove ${removing.email}?`}
          action="Remove"
          onConfirm={() =>
            ok(management.DELETE("/organizations/{organization}/members/{email}", { params: { path: { organization, email: removing.email } } })).then(reread)
          }
          onClose={() => setRemoving(null)}
        >
          {removing.state === "invited" ? "The invitation stops working." : "They lose access at once, and the API keys that they made stop working."}
        </Confirm>
      )}
    </Page>
  );
}

/** An owner may give every role; an admin those below owner. */
const givable = (role: Role) => ROLES.map((one) => one.role).filter((one) => one !== "owner" || role === "owner");

function useColumns(role: Role | undefined, own: string | undefined, onRemove: (member: Member) => void, onRole: (member: Member, role: Role) => void): Column<Member>[] {
  return useMemo(() => {
    const mayChange = (member: Member) => isAtLeast(role, "admin") && (role === "owner" || member.role !== "owner");
    return [
      { id: "email", header: "Address", width: "minmax(14rem, 1fr)", sortBy: (member) => member.email, cell: (member) => <span className="font-medium">{member.email}</span> },
      {
        id: "role",
        header: "Role",
        width: "9rem",
        sortBy: (member) => member.role,
        cell: (member) =>
          mayChange(member) ? (
            <Select aria-label={`Role of ${member.email}`} className="!h-7" value={member.role} onChange={(event) => onRole(member, event.target.value as Role)}>
              {givable(role!).map((one) => (
                <option key={one}>{one}</option>
              ))}
            </Select>
          ) : (
            member.role
          ),
      },
      {
        id: "state",
        header: "State",
        width: "10rem",
        sortBy: (member) => member.state,
        cell: (member) =>
          member.state === "active" ? <Badge tone="good">active</Badge> : <Badge tone="warn">invited{member.expires_at ? `, ends ${formatAgo(Date.parse(member.expires_at))}` : ""}</Badge>,
      },
      { id: "created_at", header: "Since", width: "10.5rem", sortBy: (member) => member.created_at, cell: (member) => <span className="text-soft tabular-nums">{formatMinute(member.created_at)}</span> },
      {
        id: "actions",
        header: "",
        width: "2.5rem",
        cell: (member) =>
          (mayChange(member) || member.email === own) && (
            <IconButton label={`Remove ${member.email}`} onClick={() => onRemove(member)}>
              <Trash2 className="size-4" />
            </IconButton>
          ),
      },
    ];
  }, [role, own, onRemove, onRole]);
}

interface InviteProps {
  organization: string;
  role: Role;
  onClose: () => void;
  onInvited: () => void;
}

function Invite({ organization, role, onClose, onInvited }: InviteProps) {
  const [email, setEmail] = useState("");
  const [given, setGiven] = useState<Role>("developer");
  const invite = useMutation({
    mutationFn: () => ok(management.PUT("/organizations/{organization}/members/{email}", { params: { path: { organization, email } }, body: { role: given } })),
    onSuccess: onInvited,
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    invite.mutate();
  };
  if (invite.data) {
    const { token } = invite.data;
    return (
      <Dialog title={`${email} is invited`} description="Nothing is mailed: give them this link. It is shown this once." open onClose={onClose} footer={<Button variant="primary" onClick={onClose}>Done</Button>}>
        {token ? <CodeBlock text={`${window.location.origin}/join#${token}`} /> : <p>They are a member already.</p>}
      </Dialog>
    );
  }
  const footer = (
    <>
      <Button onClick={onClose}>Cancel</Button>
      <Button type="submit" form="invite" variant="primary" busy={invite.isPending}>
        Invite
      </Button>
    </>
  );
  return (
    <Dialog title="Invite somebody" open onClose={onClose} footer={footer}>
      <form id="invite" onSubmit={submit} className="flex flex-col gap-4">
        <Field label="Address">
          <Input type="email" value={email} onChange={(event) => setEmail(event.target.value)} required autoFocus />
        </Field>
        <Field label="Role" help={ROLES.find((one) => one.role === given)?.may}>
          <Select value={given} onChange={(event) => setGiven(event.target.value as Role)}>
            {givable(role).map((one) => (
              <option key={one}>{one}</option>
            ))}
          </Select>
        </Field>
        {invite.isError && <ProblemNote error={invite.error} />}
      </form>
    </Dialog>
  );
}
