import { useQueryClient } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { Download, ListX, Pause, Play, Plus, Radio, RotateCw, Upload } from "lucide-react";
import { lazy, Suspense, useEffect, useMemo, useState, useSyncExternalStore } from "react";
import { topicPath } from "../api/records";
import { formatCount } from "../lib/format";
import { isEmptyFilter } from "../lib/filter";
import type { StoredRecord } from "../lib/record";
import { useMay } from "../shell/here";
import { Button, IconButton } from "../ui/button";
import { CallSnippet } from "../ui/copy";
import { Empty, Panel } from "../ui/page";
import { ProblemNote } from "../ui/problem-note";
import { RecordReader } from "./reader";
import { RecordDrawer } from "./drawer";
import { filterOf, type RecordsSearch } from "./records-search";
import { RecordTable } from "./record-table";
import { SearchBar } from "./search-bar";
import { saveRecords } from "./download";

const ProduceDialog = lazy(() => import("./produce"));
const UploadDialog = lazy(() => import("./upload"));

export function Records() {
  const { project, topic } = useParams({ from: "/app/p/$project/topics/$topic/" });
  const search = useSearch({ from: "/app/p/$project/topics/$topic/" });
  const navigate = useNavigate({ from: "/p/$project/topics/$topic" });
  const queries = useQueryClient();
  const [again, setAgain] = useState(0);
  const [open, setOpen] = useState<"produce" | "upload" | null>(null);
  const mayProduce = useMay("developer");
  const reader = useReader(project, topic, search, again);
  const state = useSyncExternalStore(reader.subscribe, reader.getState);
  const change = (next: Partial<RecordsSearch>) => void navigate({ search: (old) => ({ ...old, ...next }), replace: true });
  const opened = (record: StoredRecord | null) => change({ record: record ? `${record.partition}:${record.offset}` : undefined });
  const reread = () => {
    setAgain((count) => count + 1);
    void queries.invalidateQueries({ queryKey: ["topic", project, topic] });
  };
  const live = search.live === true;
  const filtered = !isEmptyFilter(filterOf(search));

  return (
    <>
      <Panel flush>
        <SearchBar key={`${project}/${topic}`} search={search} onChange={change}>
          <Button
            aria-pressed={live}
            className="aria-pressed:border-accent aria-pressed:bg-accent-wash aria-pressed:text-accent-ink"
            icon={<Radio className="size-4" />}
            onClick={() => change({ live: live ? undefined : true })}
          >
            Live
          </Button>
          {live && (
            <Button
              icon={state.status === "paused" ? <Play className="size-4" /> : <Pause className="size-4" />}
              onClick={() => (state.status === "paused" ? reader.resume() : reader.pause())}
            >
              {state.status === "paused" ? "Resume" : "Pause"}
            </Button>
          )}
          {!live && (
            <IconButton label="Read again" onClick={reread}>
              <RotateCw className="size-4" />
            </IconButton>
          )}
          <IconButton label="Download what is shown" disabled={state.records.length === 0} onClick={() => saveRecords(topic, state.records)}>
            <Download className="size-4" />
          </IconButton>
          {mayProduce && (
            <>
              <IconButton label="Upload NDJSON" onClick={() => setOpen("upload")}>
                <Upload className="size-4" />
              </IconButton>
              <Button variant="primary" icon={<Plus className="size-4" />} onClick={() => setOpen("produce")}>
                Produce
              </Button>
            </>
          )}
        </SearchBar>
        <StatusLine reader={reader} filtered={filtered} live={live} />
        {state.status === "failed" && (
          <div className="border-b p-3">
            <ProblemNote error={state.error} onRetry={live ? undefined : reread} />
          </div>
        )}
        <RecordTable
          key={`${again}/${live}`}
          records={state.records}
          received={state.matched}
          loading={state.status === "reading"}
          chosen={search.record}
          onOpen={opened}
          empty={<NoRecords project={project} topic={topic} live={live} filtered={filtered} status={state.status} />}
        />
        {!live && state.status === "idle" && state.remaining !== null && state.remaining > 0 && (
          <div className="flex items-center justify-center gap-3 border-t p-3">
            <Button small onClick={() => reader.resume()}>
              Read on
            </Button>
            <span className="text-[12.5px] text-faint tabular-nums">{formatCount(state.remaining)} offsets follow</span>
          </div>
        )}
      </Panel>
      {search.record && (
        <RecordDrawer
          project={project}
          topic={topic}
          id={search.record}
          records={state.records}
          onOpen={opened}
          onSent={live ? undefined : reread}
        />
      )}
      <Suspense fallback={null}>
        {open === "produce" && <ProduceDialog project={project} topic={topic} onClose={() => setOpen(null)} onSent={live ? undefined : reread} />}
        {open === "upload" && <UploadDialog project={project} topic={topic} onClose={() => setOpen(null)} onSent={live ? undefined : reread} />}
      </Suspense>
    </>
  );
}

