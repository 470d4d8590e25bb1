import { expect, test } from "vitest";
import { type Page, redriveAll, type Redriven } from "./redrive";

const page = (moved: number, left: number, cursor: string | null, refusal?: string): Page => ({
  moved,
  skipped: 1,
  refused: refusal ? 1 : 0,
  left,
  letters: refusal ? [{ refusal }] : [],
  cursor,
});

test("a redrive goes on from each call's cursor, and tells all of it", async () => {
  const pages = [page(500, 700, "a"), page(200, 10, "b", "the topic is gone"), page(0, 0, null, "too large")];
  const [cursors, told]: [unknown[], Redriven[]] = [[], []];
  await redriveAll(
    async (cursor) => {
      cursors.push(cursor);
      return pages[cursors.length - 1]!;
    },
    (redriven) => told.push(redriven),
  );
  expect(cursors).toEqual([undefined, "a", "b"]);
  expect(told[0]).toEqual({ moved: 500, skipped: 1, refused: 0, left: 700, refusal: null });
  expect(told.at(-1)).toEqual({ moved: 700, skipped: 3, refused: 2, left: 0, refusal: "the topic is gone" });
});

test("a redrive that fails keeps what was told before", async () => {
  const told: Redriven[] = [];
  const pages = [page(5, 5, "a")];
  const call = async () => pages.shift() ?? Promise.reject(new Error("away"));
  await expect(redriveAll(call, (redriven) => told.push(redriven))).rejects.toThrow("away");
  expect(told.map(({ moved }) => moved)).toEqual([5]);
});
