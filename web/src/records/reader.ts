import { fetchRecords, type Place, type RecordPage, topicPath } from "../api/records";
import { okFetch } from "../api/client";
import { compileFilter, isEmptyFilter, type Matches } from "../lib/filter";
import { linesOf } from "../lib/lines";
import { readRecord, recordWeight, type StoredRecord } from "../lib/record";
import { Ring } from "../lib/ring";
import { filterOf, type RecordsSearch, startQuery } from "./records-search";

export interface ReaderState {
  status: "reading" | "idle" | "live" | "paused" | "failed";
  /** In the order in which they are shown. */
  records: StoredRecord[];
  /** Records that were read, matching or not. */
  scanned: number;
  /** Records that matched since the start, kept or not. */
  matched: number;
  /** Offsets that are still to be read; null while nobody knows. */
  remaining: number | null;
  gaps: RecordPage["gaps"];
  error: unknown;
}

const PAGE_RECORDS = 500;
const SCAN_RECORDS = 5_000;
const SCAN_BYTES = 4 * 1024 * 1024;
/** A search stops here and can be told to go on. */
const MATCHES_A_RUN = 500;
/** All that is kept of what was read, in records and in bytes of memory. */
const KEPT_RECORDS = 20_000;
const KEPT_BYTES = 64 * 1024 * 1024;
/** The list is drawn at most so often while records stream in. */
const DRAW_EVERY_MS = 100;
const RECONNECT_MS_MAX = 15_000;

const EMPTY: ReaderState = { status: "reading", records: [], scanned: 0, matched: 0, remaining: null, gaps: [], error: null };

/** Reads records for one view: page by page, searching, or live. Outside of React, which only looks. */
export class RecordReader {
  state = EMPTY;
  private listeners = new Set<() => void>();
  private abort = new AbortController();
  private matches: Matches = () => true;
  private next: Record<string, string>;
  private ring = new Ring<StoredRecord>(KEPT_RECORDS, KEPT_BYTES, recordWeight);
  private drawTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly place: Place,
    private readonly search: RecordsSearch,
  ) {
    this.next = startQuery(search);
  }

  subscribe = (listener: () => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  getState = () => this.state;

  start() {
    try {
      this.matches = compileFilter(filterOf(this.search));
    } catch (error) {
      this.set({ status: "failed", error });
      return;
    }
    void (this.search.live ? this.follow() : this.readOn());
  }

  /** Ends what goes on; what was read stays. */
  stop() {
    this.abort.abort();
    this.abort = new AbortController();
    clearTimeout(this.drawTimer);
    this.drawTimer = undefined;
  }

  pause() {
    this.stop();
    this.set({ status: this.search.live ? "paused" : "idle", records: this.shown() });
  }

  resume() {
    void (this.search.live ? this.follow() : this.readOn());
  }

  /** The next page; with a filter as many as it takes to find something. */
  private async readOn() {
    const { signal } = this.abort;
    const searching = !isEmptyFilter(filterOf(this.search));
    const limits: Record<string, string> = searching
      ? { max_records: String(SCAN_RECORDS), max_bytes: String(SCAN_BYTES) }
      : { max_records: String(this.search.from ? PAGE_RECORDS : Math.max(PAGE_RECORDS, this.search.n ?? 0)) };
    const enough = this.state.matched + (searching ? MATCHES_A_RUN : 1);
    this.set({ status: "reading", error: null });
    try {
      for (;;) {
        const page = await fetchRecords(this.place, this.search.partition, { ...this.next, ...limits }, signal);
        if (signal.aborted) return;
        this.next = page.next;
        const matching = page.records.filter(this.matches);
        for (const record of matching) this.ring.push(record);
        const ended = page.remaining === 0 || page.records.length === 0;
        const matched = this.state.matched + matching.length;
        this.set({
          status: ended || matched >= enough || !searching ? "idle" : "reading",
          records: this.shown(),
          scanned: this.state.scanned + page.records.length,
          matched,
          remaining: page.remaining,
          gaps: [...this.state.gaps, ...page.gaps].slice(-20),
        });
        if (this.state.status === "idle") return;
      }
    } catch (error) {
      if (!signal.aborted) this.set({ status: "failed", error });
    }
  }

  /** The newest first where that is what was asked for; else in the order of reading. */
  private shown(): StoredRecord[] {
    const newestFirst = this.ring.newestFirst();
    if (this.search.live) return newestFirst;
    if (this.search.from) return newestFirst.reverse();
    return newestFirst.sort((a, b) => b.timestamp - a.timestamp || b.offset - a.offset || a.partition - b.partition);
  }

  /** Follows the topic; a broken connection goes on from its last cursor. */
  private async follow() {
    const { signal } = this.abort;
    for (let failures = 0; !signal.aborted; ) {
      try {
        const answer = await okFetch(`${topicPath(this.place)}/tail.ndjson?${new URLSearchParams(this.next)}`, { signal });
        failures = 0;
        this.set({ status: "live", error: null });
        for await (const lines of linesOf(answer.body!)) this.take(lines);
      } catch (error) {
        if (signal.aborted) return;
        failures += 1;
        this.set({ status: "failed", error });
      }
      const wait = failures === 0 ? 250 : Math.min(1_000 * 2 ** (failures - 1), RECONNECT_MS_MAX);
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }

  private take(lines: string[]) {
    let [scanned, matched] = [0, 0];
    for (const line of lines) {
      if (line.startsWith('{"cursor"')) {
        this.next = JSON.parse(line);
        continue;
      }
      const record = readRecord(line);
      scanned += 1;
      if (this.search.partition !== undefined && record.partition !== this.search.partition) continue;
      if (!this.matches(record)) continue;
      matched += 1;
      this.ring.push(record);
    }
    if (scanned === 0) return;
    this.state = { ...this.state, scanned: this.state.scanned + scanned, matched: this.state.matched + matched };
    this.drawTimer ??= setTimeout(() => {
      this.drawTimer = undefined;
      this.set({ records: this.shown() });
    }, DRAW_EVERY_MS);
  }

  private set(change: Partial<ReaderState>) {
    this.state = { ...this.state, ...change };
    for (const listener of this.listeners) listener();
  }
}