/** A reader for what the address says; another one when that changes, but not for the record that is open. */
function useReader(project: string, topic: string, search: RecordsSearch, again: number): RecordReader {
  const wanted = JSON.stringify({ ...search, record: undefined });
  const reader = useMemo(() => new RecordReader({ project, topic }, JSON.parse(wanted)), [project, topic, wanted, again]);
  useEffect(() => {
    reader.start();
    return () => reader.stop();
  }, [reader]);
  return reader;
}

function StatusLine({ reader, filtered, live }: { reader: RecordReader; filtered: boolean; live: boolean }) {
  const state = useSyncExternalStore(reader.subscribe, reader.getState);
  const { status, scanned, matched, remaining } = state;
  const total = scanned + (remaining ?? 0);
  const counts = filtered ? `${formatCount(matched)} of ${formatCount(scanned)} records match` : `${formatCount(scanned)} records read`;
  const said = { reading: "Reading", idle: "", live: "Live", paused: "Paused", failed: live ? "Connecting again" : "" }[status];
  return (
    <div className="flex h-9 items-center gap-3 border-b px-3 text-[12.5px] text-faint tabular-nums">
      {said && (
        <span className="inline-flex items-center gap-1.5 font-medium text-soft">
          {status === "live" && <span className="size-2 rounded-full bg-good" aria-hidden />}
          {said}
        </span>
      )}
      <span className="truncate">{counts}</span>
      {filtered && !live && status === "reading" && (
        <>
          <progress aria-label="Searched" max={1} value={total > 0 ? scanned / total : 0} className="h-1.5 w-28 accent-(--accent)" />
          <Button small variant="ghost" icon={<ListX className="size-4" />} onClick={() => reader.pause()}>
            Stop
          </Button>
        </>
      )}
      {state.gaps.length > 0 && (
        <span className="truncate text-warn" title={state.gaps.map((gap) => `partition ${gap.partition}: ${gap.from} to ${gap.to}, ${gap.reason}`).join("\n")}>
          {state.gaps.length} {state.gaps.length === 1 ? "gap" : "gaps"}: {state.gaps[0]!.reason}
        </span>
      )}
    </div>
  );
}

interface NoRecordsProps {
  project: string;
  topic: string;
  live: boolean;
  filtered: boolean;
  status: string;
}

function NoRecords({ project, topic, live, filtered, status }: NoRecordsProps) {
  if (status === "failed") return null;
  if (filtered) return <Empty icon={<ListX className="size-5" />} title="Nothing matches so far">Change the filter, or start the search earlier.</Empty>;
  const url = `${window.location.origin}${topicPath({ project, topic })}/records`;
  return (
    <Empty icon={live ? <Radio className="size-5" /> : <Plus className="size-5" />} title={live ? "Waiting for records" : "No records here"}>
      <p className="mb-4">{live ? "Each record shows here as soon as it is committed. Send one:" : "Produce one here, or with an API key:"}</p>
      <CallSnippet call={{ method: "POST", url, body: '{"records":[{"key":"c1","value":{"id":17}}]}' }} className="text-left" />
    </Empty>
  );
}
