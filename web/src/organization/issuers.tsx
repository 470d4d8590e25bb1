import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { Fingerprint, Pencil, Plus, Trash2 } from "lucide-react";
import { useMemo, useState } from "react";
import { management, ok, type Schemas } from "../api/client";
import { issuersQuery } from "../api/queries";
import { formatMinute } from "../lib/format";
import { Button, IconButton } from "../ui/button";
import { Confirm } from "../ui/confirm";
import { CallSnippet } from "../ui/copy";
import { Loaded } from "../ui/loaded";
import { Badge, Empty, Page, Panel } from "../ui/page";
import { type Column, DataTable } from "../ui/table";
import { IssuerForm } from "./issuer-form";

type Issuer = Schemas["Issuer"];

/** Which identity providers' tokens this organization takes, and what they are good for. */
export function Issuers() {
  const { organization } = useParams({ from: "/app/o/$organization/issuers" });
  const issuers = useQuery(issuersQuery(organization));
  const [editing, setEditing] = useState<Issuer | "new" | null>(null);
  const [deleting, setDeleting] = useState<Issuer | null>(null);
  const queries = useQueryClient();
  const reread = () => queries.invalidateQueries({ queryKey: ["issuers", organization] });
  const columns = useMemo(() => columnsOf(setEditing, setDeleting), []);
  const create = !issuers.isError && (
    <Button variant="primary" icon={<Plus className="size-4" />} onClick={() => setEditing("new")}>
      Trust an issuer
    </Button>
  );
  return (
    <Page
      title="Issuers"
      lead="Programs call with tokens of an identity provider instead of an API key: their claims say which role they have."
      actions={issuers.data?.length !== 0 && create}
    >
      <Loaded query={issuers}>
        {(all) => (
          <Panel flush>
            {all.length === 0 ? (
              <NoIssuers organization={organization} action={create} />
            ) : (
              <DataTable
                label="Issuers"
                rows={all}
                columns={columns}
                rowId={(issuer) => issuer.name}
                minWidth={900}
                sort={{ id: "name", desc: false }}
              />
            )}
          </Panel>
        )}
      </Loaded>
      {editing && (
        <IssuerForm
          organization={organization}
          existing={editing === "new" ? undefined : editing}
          onClose={() => setEditing(null)}
          onSaved={reread}
        />
      )}
      {deleting && (
        <Confirm
          title={`Trust ${deleting.name} no more?`}
          action="Delete issuer"
          onConfirm={() =>
            ok(
              management.DELETE("/organizations/{organization}/issuers/{issuer}", {
                params: { path: { organization, issuer: deleting.name } },
              }),
            ).then(reread)
          }
          onClose={() => setDeleting(null)}
        >
          Tokens of {deleting.issuer} are good for nothing in this organization from then on.
        </Confirm>
      )}
    </Page>
  );
}

function columnsOf(onEdit: (issuer: Issuer) => void, onDelete: (issuer: Issuer) => void): Column<Issuer>[] {
  return [
    {
      id: "name",
      header: "Name",
      width: "minmax(8rem, 12rem)",
      sortBy: (issuer) => issuer.name,
      cell: (issuer) => <span className="font-medium">{issuer.name}</span>,
    },
    {
      id: "issuer",
      header: "Issuer",
      width: "minmax(10rem, 1fr)",
      sortBy: (issuer) => issuer.issuer,
      cell: (issuer) => <span title={issuer.issuer}>{issuer.issuer}</span>,
    },
    {
      id: "audience",
      header: "Audience",
      width: "8rem",
      sortBy: (issuer) => issuer.audience,
      cell: (issuer) => <span title={issuer.audience}>{issuer.audience}</span>,
    },
    {
      id: "rules",
      header: "Rules",
      width: "minmax(10rem, 1fr)",
      cell: ({ rules }) => {
        const text = rules.map((rule) => `${rule.claim} ${rule.value}: ${rule.role}`).join(", ");
        return rules.length === 0 ? (
          <Badge tone="warn">none: no token gets in</Badge>
        ) : (
          <span title={text}>{text}</span>
        );
      },
    },
    {
      id: "created_at",
      header: "Since",
      width: "10.5rem",
      sortBy: (issuer) => issuer.created_at,
      cell: (issuer) => <span className="text-soft tabular-nums">{formatMinute(issuer.created_at)}</span>,
    },
    {
      id: "actions",
      header: "",
      width: "4.5rem",
      cell: (issuer) => (
        <span className="flex">
          <IconButton label={`Change ${issuer.name}`} onClick={() => onEdit(issuer)}>
            <Pencil className="size-4" />
          </IconButton>
          <IconButton label={`Delete ${issuer.name}`} onClick={() => onDelete(issuer)}>
            <Trash2 className="size-4" />
          </IconButton>
        </span>
      ),
    },
  ];
}

function NoIssuers({ organization, action }: { organization: string; action: React.ReactNode }) {
  return (
    <Empty icon={<Fingerprint className="size-5" />} title="No issuers yet" action={action}>
      <p className="mb-4">Trust one here, or with the access token of an owner or admin:</p>
      <CallSnippet
        call={{
          method: "PUT",
          asPerson: true,
          url: `${window.location.origin}/v1/organizations/${organization}/issuers/corp`,
          body: '{"issuer":"https://id.example.com","audience":"headwater","rules":[{"claim":"groups","value":"data","role":"developer"}]}',
        }}
        className="text-left"
      />
    </Empty>
  );
}
