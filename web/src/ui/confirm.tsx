import { useMutation } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { Button } from "./button";
import { Dialog } from "./dialog";
import { Field, Input } from "./field";
import { ProblemNote } from "./problem-note";

interface ConfirmProps {
  title: string;
  children: ReactNode;
  action: string;
  /** What must be typed first, for what cannot be undone. */
  typed?: string;
  onConfirm: () => Promise<unknown>;
  onClose: () => void;
}

export function Confirm({ title, children, action, typed, onConfirm, onClose }: ConfirmProps) {
  const [text, setText] = useState("");
  const run = useMutation({ mutationFn: onConfirm, onSuccess: onClose });
  const footer = (
    <>
      <Button onClick={onClose}>Cancel</Button>
      <Button
        variant="danger"
        type="submit"
        form="confirm"
        busy={run.isPending}
        disabled={typed !== undefined && text !== typed}
      >
        {action}
      </Button>
    </>
  );
  return (
    <Dialog title={title} open onClose={onClose} footer={footer}>
      <form
        id="confirm"
        className="flex flex-col gap-4"
        onSubmit={(event) => {
          event.preventDefault();
          run.mutate();
        }}
      >
        <div className="text-soft">{children}</div>
        {typed !== undefined && (
          <Field label={<>Type <code className="font-mono">{typed}</code> to confirm</>}>
            <Input value={text} onChange={(event) => setText(event.target.value)} autoComplete="off" spellCheck={false} />
          </Field>
        )}
        {run.isError && <ProblemNote error={run.error} />}
      </form>
    </Dialog>
  );
}
