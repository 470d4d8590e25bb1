import type { RedrivePage } from "../api/redrive";

/** What matters here of what a call answers. */
export type Page = Pick<RedrivePage, "moved" | "skipped" | "refused" | "left" | "cursor"> & {
  letters: Pick<RedrivePage["letters"][number], "refusal">[];
};

export interface Redriven extends Omit<Page, "letters" | "cursor"> {
  /** Why the first of the letters that were refused cannot be moved. */
  refusal: string | null;
}

/** Calls until there is nothing to go on with, and tells after each call what came of all of them. */
export async function redriveAll(
  call: (cursor: string | undefined) => Promise<Page>,
  onProgress: (redriven: Redriven) => void,
): Promise<void> {
  let sum: Redriven = { moved: 0, skipped: 0, refused: 0, left: 0, refusal: null };
  let cursor: string | undefined;
  do {
    const page = await call(cursor);
    sum = {
      moved: sum.moved + page.moved,
      skipped: sum.skipped + page.skipped,
      refused: sum.refused + page.refused,
      left: page.left,
      refusal: sum.refusal ?? page.letters.find(({ refusal }) => refusal != null)?.refusal ?? null,
    };
    onProgress(sum);
    cursor = page.cursor ?? undefined;
  } while (cursor !== undefined);
}
