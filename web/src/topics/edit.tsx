import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { asProblem } from "../api/problem";
import { ok, streaming } from "../api/client";
import type { Topic } from "../api/queries";
import { Button } from "../ui/button";
import { Dialog } from "../ui/dialog";
import { Field, Input } from "../ui/field";
import { ProblemNote } from "../ui/problem-note";
import { toast } from "../ui/toast";
import { SettingFields } from "./setting-fields";
import { CHOICES, NUMBERS, type TopicConfig } from "./setting-names";

interface EditTopicProps {
  project: string;
  topic: Topic;
  etag: string | undefined;
  onClose: () => void;
}

/** Sends what differs, on condition that nobody changed the topic since it was read. */
export function EditTopic({ project, topic, etag, onClose }: EditTopicProps) {
  const [partitions, setPartitions] = useState(String(topic.partitions));
  const [description, setDescription] = useState(topic.description);
  const [config, setConfig] = useState<TopicConfig>(topic.config);
  const queries = useQueryClient();
  const changed = Object.fromEntries(
    Object.entries(config).filter(
      ([name, value]) => (topic.config[name as keyof TopicConfig] ?? null) !== value,
    ),
  ) as TopicConfig;
  const change = {
    ...(Number(partitions) !== topic.partitions ? { partitions: Number(partitions) } : {}),
    ...(description !== topic.description ? { description } : {}),
    ...(Object.keys(changed).length > 0 ? { config: changed } : {}),
  };
  const reread = () => queries.invalidateQueries({ queryKey: ["topic", project, topic.name] });
  const save = useMutation({
    mutationFn: () =>
      ok(
        streaming(project).PATCH("/topics/{topic}", {
          params: { path: { topic: topic.name }, header: { "If-Match": etag } },
          body: change,
        }),
      ),
    onSuccess: () => {
      void reread();
      void queries.invalidateQueries({ queryKey: ["partitions", project, topic.name] });
      toast("The settings are changed.");
      onClose();
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    save.mutate();
  };
  const stale = save.isError && asProblem(save.error).status === 412;
  const wrong = Object.values(config).some((value) => typeof value === "number" && !(value > 0));
  const footer = (
    <>
      <Button onClick={onClose}>Cancel</Button>
      <Button
        type="submit"
        form="edit-topic"
        variant="primary"
        busy={save.isPending}
        disabled={wrong || Object.keys(change).length === 0}
      >
        Save
      </Button>
    </>
  );
  return (
    <Dialog title={`Settings of ${topic.name}`} open onClose={onClose} wide footer={footer}>
      <form id="edit-topic" onSubmit={submit} className="grid gap-4 sm:grid-cols-2">
        <Field label="Description" className="sm:col-span-2">
          <Input value={description} onChange={(event) => setDescription(event.target.value)} />
        </Field>
        <Field label="Partitions" help="They can only become more; keys may then go to other partitions.">
          <Input
            type="number"
            min={topic.partitions}
            value={partitions}
            onChange={(event) => setPartitions(event.target.value)}
          />
        </Field>
        <SettingFields
          settings={[...CHOICES, ...NUMBERS]}
          config={config}
          onChange={(change) => setConfig((old) => ({ ...old, ...change }))}
        />
        {save.isError && (
          <div className="flex flex-col gap-2 sm:col-span-2">
            <ProblemNote error={save.error} />
            {stale && (
              <p className="text-[13px] text-soft">
                Somebody changed the topic meanwhile. Close this, look again, and repeat your change.
              </p>
            )}
          </div>
        )}
      </form>
    </Dialog>
  );
}
