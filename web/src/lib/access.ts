import type { Schemas } from "../api/client";

export type Role = Schemas["Role"];

const ORDER: Role[] = ["viewer", "developer", "admin", "owner"];

/** Each role has all that the one before it has. */
export function isAtLeast(role: Role | undefined, least: Role): boolean {
  return role !== undefined && ORDER.indexOf(role) >= ORDER.indexOf(least);
}

export const ROLES: { role: Role; may: string }[] = [
  { role: "viewer", may: "Reads topics, groups, records, quotas and usage. Changes nothing." },
  { role: "developer", may: "Also makes and changes topics and groups, produces records, and has API keys." },
  { role: "admin", may: "Also manages members, projects, quotas and all keys, and reads the audit log." },
  { role: "owner", may: "Everything, with owners and the end of the organization." },
];
