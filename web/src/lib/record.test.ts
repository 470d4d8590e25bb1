import { expect, test } from "vitest";
import { draftText, fieldBytes, preview, readRecord } from "./record";

const RAW =
  '{"key":"c1","value":{"id":17123456789012345678, "id": 1e400},"headers":{"t":"x","m":["a","b"]},"timestamp":1795325560824,"partition":2,"offset":7}';

test("a record keeps its value byte for byte, through reading and sending again", () => {
  const record = readRecord(RAW);
  expect(record).toMatchObject({ partition: 2, offset: 7, timestamp: 1795325560824, key: { kind: "text", text: "c1" } });
  expect(record.value).toEqual({ kind: "json", text: '{"id":17123456789012345678, "id": 1e400}' });
  expect(record.headers.map(({ name, value }) => [name, value.kind === "text" && value.text])).toEqual([
    ["t", "x"],
    ["m", "a"],
    ["m", "b"],
  ]);
  expect(draftText({ ...record, partition: undefined })).toBe(
    '{"key":"c1","value":{"id":17123456789012345678, "id": 1e400},"headers":{"t":"x","m":["a","b"]}}',
  );
});

test("bytes stay bytes, and a null value is a tombstone", () => {
  const binary = readRecord('{"key_base64":"/w==","value_base64":"AP8=","headers_base64":{"h":"gA=="},"timestamp":1,"partition":0,"offset":0}');
  expect([...fieldBytes(binary.value)]).toEqual([0, 255]);
  expect(draftText({ ...binary, partition: 4 })).toBe('{"key_base64":"/w==","value_base64":"AP8=","headers_base64":{"h":"gA=="},"partition":4}');
  const tombstone = readRecord('{"key":"k","value":null,"headers":{},"timestamp":1,"partition":0,"offset":0}');
  expect(tombstone.value.kind).toBe("none");
  expect(draftText({ ...tombstone, partition: undefined })).toBe('{"key":"k","value":null}');
});

test("a preview is short and on one line", () => {
  expect(preview({ kind: "text", text: `a\n${"b".repeat(50)}` }, 5)).toBe("a bbb");
});
