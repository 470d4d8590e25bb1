import { ok, type Schemas, streaming } from "./client";

export type RedriveRequest = Schemas["RedriveRequest"];
export type RedrivePage = Schemas["RedriveResponse"];

/** Moves dead letters back, as many as one call does. */
export const redriveGroup = (project: string, group: string, request: RedriveRequest, signal?: AbortSignal) =>
  ok(
    streaming(project).POST("/groups/{group}/redrive", {
      params: { path: { group } },
      body: request,
      signal,
    }),
  );
