/**
 * JSON that loses nothing: numbers stay the text that they were, repeated names stay, and the place of
 * each value in the text is known. `JSON.parse` would round 17123456789012345678 and drop repeats.
 */
export type JsonNode =
  | { kind: "object"; members: [name: string, value: JsonNode][] }
  | { kind: "array"; items: JsonNode[] }
  | { kind: "string"; value: string }
  | { kind: "number"; text: string }
  | { kind: "literal"; text: "true" | "false" | "null" };

/** As deep as the service takes, and a margin. */
const DEPTH_MAX = 128;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const SCALAR = /[-+.\w]+/y;
const LITERAL = /true|false|null/y;

class Scanner {
  at = 0;
  constructor(readonly text: string) {}

  fail(wanted: string): never {
    const line = this.text.slice(0, this.at).split("\n").length;
    const found = this.at < this.text.length ? JSON.stringify(this.text[this.at]) : "the end";
    throw new SyntaxError(`line ${line}: ${wanted} expected, found ${found}`);
  }

  space() {
    for (;;) {
      const code = this.text.charCodeAt(this.at);
      if (code !== 32 && code !== 10 && code !== 13 && code !== 9) return;
      this.at += 1;
    }
  }

  take(mark: string): boolean {
    if (this.text[this.at] !== mark) return false;
    this.at += 1;
    return true;
  }

  match(pattern: RegExp, wanted: string): string {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text)?.[0];
    if (found === undefined) this.fail(wanted);
    this.at += found.length;
    return found;
  }

  string(): string {
    return JSON.parse(this.match(STRING, "a string"));
  }

  /** Walks an object's members; `visit` is called at the start of each value and must consume it. */
  members(visit: (name: string) => void) {
    this.at += 1;
    this.space();
    if (this.take("}")) return;
    for (;;) {
      this.space();
      const name = this.string();
      this.space();
      if (!this.take(":")) this.fail('":"');
      this.space();
      visit(name);
      this.space();
      if (this.take("}")) return;
      if (!this.take(",")) this.fail('"," or "}"');
    }
  }

  elements(visit: () => void) {
    this.at += 1;
    this.space();
    if (this.take("]")) return;
    for (;;) {
      this.space();
      visit();
      this.space();
      if (this.take("]")) return;
      if (!this.take(",")) this.fail('"," or "]"');
    }
  }

  value(depth: number): JsonNode {
    if (depth > DEPTH_MAX) this.fail("less nesting");
    switch (this.text[this.at]) {
      case "{": {
        const members: [string, JsonNode][] = [];
        this.members((name) => members.push([name, this.value(depth + 1)]));
        return { kind: "object", members };
      }
      case "[": {
        const items: JsonNode[] = [];
        this.elements(() => items.push(this.value(depth + 1)));
        return { kind: "array", items };
      }
      case '"':
        return { kind: "string", value: this.string() };
      case "t":
      case "f":
      case "n":
        return { kind: "literal", text: this.match(LITERAL, "a value") as "true" };
      default:
        return { kind: "number", text: this.match(NUMBER, "a value") };
    }
  }

  /** Goes past a value of text that the service wrote, without checking it again. */
  skip() {
    let depth = 0;
    for (;;) {
      const mark = this.text[this.at];
      if (mark === undefined) this.fail("a value");
      if (mark === '"') this.skipString();
      else if (mark === "{" || mark === "[") {
        depth += 1;
        this.at += 1;
      } else if (mark === "}" || mark === "]") {
        depth -= 1;
        this.at += 1;
      } else if (depth === 0) {
        this.match(SCALAR, "a value");
      } else {
        this.at += 1;
      }
      if (depth === 0) return;
    }
  }

  private skipString() {
    let end = this.at;
    let backslashes: number;
    do {
      end = this.text.indexOf('"', end + 1);
      if (end < 0) this.fail("the end of a string");
      for (backslashes = 0; this.text[end - 1 - backslashes] === "\\"; ) backslashes += 1;
    } while (backslashes % 2 === 1);
    this.at = end + 1;
  }
}

/** The whole text as one value. Throws a SyntaxError that says where. */
export function parseJson(text: string): JsonNode {
  const scanner = new Scanner(text);
  scanner.space();
  const node = scanner.value(0);
  scanner.space();
  if (scanner.at < text.length) scanner.fail("the end");
  return node;
}

/** The members of an object, each with the text of its value. */
export function memberTexts(text: string): Map<string, string> {
  const scanner = new Scanner(text);
  scanner.space();
  if (text[scanner.at] !== "{") scanner.fail('"{"');
  const found = new Map<string, string>();
  scanner.members((name) => {
    const start = scanner.at;
    scanner.skip();
    found.set(name, text.slice(start, scanner.at).trimEnd());
  });
  return found;
}

/** The elements of an array, each as its text. */
export function elementTexts(text: string): string[] {
  const scanner = new Scanner(text);
  scanner.space();
  if (text[scanner.at] !== "[") scanner.fail('"["');
  const found: string[] = [];
  scanner.elements(() => {
    const start = scanner.at;
    scanner.skip();
    found.push(text.slice(start, scanner.at).trimEnd());
  });
  return found;
}

/** Writes a value with line breaks and two spaces; numbers and strings keep their meaning exactly. */
export function printJson(node: JsonNode, indent = ""): string {
  const deeper = `${indent}  `;
  switch (node.kind) {
    case "object": {
      if (node.members.length === 0) return "{}";
      const lines = node.members.map(([name, value]) => `${deeper}${JSON.stringify(name)}: ${printJson(value, deeper)}`);
      return `{\n${lines.join(",\n")}\n${indent}}`;
    }
    case "array": {
      if (node.items.length === 0) return "[]";
      return `[\n${node.items.map((item) => deeper + printJson(item, deeper)).join(",\n")}\n${indent}]`;
    }
    case "string":
      return JSON.stringify(node.value);
    default:
      return node.text;
  }
}
