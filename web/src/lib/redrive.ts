import type { RedriveCounts, RedrivePage } from "../api/redrive";

export interface Redriven extends RedriveCounts {
  /** Why the first of the letters that were refused cannot be moved. */
  refusal: string | null;
}

/** Calls until there is nothing to go on with, and tells after each call what came of all of them. */
export async function redriveAll(
  call: (cursor: string | undefined) => Promise<RedrivePage>,
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
      refusal: sum.refusal ?? page.letters.find(({ refusal }) => refusal !== null)?.refusal ?? null,
    };
    onProgress(sum);
    cursor = page.cursor ?? undefined;
  } while (cursor !== undefined);
}
