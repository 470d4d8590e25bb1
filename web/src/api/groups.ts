import { queryOptions } from "@tanstack/react-query";
import { ok, type Schemas, streaming } from "./client";
import { asProblem } from "./problem";
import { allPages, PAGE_SIZE } from "./queries";

export type Group = Schemas["Group"];
export type GroupSpec = Schemas["GroupSpec"];
export type GroupSummary = Schemas["GroupSummary"];
export type ResetTo = Schemas["ResetTo"];

const pathOf = (group: string) => ({ params: { path: { group } } });

export const groupsQuery = (project: string) =>
  queryOptions({
    queryKey: ["groups", project],
    queryFn: async () => {
      const pages = await allPages((page_token) =>
        ok(streaming(project).GET("/groups", { params: { query: { page_size: PAGE_SIZE, page_token } } })),
      );
      return pages.flatMap((page) => page.groups);
    },
    refetchInterval: 10_000,
  });

export const groupQuery = (project: string, group: string) =>
  queryOptions({
    queryKey: ["group", project, group],
    queryFn: () => ok(streaming(project).GET("/groups/{group}", pathOf(group))),
    refetchInterval: 3_000,
  });

export const createGroup = (project: string, group: string, spec: GroupSpec) =>
  ok(streaming(project).PUT("/groups/{group}", { ...pathOf(group), body: spec }));

export const deleteGroup = (project: string, group: string) =>
  ok(streaming(project).DELETE("/groups/{group}", pathOf(group)));

export const resetGroup = (project: string, group: string, reset: Schemas["ResetRequest"]) =>
  ok(streaming(project).POST("/groups/{group}/offsets", { ...pathOf(group), body: reset }));

/** So many groups of a project are asked how far they are, and so many at a time. */
const LAGS_MAX = 100;
const LAGS_AT_ONCE = 5;

/** The project's groups with their lags, which the list does not tell. */
export const lagsQuery = (project: string) =>
  queryOptions({
    queryKey: ["lags", project],
    queryFn: async ({ client }) => {
      const all = await client.fetchQuery({ ...groupsQuery(project), staleTime: 5_000 });
      const asked = all.slice(0, LAGS_MAX);
      const groups: Group[] = [];
      for (let at = 0; at < asked.length; at += LAGS_AT_ONCE) {
        const answers = asked
          .slice(at, at + LAGS_AT_ONCE)
          .map(({ group }) => client.fetchQuery(groupQuery(project, group)).catch(unlessDeleted));
        groups.push(...(await Promise.all(answers)).filter((group) => group !== null));
      }
      return { groups, unasked: all.length - asked.length };
    },
    refetchInterval: 10_000,
  });

function unlessDeleted(error: unknown): null {
  if (asProblem(error).status === 404) return null;
  throw error;
}
