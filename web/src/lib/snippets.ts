/** The same call three ways, for pasting. */
export interface Call {
  method: "GET" | "PUT" | "POST" | "PATCH" | "DELETE";
  url: string;
  /** JSON text, put in as it is. */
  body?: string;
  headers?: Record<string, string>;
  /** The answer is read line by line, without end. */
  streams?: boolean;
  /** What no API key may do: it takes the access token of a person's session. */
  asPerson?: boolean;
}

export const LANGUAGES = ["curl", "Python", "TypeScript"] as const;
export type Language = (typeof LANGUAGES)[number];

/** The variable that holds the caller's credential. */
const credential = ({ asPerson }: Call) => (asPerson ? "HEADWATER_TOKEN" : "HEADWATER_KEY");

export function snippet(call: Call, language: Language): string {
  if (language === "curl") return curl(call);
  return language === "Python" ? python(call) : typescript(call);
}

/** Within single quotes a shell changes nothing; a quote itself has to leave them. */
const shellQuoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;

function curl(call: Call): string {
  const { method, url, body, headers = {}, streams } = call;
  const first = ["curl", streams && "-N", method !== "GET" && !(method === "POST" && body) && `-X ${method}`]
    .filter(Boolean)
    .join(" ");
  const lines = [`${first} ${shellQuoted(url)}`, `-H "Authorization: Bearer $${credential(call)}"`];
  for (const [name, value] of Object.entries(headers)) lines.push(`-H ${shellQuoted(`${name}: ${value}`)}`);
  if (body) lines.push("-H 'Content-Type: application/json'", `-d ${shellQuoted(body)}`);
  return lines.join(" \\\n  ");
}

/** A JSON string is a string literal of Python and of TypeScript as well. */
const literal = (text: string) => JSON.stringify(text);

function python(call: Call): string {
  const { method, url, body, headers = {}, streams } = call;
  const own = { ...headers, ...(body ? { "Content-Type": "application/json" } : {}) };
  const extra = Object.entries(own).map(([name, value]) => `, ${literal(name)}: ${literal(value)}`);
  const lines = [
    "import os, requests",
    "",
    `answer = requests.request(${literal(method)}, ${literal(url)},`,
    `    headers={"Authorization": "Bearer " + os.environ["${credential(call)}"]${extra.join("")}},`,
  ];
  if (body) lines.push(`    data=${literal(body)}.encode(),`);
  if (streams) lines.push("    stream=True,");
  lines.push(")", "answer.raise_for_status()");
  lines.push(
    ...(streams ? ["for line in answer.iter_lines():", "    print(line.decode())"] : ["print(answer.text)"]),
  );
  return lines.join("\n");
}

function typescript(call: Call): string {
  const { method, url, body, headers = {}, streams } = call;
  const own = { ...headers, ...(body ? { "Content-Type": "application/json" } : {}) };
  const extra = Object.entries(own).map(([name, value]) => `, ${literal(name)}: ${literal(value)}`);
  const lines = [
    `const answer = await fetch(${literal(url)}, {`,
    `  method: ${literal(method)},`,
    `  headers: { Authorization: \`Bearer \${process.env.${credential(call)}}\`${extra.join("")} },`,
  ];
  if (body) lines.push(`  body: ${literal(body)},`);
  lines.push("});", "if (!answer.ok) throw new Error(await answer.text());");
  if (streams) {
    lines.push(
      "for await (const text of answer.body!.pipeThrough(new TextDecoderStream())) {",
      "  console.log(text);",
      "}",
    );
  } else {
    lines.push("console.log(await answer.text());");
  }
  return lines.join("\n");
}
