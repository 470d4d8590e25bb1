import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { Folders, Plus, Trash2 } from "lucide-react";
import { useMemo, useState } from "react";
import { management, ok, type Schemas } from "../api/client";
import { projectsQuery } from "../api/queries";
import { isAtLeast } from "../lib/access";
import { formatMinute } from "../lib/format";
import { useHere } from "../shell/here";
import { Button, IconButton } from "../ui/button";
import { Confirm } from "../ui/confirm";
import { Loaded } from "../ui/loaded";
import { Empty, Page, Panel } from "../ui/page";
import { type Column, DataTable } from "../ui/table";
import { NamedForm } from "./named-form";

type Project = Schemas["Project"];

export function Projects() {
  const { organization } = useParams({ from: "/app/o/$organization/projects" });
  const projects = useQuery(projectsQuery(organization));
  const mayChange = isAtLeast(useHere().organization?.role, "admin");
  const [creating, setCreating] = useState(false);
  const [deleting, setDeleting] = useState<Project | null>(null);
  const queries = useQueryClient();
  const reread = () =>
    Promise.all([
      queries.invalidateQueries({ queryKey: ["projects", organization] }),
      queries.invalidateQueries({ queryKey: ["me"] }),
    ]);
  const columns = useMemo(() => columnsOf(mayChange ? setDeleting : undefined), [mayChange]);
  const create = mayChange && (
    <Button variant="primary" icon={<Plus className="size-4" />} onClick={() => setCreating(true)}>
      Create project
    </Button>
  );
  return (
    <Page
      title="Projects"
      lead="Each has topics, groups and keys of its own."
      actions={projects.data?.length !== 0 && create}
    >
      <Loaded query={projects}>
        {(all) => (
          <Panel flush>
            <DataTable
              label="Projects"
              rows={all}
              columns={columns}
              rowId={(project) => project.id}
              minWidth={560}
              sort={{ id: "name", desc: false }}
              empty={<Empty icon={<Folders className="size-5" />} title="No projects yet" action={create} />}
            />
          </Panel>
        )}
      </Loaded>
      {creating && (
        <CreateProject organization={organization} onClose={() => setCreating(false)} onCreated={reread} />
      )}
      {deleting && (
        <Confirm
          title={`Delete ${deleting.name}?`}
          action="Delete project"
          typed={deleting.id}
          onConfirm={() =>
            ok(management.DELETE("/projects/{project}", { params: { path: { project: deleting.id } } })).then(
              reread,
            )
          }
          onClose={() => setDeleting(null)}
        >
          A project must be empty of topics first. Its keys stop working. This cannot be undone.
        </Confirm>
      )}
    </Page>
  );
}

function columnsOf(onDelete: ((project: Project) => void) | undefined): Column<Project>[] {
  return [
    {
      id: "name",
      header: "Name",
      width: "minmax(10rem, 1fr)",
      sortBy: (project) => project.name,
      cell: (project) => (
        <Link
          to="/p/$project"
          params={{ project: project.id }}
          className="font-medium text-accent-ink hover:underline"
        >
          {project.name}
        </Link>
      ),
    },
    {
      id: "id",
      header: "Id",
      width: "minmax(8rem, 14rem)",
      sortBy: (project) => project.id,
      cell: (project) => <code className="font-mono text-[12.5px] text-soft">{project.id}</code>,
    },
    {
      id: "created_at",
      header: "Created",
      width: "10.5rem",
      sortBy: (project) => project.created_at,
      cell: (project) => <span className="text-soft tabular-nums">{formatMinute(project.created_at)}</span>,
    },
    {
      id: "actions",
      header: "",
      width: "2.5rem",
      cell: (project) =>
        onDelete && (
          <IconButton label={`Delete ${project.name}`} onClick={() => onDelete(project)}>
            <Trash2 className="size-4" />
          </IconButton>
        ),
    },
  ];
}

function CreateProject({
  organization,
  onClose,
  onCreated,
}: {
  organization: string;
  onClose: () => void;
  onCreated: () => void;
}) {
  const create = useMutation({
    mutationFn: (named: Schemas["Named"]) =>
      ok(
        management.POST("/organizations/{organization}/projects", {
          params: { path: { organization } },
          body: named,
        }),
      ),
    onSuccess: () => {
      onCreated();
      onClose();
    },
  });
  return <NamedForm what="project" create={create} onClose={onClose} />;
}
