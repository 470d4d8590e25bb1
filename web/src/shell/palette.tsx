import { useQuery } from "@tanstack/react-query";
import { type LinkProps, useRouter } from "@tanstack/react-router";
import { Boxes, CircleUser, Folder, Search } from "lucide-react";
import { Dialog } from "radix-ui";
import { type KeyboardEvent, type ReactNode, useDeferredValue, useId, useMemo, useState } from "react";
import { topicsQuery } from "../api/queries";
import { useHere } from "./here";
import { placesOf } from "./navigation";

interface Entry {
  name: string;
  note: string;
  icon: ReactNode;
  link: LinkProps;
}

const SHOWN_MAX = 30;

/** Goes anywhere by typing. */
export default function Palette({ onClose }: { onClose: () => void }) {
  const [text, setText] = useState("");
  const wanted = useDeferredValue(text.trim().toLowerCase());
  const [chosen, setChosen] = useState(0);
  const router = useRouter();
  const listId = useId();
  const entries = useEntries();
  const shown = useMemo(
    () => entries.filter((entry) => entry.name.toLowerCase().includes(wanted)).slice(0, SHOWN_MAX),
    [entries, wanted],
  );
  const go = (entry: Entry | undefined) => {
    if (!entry) return;
    onClose();
    void router.navigate(entry.link as never);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step !== undefined && shown.length > 0) {
      event.preventDefault();
      setChosen((at) => (at + step + shown.length) % shown.length);
    } else if (event.key === "Enter") {
      event.preventDefault();
      go(shown[chosen]);
    }
  };
  return (
    <Dialog.Root open onOpenChange={(open) => !open && onClose()}>
      <Dialog.Portal>
        <Dialog.Overlay className="fixed inset-0 z-40 bg-black/40" />
        <Dialog.Content
          aria-describedby={undefined}
          className="fixed top-[12vh] left-1/2 z-50 w-[calc(100vw-1.5rem)] max-w-xl -translate-x-1/2 overflow-hidden rounded-xl border bg-panel shadow-2xl"
        >
          <Dialog.Title className="sr-only">Search</Dialog.Title>
          <div className="flex items-center gap-3 border-b px-4">
            <Search className="size-4 text-faint" aria-hidden />
            <input
              role="combobox"
              aria-label="Go to"
              aria-expanded
              aria-controls={listId}
              aria-activedescendant={shown[chosen] ? `${listId}-${chosen}` : undefined}
              autoFocus
              value={text}
              placeholder="Topics, projects, pages"
              className="h-12 flex-1 bg-transparent outline-none"
              onKeyDown={onKeyDown}
              onChange={(event) => {
                setText(event.target.value);
                setChosen(0);
              }}
            />
          </div>
          <ul id={listId} role="listbox" aria-label="Results" className="max-h-[50vh] overflow-y-auto p-1.5">
            {shown.map((entry, index) => (
              <li
                key={`${entry.note}/${entry.name}`}
                id={`${listId}-${index}`}
                role="option"
                aria-selected={index === chosen}
                ref={(element) => {
                  if (index === chosen) element?.scrollIntoView({ block: "nearest" });
                }}
                onPointerMove={() => setChosen(index)}
                onClick={() => go(entry)}
                className="flex cursor-default items-center gap-2.5 rounded-md px-2.5 py-2 aria-selected:bg-accent-wash"
              >
                {entry.icon}
                <span className="min-w-0 flex-1 truncate">{entry.name}</span>
                <span className="text-[12px] text-faint">{entry.note}</span>
              </li>
            ))}
            {shown.length === 0 && <li className="px-3 py-6 text-center text-faint">Nothing of that name</li>}
          </ul>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}

function useEntries(): Entry[] {
  const here = useHere();
  const { me, project } = here;
  const topics = useQuery({ ...topicsQuery(project?.id ?? ""), enabled: project !== undefined }).data;
  return useMemo(() => {
    const icon = "size-4 shrink-0 text-faint";
    const pages = placesOf(here).flatMap(({ places, name: note }) =>
      places.map(({ name, icon: Icon, link }) => ({ name, note, link, icon: <Icon className={icon} aria-hidden /> })),
    );
    const projects = (me?.projects ?? []).map(({ id, name }) => ({
      name,
      note: "Project",
      icon: <Folder className={icon} aria-hidden />,
      link: { to: "/p/$project", params: { project: id } } as LinkProps,
    }));
    const topicEntries = (topics ?? []).map(({ name }) => ({
      name,
      note: "Topic",
      icon: <Boxes className={icon} aria-hidden />,
      link: { to: "/p/$project/topics/$topic", params: { project: project!.id, topic: name } } as LinkProps,
    }));
    const profile = { name: "Profile", note: "You", icon: <CircleUser className={icon} aria-hidden />, link: { to: "/profile" } as LinkProps };
    return [...pages, ...projects, ...topicEntries, profile];
    // `here` is made anew each time; what it is made of is not.
  }, [me, project, topics]);
}
