import { expect, test } from "vitest";
import { elementTexts, memberTexts, parseJson, printJson } from "./json";

test("numbers keep every digit and repeated names stay", () => {
  const text = '{"a": 17123456789012345678901234567890, "a": 1e400, "b": [-0.10, true, null, "x\\u00e9\\n"]}';
  expect(printJson(parseJson(text))).toBe(
    '{\n  "a": 17123456789012345678901234567890,\n  "a": 1e400,\n  "b": [\n    -0.10,\n    true,\n    null,\n    "xé\\n"\n  ]\n}',
  );
});

test("what is not JSON is refused where it goes wrong", () => {
  for (const text of ["", "{", "[1,]", '{"a" 1}', "01", "1.", "'a'", '"\n"', "nul", "{} x", '{"a":1,}', "[1 2]"]) {
    expect(() => parseJson(text), text).toThrow(SyntaxError);
  }
  expect(() => parseJson('{\n"a": x}')).toThrow("line 2");
  expect(() => parseJson("[".repeat(1_000))).toThrow(SyntaxError);
});

test("parts of a text are found and left as they are", () => {
  const text = '{ "records" : [ {"value": {"n": 1.000, "s": "a\\\\\\"]}"}} , 12 ,"x"], "cursor":"c" , "n":-1.5e3 }';
  const members = memberTexts(text);
  expect([...members.keys()]).toEqual(["records", "cursor", "n"]);
  expect(members.get("n")).toBe("-1.5e3");
  const elements = elementTexts(members.get("records")!);
  expect(elements).toEqual(['{"value": {"n": 1.000, "s": "a\\\\\\"]}"}}', "12", '"x"']);
  expect(memberTexts(elements[0]!).get("value")).toBe('{"n": 1.000, "s": "a\\\\\\"]}"}');
  expect(elementTexts("[]")).toEqual([]);
  expect(() => memberTexts('{"a":"')).toThrow(SyntaxError);
});
