import { useMutation } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { management, ok, type Schemas } from "../api/client";
import { formatCount } from "../lib/format";
import { Button } from "../ui/button";
import { Dialog } from "../ui/dialog";
import { Checkbox, Field, Input } from "../ui/field";
import { ProblemNote } from "../ui/problem-note";
import { toast } from "../ui/toast";

interface ElectProps {
  /** The partition, if it is known already. */
  topicId?: string;
  partition?: number;
  onClose: () => void;
  onDone: () => void;
}

/** Shows first what would be lost with each copy, then has one of them lead. */
export function Elect({ topicId = "", partition = 0, onClose, onDone }: ElectProps) {
  const [topic, setTopic] = useState(topicId);
  const [number, setNumber] = useState(String(partition));
  const [broker, setBroker] = useState<number | null>(null);
  const [accepted, setAccepted] = useState(false);
  const ask = (query: { dry_run?: boolean }, body: Schemas["Elect"]) =>
    ok(
      management.POST("/cluster/partitions/{topic_id}/{partition}/elect", {
        params: { path: { topic_id: topic, partition: Number(number) }, query },
        body,
      }),
    );
  const look = useMutation({ mutationFn: () => ask({ dry_run: true }, {}) });
  const elect = useMutation({
    mutationFn: () => ask({}, { broker, accept_loss: accepted }),
    onSuccess: (election) => {
      toast(
        `Broker ${election.broker} leads partition ${election.partition} in epoch ${election.leader_epoch}.`,
      );
      onDone();
      onClose();
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setBroker(null);
    look.mutate();
  };
  const anew = () => {
    look.reset();
    setAccepted(false);
  };
  const footer = (
    <>
      <Button onClick={onClose}>Cancel</Button>
      <Button type="submit" form="elect" busy={look.isPending}>
        Show what would be lost
      </Button>
      <Button
        variant="danger"
        busy={elect.isPending}
        disabled={!look.isSuccess || broker === null || !accepted}
        onClick={() => elect.mutate()}
      >
        {broker === null ? "Have it lead" : `Have broker ${broker} lead`}
      </Button>
    </>
  );
  return (
    <Dialog
      title="Have a copy lead that lacks records"
      description="For a partition without a leader, once no broker that has everything will come back. This cannot be undone."
      open
      onClose={onClose}
      wide
      footer={footer}
    >
      <form id="elect" onSubmit={submit} className="grid gap-4 sm:grid-cols-[minmax(0,1fr)_8rem]">
        <Field label="Topic id" help="On the topic's settings.">
          <Input
            className="font-mono text-[12.5px]"
            value={topic}
            onChange={(event) => {
              setTopic(event.target.value);
              anew();
            }}
            required
            autoComplete="off"
          />
        </Field>
        <Field label="Partition">
          <Input
            type="number"
            min={0}
            value={number}
            onChange={(event) => {
              setNumber(event.target.value);
              anew();
            }}
            required
          />
        </Field>
      </form>
      {look.data && (
        <div className="mt-4 flex flex-col gap-4">
          <Candidates election={look.data} chosen={broker} onChoose={setBroker} />
          <Checkbox
            checked={accepted}
            onChange={(event) => setAccepted(event.target.checked)}
            label="Records that were acknowledged may be lost for good."
          />
        </div>
      )}
      {(look.isError || elect.isError) && <ProblemNote error={elect.error ?? look.error} className="mt-4" />}
    </Dialog>
  );
}

interface CandidatesProps {
  election: Schemas["Election"];
  chosen: number | null;
  onChoose: (broker: number) => void;
}

function Candidates({ election, chosen, onChoose }: CandidatesProps) {
  const { candidates, given_up, silent } = election;
  return (
    <fieldset className="flex flex-col gap-2">
      <legend className="mb-2 text-[13px] font-medium">Copies, the one that has the most first</legend>
      {candidates.map(({ broker, log_start, log_end, lost }) => (
        <label key={broker} className="flex items-start gap-2 rounded-lg border p-3">
          <input
            type="radio"
            name="broker"
            className="mt-1 accent-(--accent)"
            checked={chosen === broker}
            onChange={() => onChoose(broker)}
          />
          <span className="min-w-0">
            <span className="font-medium">Broker {broker}</span> has offsets {formatCount(log_start)} to{" "}
            {formatCount(log_end)}.{" "}
            <span className="text-bad">
              {lost.known_to_offset > lost.from_offset
                ? `Lost: from ${formatCount(lost.from_offset)} to ${formatCount(lost.known_to_offset)}, and what nobody knows of.`
                : `Lost: what there may be from ${formatCount(lost.from_offset)} on.`}
            </span>
          </span>
        </label>
      ))}
      {candidates.length === 0 && <p className="text-soft">No live broker has a copy.</p>}
      <p className="text-[12.5px] text-faint">
        Given up: {given_up.length > 0 ? `brokers ${given_up.join(", ")}` : "none"}.
        {silent.length > 0 && ` Live but silent: brokers ${silent.join(", ")}.`}
      </p>
    </fieldset>
  );
}
