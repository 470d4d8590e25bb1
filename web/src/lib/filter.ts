import { compareDecimals } from "./decimal";
import { type JsonNode, parseJson } from "./json";
import type { Field, StoredRecord } from "./record";

/** What the reader of a topic looks for. All parts that are given must hold. */
export interface RecordFilter {
  /** Text within the key. */
  key?: string;
  /** `name`, or `name=value` with the whole value. */
  header?: string;
  /** Text anywhere in the key, the value or a header; case does not matter. */
  text?: string;
  /** `$.a.b[0] >= 5`, or a path alone for "is there". */
  path?: string;
}

export type Matches = (record: StoredRecord) => boolean;

export const isEmptyFilter = (filter: RecordFilter) =>
  !filter.key && !filter.header && !filter.text && !filter.path;

/** Makes a test of a filter; throws a SyntaxError that can be shown. */
export function compileFilter(filter: RecordFilter): Matches {
  const tests: Matches[] = [];
  const { key, header, text, path } = filter;
  if (key) tests.push((record) => plain(record.key).includes(key));
  if (header) tests.push(headerTest(header));
  if (text) tests.push(textTest(text.toLowerCase()));
  if (path) tests.push(pathTest(path));
  return (record) => tests.every((test) => test(record));
}

const plain = (field: Field) => (field.kind === "none" ? "" : field.text);

function headerTest(wanted: string): Matches {
  const equals = wanted.indexOf("=");
  const name = (equals < 0 ? wanted : wanted.slice(0, equals)).trim();
  const value = equals < 0 ? null : wanted.slice(equals + 1).trim();
  return (record) =>
    record.headers.some((header) => header.name === name && (value === null || plain(header.value) === value));
}

function textTest(wanted: string): Matches {
  const holds = (field: Field) => plain(field).toLowerCase().includes(wanted);
  return (record) =>
    holds(record.value) ||
    holds(record.key) ||
    record.headers.some((header) => header.name.toLowerCase().includes(wanted) || holds(header.value));
}

type Step = string | number | "*";
const STEP = /\.([\w$-]+|\*)|\[(?:(\d+)|"((?:[^"\\]|\\.)*)"|(\*))\]/y;
const OPERATORS = ["==", "!=", ">=", "<=", "~=", ">", "<"] as const;
type Operator = (typeof OPERATORS)[number];

function pathTest(source: string): Matches {
  const { steps, rest } = readPath(source.trim());
  const operator = OPERATORS.find((known) => rest.startsWith(known));
  if (rest !== "" && !operator) throw new SyntaxError(`after the path one of ${OPERATORS.join(" ")} expected`);
  const wanted = operator && readOperand(rest.slice(operator.length).trim());
  return (record) => {
    if (record.value.kind !== "json") return false;
    const found = select([parseJson(record.value.text)], steps);
    if (!operator || !wanted) return found.length > 0;
    return found.some((node) => compare(node, operator, wanted));
  };
}

function readPath(source: string): { steps: Step[]; rest: string } {
  const text = source.startsWith("$") ? source.slice(1) : /^[.[]/.test(source) ? source : `.${source}`;
  const steps: Step[] = [];
  let at = 0;
  for (;;) {
    STEP.lastIndex = at;
    const match = STEP.exec(text);
    if (!match) break;
    at = STEP.lastIndex;
    const [, name, index, quoted, star] = match;
    if (index !== undefined) steps.push(Number(index));
    else steps.push(star ?? name ?? JSON.parse(`"${quoted}"`));
  }
  const rest = text.slice(at).trim();
  if (steps.length === 0 && source !== "$" && !source.startsWith("$ ")) {
    throw new SyntaxError("a path like $.customer.id expected");
  }
  return { steps, rest };
}

/** A word that is no JSON is taken as text: `$.state == open`. */
function readOperand(text: string): JsonNode {
  if (text === "") throw new SyntaxError("a value to compare with expected");
  try {
    return parseJson(text);
  } catch {
    return { kind: "string", value: text };
  }
}

function select(nodes: JsonNode[], steps: Step[]): JsonNode[] {
  return steps.reduce((found, step) => found.flatMap((node) => children(node, step)), nodes);
}

function children(node: JsonNode, step: Step): JsonNode[] {
  if (node.kind === "array") {
    if (step === "*") return node.items;
    const item = typeof step === "number" ? node.items[step] : undefined;
    return item ? [item] : [];
  }
  if (node.kind !== "object") return [];
  return node.members.filter(([name]) => step === "*" || name === String(step)).map(([, value]) => value);
}

function compare(node: JsonNode, operator: Operator, wanted: JsonNode): boolean {
  if (operator === "~=") return scalarText(node).toLowerCase().includes(scalarText(wanted).toLowerCase());
  const order = ordering(node, wanted);
  switch (operator) {
    case "==":
      return order === 0;
    case "!=":
      return order !== 0;
    case ">":
      return order !== null && order > 0;
    case ">=":
      return order !== null && order >= 0;
    case "<":
      return order !== null && order < 0;
    case "<=":
      return order !== null && order <= 0;
  }
}

/** Null where the two cannot be compared. */
function ordering(a: JsonNode, b: JsonNode): number | null {
  if (a.kind === "number" && b.kind === "number") return compareDecimals(a.text, b.text);
  if (a.kind !== b.kind || a.kind === "object" || a.kind === "array") return null;
  const [x, y] = [scalarText(a), scalarText(b)];
  return x === y ? 0 : x < y ? -1 : 1;
}

function scalarText(node: JsonNode): string {
  if (node.kind === "string") return node.value;
  return node.kind === "object" || node.kind === "array" ? "" : node.text;
}
