import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { ok, projectPath, streaming } from "../api/client";
import { Button } from "../ui/button";
import { SameByCall } from "../ui/copy";
import { Dialog } from "../ui/dialog";
import { Field, Input } from "../ui/field";
import { ProblemNote } from "../ui/problem-note";
import { toast } from "../ui/toast";
import { SettingFields } from "./setting-fields";
import { CHOICES, NUMBERS, type TopicConfig } from "./setting-names";

const NAME = /^(?!\.{1,2}$)(?!__)[a-zA-Z0-9._-]{1,249}$/;

export function CreateTopic({ project, onClose }: { project: string; onClose: () => void }) {
  const [name, setName] = useState("");
  const [partitions, setPartitions] = useState("3");
  const [replicas, setReplicas] = useState("");
  const [description, setDescription] = useState("");
  const [config, setConfig] = useState<TopicConfig>({});
  const navigate = useNavigate();
  const queries = useQueryClient();
  const spec = {
    partitions: Number(partitions),
    ...(replicas ? { replication_factor: Number(replicas) } : {}),
    ...(description ? { description } : {}),
    ...(Object.values(config).some((value) => value !== undefined) ? { config } : {}),
  };
  const create = useMutation({
    mutationFn: () =>
      ok(streaming(project).PUT("/topics/{topic}", { params: { path: { topic: name } }, body: spec })),
    onSuccess: () => {
      void queries.invalidateQueries({ queryKey: ["topics", project] });
      toast(`Topic ${name} is there.`);
      onClose();
      void navigate({ to: "/p/$project/topics/$topic", params: { project, topic: name } });
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    create.mutate();
  };
  const fields = {
    config,
    onChange: (change: TopicConfig) => setConfig((old) => ({ ...old, ...change })),
    withDefault: true,
  };
  const wrongName = name !== "" && !NAME.test(name);
  const wrongNumber = Object.values(config).some((value) => typeof value === "number" && !(value > 0));
  const footer = (
    <>
      <Button onClick={onClose}>Cancel</Button>
      <Button
        type="submit"
        form="create-topic"
        variant="primary"
        busy={create.isPending}
        disabled={!NAME.test(name) || wrongNumber}
      >
        Create topic
      </Button>
    </>
  );
  const url = `${window.location.origin}${projectPath(project)}/topics/${name || "NAME"}`;
  return (
    <Dialog title="Create topic" open onClose={onClose} wide footer={footer}>
      <form id="create-topic" onSubmit={submit} className="flex flex-col gap-4">
        <Field
          label="Name"
          help="Letters, digits, dot, dash and underscore."
          error={wrongName ? "Up to 249 of letters, digits, . _ - and not beginning with __." : null}
        >
          <Input
            value={name}
            onChange={(event) => setName(event.target.value)}
            autoFocus
            autoComplete="off"
            spellCheck={false}
            required
          />
        </Field>
        <div className="grid gap-4 sm:grid-cols-2">
          <Field
            label="Partitions"
            help="Records of one key stay in order within a partition. They can only become more."
          >
            <Input
              type="number"
              min={1}
              required
              value={partitions}
              onChange={(event) => setPartitions(event.target.value)}
            />
          </Field>
          <Field
            label="Replicas"
            help="Copies of each partition on different brokers. Empty: the cluster's default."
          >
            <Input
              type="number"
              min={1}
              max={9}
              placeholder="default"
              value={replicas}
              onChange={(event) => setReplicas(event.target.value)}
            />
          </Field>
        </div>
        <Field label="Description" help="For the people who find it here.">
          <Input value={description} onChange={(event) => setDescription(event.target.value)} />
        </Field>
        <div className="grid gap-4 sm:grid-cols-2">
          <SettingFields settings={[...CHOICES, ...NUMBERS.slice(0, 2)]} {...fields} />
        </div>
        <details>
          <summary className="w-fit cursor-pointer text-[13px] text-soft">More settings</summary>
          <div className="mt-3 grid gap-4 sm:grid-cols-2">
            <SettingFields settings={NUMBERS.slice(2)} {...fields} />
          </div>
        </details>
        {create.isError && <ProblemNote error={create.error} />}
        <SameByCall open call={{ method: "PUT", url, body: JSON.stringify(spec) }} />
      </form>
    </Dialog>
  );
}
