import createClient from "openapi-fetch";
import type { components as ManagementComponents, paths as ManagementPaths } from "./generated/management";
import type { components as StreamingComponents, paths as StreamingPaths } from "./generated/streaming";
import { problemOf } from "./problem";
import { authorizedFetch } from "./session";

export type Schemas = ManagementComponents["schemas"] & StreamingComponents["schemas"];

/** Everything but the streaming API. */
export const management = createClient<ManagementPaths>({ baseUrl: "/v1", fetch: authorizedFetch });

export const projectPath = (project: string) => `/v1/projects/${encodeURIComponent(project)}`;

/** The streaming API of one project. */
export function streaming(project: string) {
  return createClient<StreamingPaths>({ baseUrl: projectPath(project), fetch: authorizedFetch });
}

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The answer's data, or its problem thrown. */
export async function ok<T>(answer: Promise<Answer<T>>): Promise<T> {
  const { data, error, response } = await answer;
  if (!response.ok) throw problemOf(error, response.status, response.headers.get("x-request-id"));
  return data as T;
}

/** The same with the ETag, for a later `If-Match`. */
export async function okTagged<T>(answer: Promise<Answer<T>>): Promise<{ data: T; etag: string | undefined }> {
  const settled = await answer;
  const data = await ok(Promise.resolve(settled));
  return { data, etag: settled.response.headers.get("etag") ?? undefined };
}

/** Calls where no generated client fits: streams, record bodies byte for byte, calls not yet described. */
export async function okFetch(path: string, init?: RequestInit): Promise<Response> {
  const response = await authorizedFetch(path, init);
  if (response.ok) return response;
  throw problemOf(await response.json().catch(() => null), response.status, response.headers.get("x-request-id"));
}
