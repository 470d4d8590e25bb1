import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { KeyRound, MoreHorizontal, Pencil, Plus, RotateCw, Trash2 } from "lucide-react";
import { useMemo, useState } from "react";
import { management, ok, projectPath, type Schemas } from "../api/client";
import { keysQuery } from "../api/queries";
import { formatAgo } from "../lib/format";
import { useMay } from "../shell/here";
import { Button, IconButton } from "../ui/button";
import { Confirm } from "../ui/confirm";
import { CodeBlock } from "../ui/copy";
import { Dialog } from "../ui/dialog";
import { Loaded } from "../ui/loaded";
import { Menu, MenuItem } from "../ui/menu";
import { Badge, Empty, Page, Panel } from "../ui/page";
import { type Column, DataTable } from "../ui/table";
import { KeyForm } from "./key-form";

type Key = Schemas["Key"];
type Doing = { what: "create" } | { what: "edit" | "rotate" | "delete"; key: Key } | { what: "secret"; name: string; secret: string };

export function Keys() {
  const { project } = useParams({ from: "/app/p/$project/keys" });
  const keys = useQuery(keysQuery(project));
  const [doing, setDoing] = useState<Doing | null>(null);
  const queries = useQueryClient();
  const mayChange = useMay("developer");
  const reread = () => queries.invalidateQueries({ queryKey: ["keys", project] });
  const close = () => setDoing(null);
  const params = (key: Key) => ({ params: { path: { project, key: key.name } } });
  const rotate = async (key: Key) => {
    const { name, secret } = await ok(management.POST("/projects/{project}/keys/{key}/rotate", params(key)));
    // After the dialog that asked has closed itself.
    queueMicrotask(() => setDoing({ what: "secret", name, secret: secret ?? "" }));
  };
  const columns = useColumns(setDoing, mayChange);
  const create = mayChange && (
    <Button variant="primary" icon={<Plus className="size-4" />} onClick={() => setDoing({ what: "create" })}>
      Create key
    </Button>
  );
  return (
    <Page title="API keys" lead="For programs. A key is at most what its creator is at the moment of use." actions={create}>
      <Loaded query={keys}>
        {(all) => (
          <Panel flush>
            {all.length === 0 ? (
              <Empty icon={<KeyRound className="size-5" />} title="No keys yet" action={create}>
                A key has scopes: what it may do, on which topics and groups.
              </Empty>
            ) : (
              <DataTable label="API keys" rows={all} columns={columns} rowId={(key) => key.key_id} minWidth={900} sort={{ id: "name", desc: false }} />
            )}
          </Panel>
        )}
      </Loaded>
      {(doing?.what === "create" || doing?.what === "edit") && (
        <KeyForm
          project={project}
          existing={doing.what === "edit" ? doing.key : undefined}
          onClose={close}
          onSaved={(name, secret) => {
            void reread();
            setDoing(secret ? { what: "secret", name, secret } : null);
          }}
        />
      )}
      {doing?.what === "secret" && <Secret project={project} name={doing.name} secret={doing.secret} onClose={close} />}
      {doing?.what === "rotate" && (
        <Confirm title={`New secret for ${doing.key.name}?`} action="Make a new secret" onConfirm={() => rotate(doing.key)} onClose={close}>
          The old secret stops working at once. Programs that use it fail until they have the new one.
        </Confirm>
      )}
      {doing?.what === "delete" && (
        <Confirm
          title={`Delete ${doing.key.name}?`}
          action="Delete key"
          typed={doing.key.name}
          onConfirm={() => ok(management.DELETE("/projects/{project}/keys/{key}", params(doing.key))).then(reread)}
          onClose={close}
        >
          Programs that use this key fail at once.
        </Confirm>
      )}
    </Page>
  );
}

function useColumns(onDo: (doing: Doing) => void, mayChange: boolean): Column<Key>[] {
  return useMemo(
    () => [
      { id: "name", header: "Name", width: "minmax(9rem, 14rem)", sortBy: (key) => key.name, cell: (key) => <span className="font-medium" title={key.name}>{key.name}</span> },
      {
        id: "scopes",
        header: "May",
        width: "minmax(16rem, 1fr)",
        cell: (key) => <span title={key.scopes.map(scopeText).join("\n")}>{key.scopes.map(scopeText).join("; ")}</span>,
      },
      { id: "created_by", header: "Created by", width: "minmax(8rem, 12rem)", sortBy: (key) => key.created_by, cell: (key) => key.created_by },
      { id: "last_used_at", header: "Last used", width: "8rem", sortBy: (key) => key.last_used_at ?? "", cell: (key) => <span className="text-soft">{key.last_used_at ? formatAgo(Date.parse(key.last_used_at)) : "never"}</span> },
      { id: "expires_at", header: "Expires", width: "7rem", sortBy: (key) => key.expires_at ?? "~", cell: (key) => <Expiry at={key.expires_at} /> },
      {
        id: "actions",
        header: "",
        width: "2.5rem",
        cell: (key) =>
          mayChange && (
            <Menu
              trigger={
                <IconButton label={`Actions for ${key.name}`}>
                  <MoreHorizontal className="size-4" />
                </IconButton>
              }
            >
              <MenuItem icon={<Pencil className="size-4" />} onSelect={() => onDo({ what: "edit", key })}>
                Change scopes
              </MenuItem>
              <MenuItem icon={<RotateCw className="size-4" />} onSelect={() => onDo({ what: "rotate", key })}>
                New secret
              </MenuItem>
              <MenuItem icon={<Trash2 className="size-4" />} danger onSelect={() => onDo({ what: "delete", key })}>
                Delete
              </MenuItem>
            </Menu>
          ),
      },
    ],
    [onDo, mayChange],
  );
}

function scopeText({ operations, topic, group }: Schemas["Scope"]): string {
  const on = [topic && `topic ${topic}`, group && `group ${group}`].filter(Boolean).join(", ");
  return `${operations.join(", ")} on ${on}`;
}

function Expiry({ at }: { at: string | null | undefined }) {
  if (!at) return <span className="text-soft">never</span>;
  const time = Date.parse(at);
  return time < Date.now() ? <Badge tone="bad">expired</Badge> : <span className="text-soft">{formatAgo(time)}</span>;
}

function Secret({ project, name, secret, onClose }: { project: string; name: string; secret: string; onClose: () => void }) {
  const url = `${window.location.origin}${projectPath(project)}`;
  return (
    <Dialog
      title={`The secret of ${name}`}
      description="Copy it now: it is shown this once and kept nowhere."
      open
      onClose={onClose}
      footer={
        <Button variant="primary" onClick={onClose}>
          I have it
        </Button>
      }
    >
      <div className="flex flex-col gap-4">
        <CodeBlock text={secret} />
        <p className="text-soft">For the command line:</p>
        <CodeBlock text={`export HEADWATER_URL='${url}'\nexport HEADWATER_KEY='${secret}'`} />
      </div>
    </Dialog>
  );
}
