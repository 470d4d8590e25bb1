import { queryOptions } from "@tanstack/react-query";
import { okFetch, projectPath } from "./client";

/** What letters must be to be moved back: all that is named. */
export interface RedriveFilter {
  key?: string;
  reason?: string;
  offsets?: { partition: number; from: number; to: number }[];
}

export interface RedriveRequest {
  filter?: RedriveFilter;
  records_per_second?: number;
  dry_run?: boolean;
  cursor?: string;
}

export interface RedriveCounts {
  moved: number;
  /** Letters of the group that the filter leaves. */
  skipped: number;
  refused: number;
  /** Offsets of the dead-letter topic that are still to be looked at. */
  left: number;
}

export interface RedrivePage extends RedriveCounts {
  letters: { partition: number; offset: number; refusal: string | null }[];
  /** Null at the end. */
  cursor: string | null;
}

/** Moves dead letters back, as many as one call does. */
export async function redriveGroup(
  project: string,
  group: string,
  request: RedriveRequest,
  signal?: AbortSignal,
): Promise<RedrivePage> {
  const answer = await okFetch(`${projectPath(project)}/groups/${encodeURIComponent(group)}/redrive`, {
    method: "POST",
    body: JSON.stringify(request),
    headers: { "Content-Type": "application/json" },
    signal,
  });
  return answer.json();
}

/** Whether the service moves letters back by itself: it says so in the document that it serves. */
export const offersRedriveQuery = queryOptions({
  queryKey: ["document", "streaming"],
  queryFn: async (): Promise<boolean> => {
    const document = await (await okFetch("/openapi/streaming.json")).json();
    return document.paths["/groups/{group}/redrive"]?.post !== undefined;
  },
  staleTime: Infinity,
});
