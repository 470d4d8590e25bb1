import { expect, test } from "vitest";
import { compileFilter, type RecordFilter } from "./filter";
import { readRecord } from "./record";

const record = readRecord(
  '{"key":"user-17","value":{"id":17123456789012345679,"state":"Open","items":[{"p":9.5},{"p":12}],"a b":1,"n":null},"headers":{"trace":"abc"},"timestamp":1,"partition":0,"offset":0}',
);
const matches = (filter: RecordFilter) => compileFilter(filter)(record);

test("keys, headers and text", () => {
  expect(matches({ key: "r-1" })).toBe(true);
  expect(matches({ key: "R-1" })).toBe(false);
  expect(matches({ header: "trace" })).toBe(true);
  expect(matches({ header: "trace=abc" })).toBe(true);
  expect(matches({ header: "trace=ab" })).toBe(false);
  expect(matches({ text: "OPEN" })).toBe(true);
  expect(matches({ text: "trace" })).toBe(true);
  expect(matches({ text: "absent" })).toBe(false);
  expect(matches({ key: "user", text: "absent" })).toBe(false);
});

test("paths compare numbers by their digits", () => {
  expect(matches({ path: "$.id == 17123456789012345679" })).toBe(true);
  expect(matches({ path: "$.id == 17123456789012345678" })).toBe(false);
  expect(matches({ path: "$.id > 17123456789012345678" })).toBe(true);
  expect(matches({ path: "items[*].p >= 12.0" })).toBe(true);
  expect(matches({ path: "items[0].p > 10" })).toBe(false);
});

test("paths compare text, and are there or not", () => {
  for (const path of ["$.state == Open", '$.state == "Open"', "$.state ~= op", "$.state != Closed", '$["a b"] == 1', "$.n == null", "$.items", "$.items[1]"]) {
    expect(matches({ path }), path).toBe(true);
  }
  for (const path of ["$.state == open", "$.none", "$.items[2]", "$.state > 5"]) {
    expect(matches({ path }), path).toBe(false);
  }
});

test("a path that is none is told", () => {
  for (const path of ["$.a =", "$.a ==", "== 1", "$.a foo"]) expect(() => compileFilter({ path }), path).toThrow(SyntaxError);
});
