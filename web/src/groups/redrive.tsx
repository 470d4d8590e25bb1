import { useMutation } from "@tanstack/react-query";
import { Undo2 } from "lucide-react";
import { type FormEvent, useEffect, useRef, useState } from "react";
import { redriveGroup, type RedriveRequest } from "../api/redrive";
import { formatCount } from "../lib/format";
import { redriveAll, type Redriven } from "../lib/redrive";
import { Button } from "../ui/button";
import { Dialog } from "../ui/dialog";
import { Field, Input } from "../ui/field";
import { ProblemNote } from "../ui/problem-note";

interface RedriveProps {
  project: string;
  group: string;
}

export function RedriveButton(props: RedriveProps) {
  const [open, setOpen] = useState(false);
  return (
    <>
      <Button small icon={<Undo2 className="size-3.5" />} onClick={() => setOpen(true)}>
        Redrive
      </Button>
      {open && <Redrive {...props} onClose={() => setOpen(false)} />}
    </>
  );
}

/** Shows first how many letters would move. Closing it ends a redrive after the call that runs. */
function Redrive({ project, group, onClose }: RedriveProps & { onClose: () => void }) {
  const [reason, setReason] = useState("");
  const [key, setKey] = useState("");
  const [rate, setRate] = useState("");
  const [redriven, setRedriven] = useState<Redriven | null>(null);
  const running = useRef<AbortController>(null);
  useEffect(() => () => running.current?.abort(), []);
  const request: RedriveRequest = {
    filter: { ...(reason ? { reason } : {}), ...(key ? { key } : {}) },
    ...(rate ? { records_per_second: Number(rate) } : {}),
  };
  const walk = async (dry_run: boolean) => {
    const { signal } = (running.current = new AbortController());
    setRedriven(null);
    await redriveAll(
      (cursor) => redriveGroup(project, group, { ...request, dry_run, cursor }, signal),
      setRedriven,
    );
  };
  const plan = useMutation({ mutationFn: () => walk(true) });
  const run = useMutation({ mutationFn: () => walk(false) });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    run.reset();
    plan.mutate();
  };
  const anew = () => {
    plan.reset();
    run.reset();
    setRedriven(null);
  };
  const busy = plan.isPending || run.isPending;
  const footer = (
    <>
      <Button onClick={onClose}>{run.isPending ? "Stop" : run.isSuccess ? "Done" : "Cancel"}</Button>
      <Button type="submit" form="redrive" busy={plan.isPending} disabled={busy}>
        Show what would move
      </Button>
      <Button
        variant="primary"
        busy={run.isPending}
        disabled={busy || !plan.isSuccess || run.isSuccess || redriven?.moved === 0}
        onClick={() => run.mutate()}
      >
        Move back
      </Button>
    </>
  );
  return (
    <Dialog
      title={`Redrive the dead letters of ${group}`}
      description="Each goes back to the topic and partition that it came from. It moves at least once; one that was moved before does not move again."
      open
      onClose={onClose}
      footer={footer}
    >
      <form id="redrive" onSubmit={submit} onChange={anew} className="grid gap-4 sm:grid-cols-2">
        <Field label="Reason" help="Text in it. Empty: any." className="sm:col-span-2">
          <Input value={reason} onChange={(event) => setReason(event.target.value)} disabled={busy} />
        </Field>
        <Field label="Key" help="All of it. Empty: any.">
          <Input value={key} onChange={(event) => setKey(event.target.value)} disabled={busy} />
        </Field>
        <Field label="Letters a second" help="Empty: as fast as they go.">
          <Input
            type="number"
            min={1}
            max={100_000}
            value={rate}
            onChange={(event) => setRate(event.target.value)}
            disabled={busy}
          />
        </Field>
      </form>
      <p role="status" className="mt-4 min-h-[3em]">
        {redriven && <Told redriven={redriven} planned={plan.isPending || (plan.isSuccess && run.isIdle)} />}
      </p>
      {(plan.isError || run.isError) && <ProblemNote error={run.error ?? plan.error} className="mt-2" />}
    </Dialog>
  );
}

function Told({ redriven, planned }: { redriven: Redriven; planned: boolean }) {
  const { moved, skipped, refused, left, refusal } = redriven;
  const letters = (count: number) => `${formatCount(count)} ${count === 1 ? "letter" : "letters"}`;
  return (
    <>
      {planned ? `${letters(moved)} would move back` : `${letters(moved)} moved back`}
      {skipped > 0 && `, ${formatCount(skipped)} left out by the filter`}
      {left > 0 && `; ${formatCount(left)} offsets to look at`}.
      {refused > 0 && (
        <span className="text-bad">
          {" "}
          {letters(refused)} cannot be moved: {refusal}
        </span>
      )}
    </>
  );
}
