/** One line of a hex view: offset, sixteen bytes, and what of them can be printed. */
export function hexLines(bytes: Uint8Array, linesMax = 2_048): string[] {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length && lines.length < linesMax; at += 16) {
    const row = bytes.subarray(at, at + 16);
    const hex = Array.from(row, (byte) => byte.toString(16).padStart(2, "0"));
    const left = hex.slice(0, 8).join(" ").padEnd(23);
    const right = hex.slice(8).join(" ").padEnd(23);
    const text = Array.from(row, (byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : "·")).join("");
    lines.push(`${at.toString(16).padStart(8, "0")}  ${left}  ${right}  ${text}`);
  }
  return lines;
}
