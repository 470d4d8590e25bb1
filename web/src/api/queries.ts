import { queryOptions } from "@tanstack/react-query";
import { management, ok, okTagged, type Schemas, streaming } from "./client";

export const meQuery = queryOptions({
  queryKey: ["me"],
  queryFn: () => ok(management.GET("/me")),
  staleTime: 60_000,
});

export const PAGE_SIZE = 1_000;

/** Walks the pages of a list. */
export async function allPages<Page extends { next_page_token?: string | null }>(
  load: (token: string | undefined) => Promise<Page>,
): Promise<Page[]> {
  const pages: Page[] = [];
  let token: string | undefined;
  do {
    const page = await load(token);
    pages.push(page);
    token = page.next_page_token ?? undefined;
  } while (token);
  return pages;
}

/** More than a screen shows, and there at once. */
const FIRST_PAGE_SIZE = 100;

export type Topic = Schemas["TopicInfo"];

/** All topics: the API neither searches nor sorts them, so the list does. The first pages show at once. */
export const topicsQuery = (project: string) =>
  queryOptions({
    queryKey: ["topics", project],
    queryFn: async ({ client, queryKey }) => {
      const first = client.getQueryData(queryKey) === undefined;
      const topics: Topic[] = [];
      await allPages(async (page_token) => {
        const query = { page_size: page_token ? PAGE_SIZE : FIRST_PAGE_SIZE, page_token };
        const page = await ok(streaming(project).GET("/topics", { params: { query } }));
        topics.push(...page.topics);
        if (first && page.next_page_token) client.setQueryData(queryKey, [...topics]);
        return page;
      });
      return topics;
    },
    staleTime: 10_000,
  });

export const topicQuery = (project: string, topic: string) =>
  queryOptions({
    queryKey: ["topic", project, topic],
    queryFn: () => okTagged(streaming(project).GET("/topics/{topic}", { params: { path: { topic } } })),
    staleTime: 5_000,
  });

export const partitionsQuery = (project: string, topic: string) =>
  queryOptions({
    queryKey: ["partitions", project, topic],
    queryFn: async () => {
      const call = streaming(project).GET("/topics/{topic}/partitions", { params: { path: { topic } } });
      return (await ok(call)).partitions;
    },
    refetchInterval: 5_000,
  });

export type UsagePoint = Schemas["UsagePoint"];

export interface UsageRange {
  name: string;
  ms: number;
  step: "minute" | "hour" | "day";
}

const HOUR_MS = 3_600_000;

export const USAGE_RANGES: UsageRange[] = [
  { name: "1 hour", ms: HOUR_MS, step: "minute" },
  { name: "1 day", ms: 24 * HOUR_MS, step: "hour" },
  { name: "30 days", ms: 30 * 24 * HOUR_MS, step: "day" },
];

const since = (range: UsageRange) => new Date(Date.now() - range.ms).toISOString();

export const projectUsageQuery = (project: string, range: UsageRange, topic?: string) =>
  queryOptions({
    queryKey: ["usage", "project", project, range.name, topic ?? null],
    queryFn: async () => {
      const query = { from: since(range), step: range.step, topic };
      return (await ok(management.GET("/projects/{project}/usage", { params: { path: { project }, query } })))
        .series;
    },
    refetchInterval: 10_000,
  });

export const organizationUsageQuery = (organization: string, range: UsageRange) =>
  queryOptions({
    queryKey: ["usage", "organization", organization, range.name],
    queryFn: async () => {
      const query = { from: since(range), step: range.step };
      const params = { path: { organization }, query };
      return (await ok(management.GET("/organizations/{organization}/usage", { params }))).series;
    },
    refetchInterval: 30_000,
  });

export const keysQuery = (project: string) =>
  queryOptions({
    queryKey: ["keys", project],
    queryFn: async () => {
      const pages = await allPages((page_token) =>
        ok(
          management.GET("/projects/{project}/keys", {
            params: { path: { project }, query: { page_size: PAGE_SIZE, page_token } },
          }),
        ),
      );
      return pages.flatMap((page) => page.keys);
    },
  });

export const membersQuery = (organization: string) =>
  queryOptions({
    queryKey: ["members", organization],
    queryFn: async () => {
      const pages = await allPages((page_token) =>
        ok(
          management.GET("/organizations/{organization}/members", {
            params: { path: { organization }, query: { page_size: PAGE_SIZE, page_token } },
          }),
        ),
      );
      return pages.flatMap((page) => page.members);
    },
  });

export const issuersQuery = (organization: string) =>
  queryOptions({
    queryKey: ["issuers", organization],
    queryFn: async () => {
      const pages = await allPages((page_token) =>
        ok(
          management.GET("/organizations/{organization}/issuers", {
            params: { path: { organization }, query: { page_size: PAGE_SIZE, page_token } },
          }),
        ),
      );
      return pages.flatMap((page) => page.issuers);
    },
  });

export const projectsQuery = (organization: string) =>
  queryOptions({
    queryKey: ["projects", organization],
    queryFn: async () => {
      const pages = await allPages((page_token) =>
        ok(
          management.GET("/organizations/{organization}/projects", {
            params: { path: { organization }, query: { page_size: PAGE_SIZE, page_token } },
          }),
        ),
      );
      return pages.flatMap((page) => page.projects);
    },
  });

export const organizationQuotasQuery = (organization: string) =>
  queryOptions({
    queryKey: ["quotas", "organization", organization],
    queryFn: () =>
      okTagged(
        management.GET("/organizations/{organization}/quotas", { params: { path: { organization } } }),
      ),
    refetchInterval: 10_000,
  });

export const projectQuotasQuery = (project: string) =>
  queryOptions({
    queryKey: ["quotas", "project", project],
    queryFn: () => okTagged(management.GET("/projects/{project}/quotas", { params: { path: { project } } })),
    refetchInterval: 10_000,
  });

export const clusterQuery = queryOptions({
  queryKey: ["cluster"],
  queryFn: () => ok(management.GET("/cluster")),
  refetchInterval: 5_000,
});
