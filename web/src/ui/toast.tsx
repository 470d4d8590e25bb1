import { CircleCheck, X } from "lucide-react";
import { Toast as Radix } from "radix-ui";
import { useSyncExternalStore } from "react";
import { ProblemNote } from "./problem-note";

interface Note {
  id: number;
  text?: string;
  error?: unknown;
}

let notes: Note[] = [];
let nextId = 1;
const listeners = new Set<() => void>();

function set(next: Note[]) {
  notes = next;
  for (const listener of listeners) listener();
}

const add = (note: Omit<Note, "id">) => set([...notes.slice(-3), { ...note, id: nextId++ }]);

/** Says that something was done. */
export const toast = (text: string) => add({ text });

/** Says that something failed, where no form is there to say it. */
export const toastProblem = (error: unknown) => add({ error });

export function Toasts() {
  const shown = useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => notes,
  );
  return (
    <Radix.Provider swipeDirection="right">
      {shown.map((note) => (
        <Radix.Root
          key={note.id}
          duration={note.error ? 15_000 : 4_000}
          onOpenChange={(open) => !open && set(notes.filter((other) => other.id !== note.id))}
          className="flex items-start gap-2.5 rounded-lg border bg-panel p-3 shadow-lg"
        >
          {note.error !== undefined ? (
            <Radix.Description asChild>
              <div className="min-w-0 flex-1">
                <ProblemNote error={note.error} />
              </div>
            </Radix.Description>
          ) : (
            <>
              <CircleCheck className="mt-0.5 size-4 shrink-0 text-good" aria-hidden />
              <Radix.Description className="min-w-0 flex-1 break-words">{note.text}</Radix.Description>
            </>
          )}
          <Radix.Close aria-label="Dismiss" className="text-faint hover:text-ink">
            <X className="size-4" />
          </Radix.Close>
        </Radix.Root>
      ))}
      <Radix.Viewport className="fixed right-4 bottom-4 z-[60] flex w-[calc(100vw-2rem)] max-w-sm flex-col gap-2 outline-none" />
    </Radix.Provider>
  );
}
