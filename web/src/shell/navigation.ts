import type { LinkProps } from "@tanstack/react-router";
import {
  Activity,
  Boxes,
  Fingerprint,
  Folders,
  Gauge,
  KeyRound,
  type LucideIcon,
  Network,
  ScrollText,
  Users,
  Workflow,
} from "lucide-react";
import { isAtLeast } from "../lib/access";
import type { Here } from "./here";

export interface Place {
  name: string;
  icon: LucideIcon;
  link: LinkProps;
  exact?: boolean;
}

export interface PlaceGroup {
  name: string;
  places: Place[];
}

/** The places that this caller may see. */
export function placesOf({ me, project, organization }: Here): PlaceGroup[] {
  const groups: PlaceGroup[] = [];
  if (project) {
    const params = { project: project.id };
    const places: Place[] = [
      { name: "Overview", icon: Activity, link: { to: "/p/$project", params }, exact: true },
      { name: "Topics", icon: Boxes, link: { to: "/p/$project/topics", params } },
      { name: "Groups", icon: Workflow, link: { to: "/p/$project/groups", params } },
    ];
    if (isAtLeast(project.role, "developer")) {
      places.push({ name: "API keys", icon: KeyRound, link: { to: "/p/$project/keys", params } });
    }
    groups.push({ name: "Project", places });
  }
  if (organization) {
    const params = { organization: organization.id };
    const places: Place[] = [
      { name: "Projects", icon: Folders, link: { to: "/o/$organization/projects", params } },
      { name: "Members", icon: Users, link: { to: "/o/$organization/members", params } },
      { name: "Quotas and usage", icon: Gauge, link: { to: "/o/$organization/usage", params } },
    ];
    if (isAtLeast(organization.role, "admin")) {
      places.push({ name: "Issuers", icon: Fingerprint, link: { to: "/o/$organization/issuers", params } });
      places.push({ name: "Audit log", icon: ScrollText, link: { to: "/o/$organization/audit", params } });
    }
    groups.push({ name: "Organization", places });
  }
  if (me?.operator) {
    groups.push({ name: "Service", places: [{ name: "Cluster", icon: Network, link: { to: "/cluster" } }] });
  }
  return groups;
}
