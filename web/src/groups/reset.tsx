import { useMutation } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import type { Schemas } from "../api/client";
import { type Group, resetGroup, type ResetTo } from "../api/groups";
import { formatCount } from "../lib/format";
import { Button } from "../ui/button";
import { Dialog } from "../ui/dialog";
import { Checkbox, Field, Input, Select } from "../ui/field";
import { ProblemNote } from "../ui/problem-note";
import { type Column, DataTable } from "../ui/table";
import { toast } from "../ui/toast";

interface ResetGroupProps {
  project: string;
  group: Group;
  onClose: () => void;
  onReset: () => void;
}

type Kind = "earliest" | "latest" | "at" | "shift";

/** Shows where every partition would go before anything moves. */
export function ResetGroup({ project, group, onClose, onReset }: ResetGroupProps) {
  const [kind, setKind] = useState<Kind>("earliest");
  const [at, setAt] = useState("");
  const [shift, setShift] = useState("-100");
  const [force, setForce] = useState(false);
  const to: ResetTo =
    kind === "at"
      ? { at: at ? new Date(at).toISOString() : "" }
      : kind === "shift"
        ? { shift: Number(shift) }
        : kind;
  const plan = useMutation({
    mutationFn: () => resetGroup(project, group.group, { to, dry_run: true, force: true }),
  });
  const run = useMutation({
    mutationFn: () => resetGroup(project, group.group, { to, force }),
    onSuccess: () => {
      toast("The group's positions are reset.");
      onReset();
      onClose();
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    plan.mutate();
  };
  const anew = () => plan.reset();
  const active = group.members.length > 0;
  const footer = (
    <>
      <Button onClick={onClose}>Cancel</Button>
      <Button type="submit" form="reset" busy={plan.isPending} disabled={kind === "at" && !at}>
        Show what would move
      </Button>
      <Button
        variant="danger"
        busy={run.isPending}
        disabled={!plan.isSuccess || (active && !force)}
        onClick={() => run.mutate()}
      >
        Reset
      </Button>
    </>
  );
  return (
    <Dialog
      title={`Reset ${group.group}`}
      description="Moves the group's positions: records are read again, or passed over."
      open
      onClose={onClose}
      wide
      footer={footer}
    >
      <form id="reset" onSubmit={submit} onChange={anew} className="flex flex-col gap-4">
        <div className="grid gap-4 sm:grid-cols-2">
          <Field label="To">
            <Select value={kind} onChange={(event) => setKind(event.target.value as Kind)}>
              <option value="earliest">The beginning</option>
              <option value="latest">The end</option>
              <option value="at">A time</option>
              <option value="shift">So many records on or back</option>
            </Select>
          </Field>
          {kind === "at" && (
            <Field label="Time">
              <Input
                type="datetime-local"
                step={1}
                value={at}
                onChange={(event) => setAt(event.target.value)}
              />
            </Field>
          )}
          {kind === "shift" && (
            <Field label="Records" help="Below zero: back.">
              <Input type="number" value={shift} onChange={(event) => setShift(event.target.value)} />
            </Field>
          )}
        </div>
        {plan.data && (
          <div className="-mx-5 border-y">
            <DataTable
              label="Positions after the reset"
              rows={plan.data.partitions}
              columns={COLUMNS}
              rowId={(one) => `${one.topic}/${one.partition}`}
              maxHeight="40dvh"
              minWidth={320}
            />
          </div>
        )}
      </form>
      {active && (
        <Checkbox
          className="mt-4"
          checked={force}
          onChange={(event) => setForce(event.target.checked)}
          label="Members read in this group now. Reset all the same: they go on from the new positions."
        />
      )}
      {(plan.isError || run.isError) && <ProblemNote error={run.error ?? plan.error} className="mt-4" />}
    </Dialog>
  );
}

const COLUMNS: Column<Schemas["ResetPartition"]>[] = [
  { id: "topic", header: "Topic", width: "minmax(5rem, 1fr)", cell: (one) => one.topic },
  { id: "partition", header: "Part.", width: "2.5rem", align: "right", cell: (one) => one.partition },
  {
    id: "before",
    header: "Now",
    width: "minmax(4.5rem, 7rem)",
    align: "right",
    cell: (one) => formatCount(one.before),
  },
  {
    id: "after",
    header: "After",
    width: "minmax(4.5rem, 7rem)",
    align: "right",
    cell: (one) => formatCount(one.after),
  },
];
