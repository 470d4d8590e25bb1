import { queryOptions } from "@tanstack/react-query";
import { okFetch, projectPath } from "./client";

/**
 * Groups are not in the OpenAPI document yet; these are the shapes of the contract. Once they are, the
 * generated types take the place of these.
 */
export interface GroupPosition {
  topic: string;
  partition: number;
  committed: number | null;
  /** Null while the partition's leader cannot be asked, as is the lag. */
  high_watermark: number | null;
  lag: number | null;
  lag_ms: number | null;
}

export interface GroupMember {
  member: string;
  instance?: string;
  assignment?: { topic: string; partition: number }[];
  expires_at?: string;
}

export interface Group {
  group: string;
  type: "partitioned" | "shared";
  state: "empty" | "stable" | "rebalancing";
  topics: string[];
  members?: GroupMember[];
  positions?: GroupPosition[];
  config?: Record<string, unknown>;
}

export interface ResetPartition {
  topic: string;
  partition: number;
  before: number | null;
  after: number | null;
}

export interface GroupSpec {
  topics: string[];
  type: "partitioned" | "shared";
  start: "earliest" | "latest";
  lease_ms?: number;
  max_attempts?: number;
  dead_letter_topic?: string;
}

const groupPath = (project: string, group?: string) =>
  `${projectPath(project)}/groups${group === undefined ? "" : `/${encodeURIComponent(group)}`}`;

const json = (body: unknown): RequestInit => ({
  body: JSON.stringify(body),
  headers: { "Content-Type": "application/json" },
});

export const groupsQuery = (project: string) =>
  queryOptions({
    queryKey: ["groups", project],
    queryFn: async () => {
      const groups: Group[] = [];
      let token: string | null | undefined;
      do {
        const query = token ? `&page_token=${encodeURIComponent(token)}` : "";
        const page = await (await okFetch(`${groupPath(project)}?page_size=1000${query}`)).json();
        groups.push(...page.groups);
        token = page.next_page_token;
      } while (token);
      return groups;
    },
    refetchInterval: 10_000,
  });

export const groupQuery = (project: string, group: string) =>
  queryOptions({
    queryKey: ["group", project, group],
    queryFn: async (): Promise<Group> => (await okFetch(groupPath(project, group))).json(),
    refetchInterval: 3_000,
  });

export const createGroup = (project: string, group: string, spec: GroupSpec) =>
  okFetch(groupPath(project, group), { method: "PUT", ...json(spec) });

export const deleteGroup = (project: string, group: string) =>
  okFetch(groupPath(project, group), { method: "DELETE" });

export type ResetTarget = "earliest" | "latest" | { at: string } | { shift: number };

export async function resetGroup(
  project: string,
  group: string,
  to: ResetTarget,
  dryRun: boolean,
  force: boolean,
) {
  const body = json({ to, dry_run: dryRun, force });
  const answer = await okFetch(`${groupPath(project, group)}/offsets`, { method: "POST", ...body });
  return ((await answer.json()) as { partitions: ResetPartition[] }).partitions;
}
