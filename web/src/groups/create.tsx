import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { createGroup, type GroupSpec } from "../api/groups";
import { projectPath } from "../api/client";
import { topicsQuery } from "../api/queries";
import { Button } from "../ui/button";
import { SameByCall } from "../ui/copy";
import { Dialog } from "../ui/dialog";
import { Field, Input, Select } from "../ui/field";
import { ProblemNote } from "../ui/problem-note";

export function CreateGroup({ project, onClose }: { project: string; onClose: () => void }) {
  const topics = useQuery(topicsQuery(project)).data ?? [];
  const [name, setName] = useState("");
  const [chosen, setChosen] = useState("");
  const [type, setType] = useState<GroupSpec["type"]>("partitioned");
  const [start, setStart] = useState<GroupSpec["start"]>("earliest");
  const [attempts, setAttempts] = useState("");
  const [deadLetters, setDeadLetters] = useState("");
  const navigate = useNavigate();
  const queries = useQueryClient();
  const spec: GroupSpec = {
    topics: chosen.split(/[\s,]+/).filter(Boolean),
    type,
    start,
    ...(type === "shared" && attempts ? { max_attempts: Number(attempts) } : {}),
    ...(type === "shared" && deadLetters ? { dead_letter_topic: deadLetters } : {}),
  };
  const create = useMutation({
    mutationFn: () => createGroup(project, name, spec),
    onSuccess: () => {
      void queries.invalidateQueries({ queryKey: ["groups", project] });
      onClose();
      void navigate({ to: "/p/$project/groups/$group", params: { project, group: name } });
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    create.mutate();
  };
  const footer = (
    <>
      <Button onClick={onClose}>Cancel</Button>
      <Button
        type="submit"
        form="create-group"
        variant="primary"
        busy={create.isPending}
        disabled={!name || spec.topics.length === 0}
      >
        Create group
      </Button>
    </>
  );
  return (
    <Dialog title="Create group" open onClose={onClose} footer={footer}>
      <form id="create-group" onSubmit={submit} className="flex flex-col gap-4">
        <Field label="Name">
          <Input
            value={name}
            onChange={(event) => setName(event.target.value)}
            required
            autoFocus
            autoComplete="off"
          />
        </Field>
        <Field label="Topics" help="One or several, with commas between.">
          <Input
            value={chosen}
            onChange={(event) => setChosen(event.target.value)}
            list="group-topics"
            required
            autoComplete="off"
          />
        </Field>
        <datalist id="group-topics">
          {topics.slice(0, 200).map((topic) => (
            <option key={topic.topic_id} value={topic.name} />
          ))}
        </datalist>
        <div className="grid gap-4 sm:grid-cols-2">
          <Field
            label="Type"
            help={
              type === "partitioned"
                ? "Each partition has one reader; order is kept."
                : "Records are leased one by one; more readers than partitions."
            }
          >
            <Select value={type} onChange={(event) => setType(event.target.value as GroupSpec["type"])}>
              <option value="partitioned">partitioned</option>
              <option value="shared">shared</option>
            </Select>
          </Field>
          <Field label="Start" help="Where it begins to read.">
            <Select value={start} onChange={(event) => setStart(event.target.value as GroupSpec["start"])}>
              <option value="earliest">earliest</option>
              <option value="latest">latest</option>
            </Select>
          </Field>
          {type === "shared" && (
            <>
              <Field label="Attempts" help="After so many a record is a dead letter.">
                <Input
                  type="number"
                  min={1}
                  value={attempts}
                  onChange={(event) => setAttempts(event.target.value)}
                  placeholder="default"
                />
              </Field>
              <Field label="Dead letters to topic">
                <Input
                  value={deadLetters}
                  onChange={(event) => setDeadLetters(event.target.value)}
                  placeholder="none"
                />
              </Field>
            </>
          )}
        </div>
        {create.isError && <ProblemNote error={create.error} />}
        <SameByCall
          call={{
            method: "PUT",
            url: `${window.location.origin}${projectPath(project)}/groups/${name || "NAME"}`,
            body: JSON.stringify(spec),
          }}
        />
      </form>
    </Dialog>
  );
}
