/** Cuts a byte stream into lines. */
export async function* linesOf(body: ReadableStream<Uint8Array>): AsyncGenerator<string[]> {
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
  let rest: string[] = [];
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const pieces = value.split("\n");
      rest.push(pieces[0]!);
      if (pieces.length === 1) continue;
      const complete = [rest.join(""), ...pieces.slice(1, -1)];
      rest = [pieces.at(-1)!];
      yield complete.filter((line) => line !== "");
    }
    const last = rest.join("");
    if (last !== "") yield [last];
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
