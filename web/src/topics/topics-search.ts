export interface TopicsSearch {
  q?: string;
  sort?: string;
  desc?: boolean;
}

const SORTS = ["name", "partitions", "hot_bytes", "cold_bytes", "created_at"];

/** Reads the list's search and sort from the address, and forgets what it does not know. */
export function readTopicsSearch(search: Record<string, unknown>): TopicsSearch {
  return {
    q: search.q === undefined || search.q === "" ? undefined : String(search.q),
    sort: SORTS.includes(search.sort as string) ? (search.sort as string) : undefined,
    desc: search.desc === true ? true : undefined,
  };
}
