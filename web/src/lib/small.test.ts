import { expect, test } from "vitest";
import { assignmentText } from "./assignment";
import { compareDecimals } from "./decimal";
import { estimateRetention } from "./estimate";
import { formatAgo, formatBytes, formatDuration, formatSpan } from "./format";
import { hexLines } from "./hex";
import { lagSlope, timeToDrain } from "./lag";
import { linesOf } from "./lines";
import { Ring } from "./ring";
import { LANGUAGES, snippet } from "./snippets";
import { bestUnit, BYTE_UNITS, TIME_UNITS } from "./units";

test("decimals compare at any size and in any form", () => {
  const rising = [
    "-1e400",
    "-2",
    "-1.5",
    "-0.1",
    "0",
    "1e-400",
    "0.1",
    "1",
    "1.5",
    "10",
    "17123456789012345678",
    "17123456789012345679",
    "1e400",
  ];
  for (const [i, a] of rising.entries())
    for (const [j, b] of rising.entries()) expect(compareDecimals(a, b), `${a} ${b}`).toBe(Math.sign(i - j));
  for (const [a, b] of [
    ["1", "1.0"],
    ["10", "1e1"],
    ["-0", "0.0"],
    ["100e-2", "1"],
  ] as const)
    expect(compareDecimals(a, b)).toBe(0);
});

test("amounts are told in their best unit", () => {
  expect([0, 1023, 1536, 268435456, 1.5e15].map(formatBytes)).toEqual([
    "0 B",
    "1023 B",
    "1.5 KiB",
    "256 MiB",
    "1.3 PiB",
  ]);
  expect([0, 999, 1_000, 5_400_000, 604_800_000].map(formatDuration)).toEqual([
    "0 ms",
    "999 ms",
    "1 second",
    "1 hour 30 minutes",
    "7 days",
  ]);
  expect([350, 1_000, 355_000, 90_000_000].map(formatSpan)).toEqual([
    "350 ms",
    "1 s",
    "5 min 55 s",
    "1 d 1 h",
  ]);
  expect(formatAgo(0, 60_000)).toBe("1 minute ago");
  expect(formatAgo(120_000, 0)).toBe("in 2 minutes");
  expect(bestUnit(604_800_000, TIME_UNITS).name).toBe("days");
  expect(bestUnit(604_800_001, TIME_UNITS).name).toBe("ms");
  expect(bestUnit(1536, BYTE_UNITS).name).toBe("B");
});

test("retention is bounded by whichever comes first", () => {
  const topic = {
    bytesPerSecond: 100,
    storedBytes: 0,
    partitions: 2,
    retentionMs: 10_000,
    retentionBytes: null,
    compacted: false,
  };
  expect(estimateRetention(topic)).toEqual({ levelBytes: 1_000, by: "time", levelInMs: 10_000 });
  expect(estimateRetention({ ...topic, retentionBytes: 100 })).toEqual({
    levelBytes: 200,
    by: "size",
    levelInMs: 2_000,
  });
  expect(estimateRetention({ ...topic, retentionMs: null })).toMatchObject({
    by: "nothing",
    levelBytes: null,
  });
  expect(estimateRetention({ ...topic, compacted: true })).toMatchObject({ by: "compaction" });
});

test("a lag that shrinks has a time to drain", () => {
  const samples = [0, 1, 2, 3].map((second) => ({ time: second * 1_000, records: 100 - second * 10 }));
  expect(lagSlope(samples)).toBeCloseTo(-10);
  expect(timeToDrain(samples)).toBeCloseTo(7_000);
  expect(timeToDrain(samples.slice(0, 1))).toBeNull();
  expect(
    timeToDrain([
      { time: 0, records: 1 },
      { time: 1, records: 2 },
    ]),
  ).toBeNull();
  expect(timeToDrain([{ time: 0, records: 0 }])).toBe(0);
});

test("a ring is bounded in number and in weight", () => {
  const ring = new Ring<number>(3, 100, (item) => item);
  for (const item of [1, 2, 3, 4, 5]) ring.push(item);
  expect(ring.newestFirst()).toEqual([5, 4, 3]);
  ring.push(97);
  expect(ring.newestFirst()).toEqual([97]);
  ring.push(1_000);
  expect(ring.newestFirst()).toEqual([1_000]);
});

test("lines are cut wherever the bytes are", async () => {
  const bytes = new TextEncoder().encode('{"a":"é"}\n\n{"b":2}\nlast');
  for (const size of [1, 2, 3, 7, 100]) {
    const stream = new ReadableStream<Uint8Array>({
      start(controller) {
        for (let at = 0; at < bytes.length; at += size) controller.enqueue(bytes.slice(at, at + size));
        controller.close();
      },
    });
    const found: string[] = [];
    for await (const lines of linesOf(stream)) found.push(...lines);
    expect(found).toEqual(['{"a":"é"}', '{"b":2}', "last"]);
  }
});

test("hex shows sixteen bytes a line", () => {
  expect(hexLines(new Uint8Array([0x41, 0xff]))[0]).toMatch(/^00000000 {2}41 ff +A·$/);
  expect(hexLines(new Uint8Array(33))).toHaveLength(3);
});

test("snippets quote what a shell or a language would read", () => {
  const call = { method: "POST" as const, url: "http://h/x", body: `{"a":"it's $HOME \\n \\"q\\""}` };
  expect(snippet(call, "curl")).toContain(`-d '{"a":"it'\\''s $HOME \\n \\"q\\""}'`);
  for (const language of ["Python", "TypeScript"] as const) {
    const literal = /(?:data=|body: )("(?:[^"\\]|\\.)*")/.exec(snippet(call, language))?.[1];
    expect(JSON.parse(literal!)).toBe(call.body);
  }
  for (const language of LANGUAGES) {
    expect(snippet(call, language)).toMatch(/HEADWATER_KEY/);
    expect(snippet({ ...call, asPerson: true }, language)).toMatch(/HEADWATER_TOKEN/);
  }
});

test("an assignment is told in runs of partitions", () => {
  const owned = [3, 0, 1, 10, 2].map((partition) => ({ topic: "orders", partition }));
  expect(assignmentText([...owned, { topic: "payments", partition: 1 }])).toBe("orders 0-3 10, payments 1");
  expect(assignmentText([])).toBe("");
});

test("the time to drain follows the rate of now, not that of an hour ago", () => {
  const still = Array.from({ length: 60 }, (_, minute) => ({ time: minute * 60_000, records: 10_000 }));
  const draining = Array.from({ length: 19 }, (_, n) => ({
    time: 60 * 60_000 + n * 10_000,
    records: 10_000 - n * 100,
  }));
  expect(timeToDrain([...still, ...draining])).toBeCloseTo(820_000);
});
