import { useQuery } from "@tanstack/react-query";
import { Link, Navigate } from "@tanstack/react-router";
import { FolderPlus } from "lucide-react";
import { useState } from "react";
import { meQuery } from "../api/queries";
import { isAtLeast } from "../lib/access";
import { remembered } from "../lib/remembered";
import { CreateOrganization } from "../organization/create";
import { Button, buttonClass } from "../ui/button";
import { Loaded } from "../ui/loaded";
import { Empty, Page } from "../ui/page";

/** Goes on to the project that was open last, or the first one. */
export function Home() {
  const me = useQuery(meQuery);
  const [creating, setCreating] = useState(false);
  return (
    <Loaded query={me} skeleton={<div />}>
      {({ projects, organizations }) => {
        const project = projects.find(({ id }) => id === remembered("headwater-project")) ?? projects[0];
        if (project) return <Navigate to="/p/$project" params={{ project: project.id }} replace />;
        const organization = organizations.find(({ role }) => isAtLeast(role, "admin"));
        return (
          <Page title="Welcome to Headwater">
            <Empty
              icon={<FolderPlus className="size-5" />}
              title={organization ? "Make a first project" : "You are in no project yet"}
              action={
                organization ? (
                  <Link
                    to="/o/$organization/projects"
                    params={{ organization: organization.id }}
                    className={buttonClass("primary")}
                  >
                    Projects of {organization.name}
                  </Link>
                ) : (
                  <Button variant="primary" onClick={() => setCreating(true)}>
                    Create organization
                  </Button>
                )
              }
            >
              {!organization &&
                "Make an organization of your own, or ask an owner or admin of yours to invite you or to make a project."}
            </Empty>
            {creating && <CreateOrganization onClose={() => setCreating(false)} />}
          </Page>
        );
      }}
    </Loaded>
  );
}
