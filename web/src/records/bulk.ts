import { okFetch, type Schemas } from "../api/client";
import { type Place, topicPath } from "../api/records";

export interface UploadProgress {
  sentBytes: number;
  accepted: number;
  rejected: number;
  /** The first of the lines that were refused. */
  refusals: { line: number; problem: Schemas["Problem"] }[];
}

const CHUNK_BYTES = 4 * 1024 * 1024;
const REFUSALS_MAX = 50;
const NEWLINE = 10;

/**
 * Sends a file of NDJSON in pieces of whole lines. Browsers send no streams over HTTP/1.1, and pieces
 * with an Idempotency-Key each can be sent again without doubling a record.
 */
export async function uploadLines(
  place: Place,
  file: File,
  /** The same for each try of one upload: what arrived before is then not appended again. */
  upload: string,
  signal: AbortSignal,
  onProgress: (progress: UploadProgress) => void,
) {
  const progress: UploadProgress = { sentBytes: 0, accepted: 0, rejected: 0, refusals: [] };
  for (let lines = 0; progress.sentBytes < file.size; ) {
    const end = await endOfLines(file, progress.sentBytes);
    const body = new Uint8Array(await file.slice(progress.sentBytes, end).arrayBuffer());
    const headers = { "Content-Type": "application/x-ndjson", "Idempotency-Key": `${upload}-${progress.sentBytes}` };
    const answer = await okFetch(`${topicPath(place)}/records/bulk`, { method: "POST", body, headers, signal });
    for (const text of (await answer.text()).split("\n")) if (text) note(progress, JSON.parse(text), lines);
    lines += body.reduce((count, byte) => count + (byte === NEWLINE ? 1 : 0), 0);
    progress.sentBytes = end;
    onProgress({ ...progress });
  }
}

interface BulkLine {
  line?: number;
  error?: Schemas["Problem"];
  done?: boolean;
  accepted?: number;
  rejected?: number;
}

function note(progress: UploadProgress, said: BulkLine, linesBefore: number) {
  if (said.error && said.line === undefined) throw new Error(said.error.detail);
  if (said.error && progress.refusals.length < REFUSALS_MAX) {
    progress.refusals.push({ line: linesBefore + (said.line ?? 0), problem: said.error });
  }
  if (said.done) {
    progress.accepted += said.accepted ?? 0;
    progress.rejected += said.rejected ?? 0;
  }
}

/** Where the piece that begins at `start` ends: after its last line break. */
async function endOfLines(file: File, start: number): Promise<number> {
  for (let size = CHUNK_BYTES; start + size < file.size; size *= 2) {
    const bytes = new Uint8Array(await file.slice(start, start + size).arrayBuffer());
    const last = bytes.lastIndexOf(NEWLINE);
    if (last >= 0) return start + last + 1;
  }
  return file.size;
}
