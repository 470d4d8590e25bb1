import { queryOptions } from "@tanstack/react-query";
import { ok, type Schemas, streaming } from "./client";
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
