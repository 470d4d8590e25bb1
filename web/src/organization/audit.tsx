import { useInfiniteQuery } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { ScrollText } from "lucide-react";
import { type FormEvent, useState } from "react";
import { management, ok, type Schemas } from "../api/client";
import { formatTime } from "../lib/format";
import { Button } from "../ui/button";
import { Field, Input, Select } from "../ui/field";
import { Badge, Empty, Page, Panel } from "../ui/page";
import { ProblemNote } from "../ui/problem-note";
import { Skeleton } from "../ui/skeleton";
import { type Column, DataTable } from "../ui/table";
import type { AuditSearch } from "./audit-search";

type Event = Schemas["AuditEvent"];

const PAGE_SIZE = 200;

export function Audit() {
  const { organization } = useParams({ from: "/app/o/$organization/audit" });
  const search = useSearch({ from: "/app/o/$organization/audit" });
  const { since: from, until: to, ...rest } = search;
  const events = useInfiniteQuery({
    queryKey: ["audit", organization, search],
    queryFn: ({ pageParam }) =>
      ok(
        management.GET("/organizations/{organization}/audit-events", {
          params: {
            path: { organization },
            query: { ...rest, from, to, page_size: PAGE_SIZE, page_token: pageParam },
          },
        }),
      ),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next_page_token ?? undefined,
  });
  const rows = events.data?.pages.flatMap((page) => page.events) ?? [];
  return (
    <Page title="Audit log" lead="Who changed what, and what was refused. The newest first.">
      <Panel flush>
        <Filters key={organization} search={search} />
        {events.isError && (
          <div className="p-3">
            <ProblemNote error={events.error} onRetry={() => void events.refetch()} />
          </div>
        )}
        {events.isPending ? (
          <Skeleton rows={8} className="p-4" />
        ) : (
          <DataTable
            label="Audit events"
            rows={rows}
            columns={COLUMNS}
            rowId={(event) => `${event.request_id}/${event.time}/${event.action}/${event.target}`}
            minWidth={1000}
            empty={<Empty icon={<ScrollText className="size-5" />} title="No events match" />}
          />
        )}
        {events.hasNextPage && (
          <div className="flex justify-center border-t p-3">
            <Button small busy={events.isFetchingNextPage} onClick={() => void events.fetchNextPage()}>
              Older events
            </Button>
          </div>
        )}
      </Panel>
    </Page>
  );
}

const COLUMNS: Column<Event>[] = [
  {
    id: "time",
    header: "Time",
    width: "14rem",
    cell: (event) => <span className="text-soft tabular-nums">{formatTime(Date.parse(event.time))}</span>,
  },
  {
    id: "action",
    header: "Action",
    width: "minmax(9rem, 12rem)",
    cell: (event) => <code className="font-mono text-[12.5px]">{event.action}</code>,
  },
  {
    id: "target",
    header: "On",
    width: "minmax(12rem, 2fr)",
    cell: (event) => <span title={event.target}>{event.target}</span>,
  },
  {
    id: "actor",
    header: "Who",
    width: "minmax(9rem, 14rem)",
    cell: (event) => <span title={event.actor}>{event.actor}</span>,
  },
  {
    id: "outcome",
    header: "Outcome",
    width: "5rem",
    cell: (event) => <Badge tone={event.outcome === "denied" ? "bad" : "good"}>{event.outcome}</Badge>,
  },
  {
    id: "source_ip",
    header: "From",
    width: "8rem",
    cell: (event) => <span className="text-soft tabular-nums">{event.source_ip}</span>,
  },
  {
    id: "request_id",
    header: "Request",
    width: "9.5rem",
    cell: (event) => (
      <code className="font-mono text-[12px] text-faint" title={event.request_id}>
        {event.request_id}
      </code>
    ),
  },
];

function Filters({ search }: { search: AuditSearch }) {
  const navigate = useNavigate({ from: "/o/$organization/audit" });
  const [draft, setDraft] = useState(search);
  const apply = (event: FormEvent) => {
    event.preventDefault();
    void navigate({ search: draft });
  };
  const text = (name: "actor" | "action") => ({
    value: draft[name] ?? "",
    onChange: (event: { target: { value: string } }) =>
      setDraft({ ...draft, [name]: event.target.value || undefined }),
  });
  const time = (name: "since" | "until") => ({
    type: "datetime-local",
    value: draft[name] ? localInput(draft[name]) : "",
    onChange: (event: { target: { value: string } }) =>
      setDraft({
        ...draft,
        [name]: event.target.value ? new Date(event.target.value).toISOString() : undefined,
      }),
  });
  return (
    <form
      onSubmit={apply}
      className="grid grid-cols-2 items-end gap-3 border-b p-3 md:grid-cols-3 xl:grid-cols-[1fr_1fr_8rem_13rem_13rem_auto]"
    >
      <Field label="Who">
        <Input placeholder="ana@example.com" {...text("actor")} />
      </Field>
      <Field label="Action">
        <Input placeholder="deleteTopic" {...text("action")} />
      </Field>
      <Field label="Outcome">
        <Select
          value={draft.outcome ?? ""}
          onChange={(event) =>
            setDraft({ ...draft, outcome: (event.target.value || undefined) as AuditSearch["outcome"] })
          }
        >
          <option value="">any</option>
          <option>allowed</option>
          <option>denied</option>
        </Select>
      </Field>
      <Field label="Since">
        <Input {...time("since")} />
      </Field>
      <Field label="Until">
        <Input {...time("until")} />
      </Field>
      <Button type="submit" variant="primary">
        Filter
      </Button>
    </form>
  );
}

function localInput(at: string): string {
  const date = new Date(at);
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
