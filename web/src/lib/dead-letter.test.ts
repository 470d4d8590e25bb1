import { expect, test } from "vitest";
import { deadLetterOf, withoutDeath } from "./dead-letter";
import { draftText, readRecord } from "./record";

const HEADERS = {
  trace: "t1",
  "headwater-origin-topic": "orders",
  "headwater-origin-partition": "2",
  "headwater-origin-offset": "41",
  "headwater-group": "mailer",
  "headwater-attempts": "5",
  "headwater-reason": "no address",
};
const letter = (headers: object) =>
  readRecord(
    `{"value":{"id":17123456789012345678},"headers":${JSON.stringify(headers)},"timestamp":1,"partition":0,"offset":9}`,
  );

test("a dead letter says where it came from, and goes back as it was", () => {
  expect(deadLetterOf(letter(HEADERS))).toEqual({
    topic: "orders",
    partition: "2",
    offset: "41",
    group: "mailer",
    attempts: "5",
    reason: "no address",
  });
  expect(draftText(withoutDeath(letter(HEADERS)))).toBe(
    '{"value":{"id":17123456789012345678},"headers":{"trace":"t1"}}',
  );
});

test("another record is no dead letter", () => {
  expect(deadLetterOf(letter({ trace: "t1" }))).toBeNull();
});
