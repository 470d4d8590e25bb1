import type { UseQueryResult } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { ProblemNote } from "./problem-note";
import { Skeleton } from "./skeleton";

interface LoadedProps<T> {
  query: UseQueryResult<T>;
  skeleton?: ReactNode;
  children: (data: T) => ReactNode;
}

/** What a query brought; until then a skeleton, and where it failed the problem. */
export function Loaded<T>({ query, skeleton, children }: LoadedProps<T>) {
  const note = query.isError && <ProblemNote error={query.error} onRetry={() => void query.refetch()} />;
  if (query.data === undefined) return note || skeleton || <Skeleton rows={5} />;
  return (
    <>
      {note && <div className="mb-4">{note}</div>}
      {children(query.data)}
    </>
  );
}
