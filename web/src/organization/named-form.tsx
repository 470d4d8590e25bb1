import type { UseMutationResult } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import type { Schemas } from "../api/client";
import { Button } from "../ui/button";
import { Dialog } from "../ui/dialog";
import { Field, Input } from "../ui/field";
import { ProblemNote } from "../ui/problem-note";

interface NamedFormProps {
  what: "organization" | "project";
  create: UseMutationResult<unknown, Error, Schemas["Named"]>;
  onClose: () => void;
}

/** Asks for the id and name of something new. */
export function NamedForm({ what, create, onClose }: NamedFormProps) {
  const [id, setId] = useState("");
  const [name, setName] = useState("");
  const submit = (event: FormEvent) => {
    event.preventDefault();
    create.mutate({ id, ...(name ? { name } : {}) });
  };
  const footer = (
    <>
      <Button onClick={onClose}>Cancel</Button>
      <Button type="submit" form="create-named" variant="primary" busy={create.isPending}>
        Create {what}
      </Button>
    </>
  );
  return (
    <Dialog title={`Create ${what}`} open onClose={onClose} footer={footer}>
      <form id="create-named" onSubmit={submit} className="flex flex-col gap-4">
        <Field
          label="Id"
          help="In the address of every call: small letters, digits and dashes. It cannot be changed, nor given again."
        >
          <Input
            value={id}
            onChange={(event) => setId(event.target.value)}
            pattern="[a-z][a-z0-9\-]{2,62}"
            required
            autoFocus
            autoComplete="off"
          />
        </Field>
        <Field label="Name" help="For people; the id if empty.">
          <Input
            value={name}
            onChange={(event) => setName(event.target.value)}
            autoComplete="off"
            maxLength={200}
          />
        </Field>
        {create.isError && <ProblemNote error={create.error} />}
      </form>
    </Dialog>
  );
}
