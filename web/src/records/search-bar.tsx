import { useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { SlidersHorizontal, X } from "lucide-react";
import { type FormEvent, type ReactNode, useEffect, useState } from "react";
import { topicQuery } from "../api/queries";
import { compileFilter, isEmptyFilter } from "../lib/filter";
import { Button } from "../ui/button";
import { Field, Input, Select } from "../ui/field";
import { filterOf, type From, type RecordsSearch, TAIL_DEFAULT, TAIL_MAX } from "./records-search";

interface SearchBarProps {
  search: RecordsSearch;
  onChange: (change: Partial<RecordsSearch>) => void;
  children: ReactNode;
}

const FROMS: [From, string][] = [
  ["tail", "The newest"],
  ["earliest", "The beginning"],
  ["offset", "An offset"],
  ["time", "A time"],
];

export function SearchBar({ search, onChange, children }: SearchBarProps) {
  const { project, topic } = useParams({ from: "/app/p/$project/topics/$topic/" });
  const partitions = useQuery(topicQuery(project, topic)).data?.data.partitions ?? 0;
  const [open, setOpen] = useState(!isEmptyFilter(filterOf(search)));
  const from = search.from ?? "tail";
  const active = Object.values(filterOf(search)).filter(Boolean).length;
  return (
    <>
      <div className="flex flex-wrap items-center gap-2 border-b p-3">
        <Select
          aria-label="Partition"
          className="!w-auto"
          value={search.partition ?? ""}
          onChange={(event) =>
            onChange({
              partition: event.target.value === "" ? undefined : Number(event.target.value),
              ...(event.target.value === "" && from === "offset" ? { from: undefined } : {}),
            })
          }
        >
          <option value="">All partitions</option>
          {Array.from({ length: partitions }, (_, partition) => (
            <option key={partition} value={partition}>
              Partition {partition}
            </option>
          ))}
        </Select>
        <Select
          aria-label="Start at"
          className="!w-auto"
          value={from}
          onChange={(event) => {
            const next = event.target.value as From;
            onChange({ from: next === "tail" ? undefined : next, ...(next === "offset" ? { partition: search.partition ?? 0, offset: search.offset ?? 0, live: undefined } : {}) });
          }}
        >
          {FROMS.map(([value, name]) => (
            <option key={value} value={value}>
              {name}
            </option>
          ))}
        </Select>
        <StartInput search={search} onChange={onChange} />
        <Button icon={<SlidersHorizontal className="size-4" />} aria-expanded={open} onClick={() => setOpen(!open)}>
          Filter{active > 0 ? ` (${active})` : ""}
        </Button>
        <div className="ml-auto flex flex-wrap items-center gap-2">{children}</div>
      </div>
      {open && <FilterForm search={search} onChange={onChange} />}
    </>
  );
}

type PartProps = Omit<SearchBarProps, "children">;

function StartInput({ search, onChange }: PartProps) {
  if (search.from === "offset") {
    return <Settled label="Offset" type="number" value={String(search.offset ?? 0)} onSettle={(text) => onChange({ offset: Number(text) })} />;
  }
  if (search.from === "time") {
    const local = search.at ? toLocalInput(search.at) : "";
    return <Settled label="Time" type="datetime-local" value={local} onSettle={(text) => onChange({ at: text ? new Date(text).toISOString() : undefined })} />;
  }
  if (search.from === "earliest") return null;
  return (
    <Settled
      label="How many"
      type="number"
      value={String(search.n ?? TAIL_DEFAULT)}
      onSettle={(text) => onChange({ n: Math.min(Math.max(1, Number(text) || TAIL_DEFAULT), TAIL_MAX) })}
    />
  );
}

function toLocalInput(at: string): string {
  const date = new Date(at);
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

interface SettledProps {
  label: string;
  type: string;
  value: string;
  onSettle: (text: string) => void;
}

/** Takes what was typed on Enter or when it is left, not at each key. */
function Settled({ label, type, value, onSettle }: SettledProps) {
  const [text, setText] = useState(value);
  useEffect(() => setText(value), [value]);
  const settle = () => text !== value && onSettle(text);
  return (
    <Input
      aria-label={label}
      type={type}
      step={type === "datetime-local" ? 1 : undefined}
      min={type === "number" ? 0 : undefined}
      className={`tabular-nums ${type === "number" ? "!w-24" : "!w-52"}`}
      value={text}
      onChange={(event) => setText(event.target.value)}
      onBlur={settle}
      onKeyDown={(event) => event.key === "Enter" && settle()}
    />
  );
}

function FilterForm({ search, onChange }: PartProps) {
  const [draft, setDraft] = useState(filterOf(search));
  const wrong = pathError(draft.path);
  const apply = (event: FormEvent) => {
    event.preventDefault();
    const part = (text: string | undefined) => text || undefined;
    // A search looks through everything, unless a start was chosen.
    const from = search.from ?? (search.n === undefined && !search.live ? "earliest" : undefined);
    onChange({ key: part(draft.key), header: part(draft.header), text: part(draft.text), path: part(draft.path), from });
  };
  const clear = () => {
    setDraft({});
    onChange({ key: undefined, header: undefined, text: undefined, path: undefined });
  };
  const input = (name: keyof typeof draft) => ({
    value: draft[name] ?? "",
    onChange: (event: { target: { value: string } }) => setDraft({ ...draft, [name]: event.target.value }),
    autoComplete: "off",
    spellCheck: false,
  });
  return (
    <form onSubmit={apply} className="grid items-start gap-3 border-b bg-page p-3 sm:grid-cols-2 xl:grid-cols-[1fr_1fr_1fr_1.4fr_auto]">
      <Field label="Key contains">
        <Input {...input("key")} />
      </Field>
      <Field label="Header" help="name or name=value">
        <Input {...input("header")} />
      </Field>
      <Field label="Text anywhere" help="in key, value or headers">
        <Input {...input("text")} />
      </Field>
      <Field label="JSON path" help="$.customer.id == 17, $.items[*].price > 9.5, $.name ~= part" error={wrong}>
        <Input className="font-mono text-[12.5px]" {...input("path")} />
      </Field>
      <div className="flex gap-2 xl:pt-[23px]">
        <Button type="submit" variant="primary" disabled={wrong !== null}>
          Search
        </Button>
        <Button variant="ghost" icon={<X className="size-4" />} onClick={clear}>
          Clear
        </Button>
      </div>
    </form>
  );
}

function pathError(path: string | undefined): string | null {
  try {
    compileFilter({ path });
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
