import { useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { useEffect } from "react";
import type { Schemas } from "../api/client";
import { meQuery } from "../api/queries";
import { isAtLeast, type Role } from "../lib/access";
import { remember, remembered } from "../lib/remembered";

export interface Here {
  me: Schemas["Me"] | undefined;
  /** The project of the page, or the one that was open last. */
  project: Schemas["MyProject"] | undefined;
  organization: Schemas["MyOrganization"] | undefined;
}

/** Where in the tenants the page is. */
export function useHere(): Here {
  const { project: projectId, organization: organizationId } = useParams({ strict: false });
  const me = useQuery(meQuery).data;
  useEffect(() => {
    if (projectId) remember("headwater-project", projectId);
  }, [projectId]);
  if (!me) return { me, project: undefined, organization: undefined };
  const inOrganization = organizationId
    ? me.projects.filter((one) => one.organization === organizationId)
    : me.projects;
  const project = projectId
    ? me.projects.find((one) => one.id === projectId)
    : (inOrganization.find((one) => one.id === remembered("headwater-project")) ?? inOrganization[0]);
  const wanted = organizationId ?? project?.organization;
  const organization =
    me.organizations.find((one) => one.id === wanted) ?? (wanted ? undefined : me.organizations[0]);
  return { me, project, organization };
}

/** Whether the caller is at least this in the page's project or organization. */
export function useMay(least: Role): boolean {
  const { project, organization } = useHere();
  return isAtLeast(project?.role ?? organization?.role, least);
}
