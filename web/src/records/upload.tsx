import { useMutation } from "@tanstack/react-query";
import { useRef, useState } from "react";
import { formatBytes, formatCount } from "../lib/format";
import { Button } from "../ui/button";
import { CodeBlock } from "../ui/copy";
import { Dialog } from "../ui/dialog";
import { Field, Input } from "../ui/field";
import { ProblemNote } from "../ui/problem-note";
import { type UploadProgress, uploadLines } from "./bulk";

interface UploadDialogProps {
  project: string;
  topic: string;
  onClose: () => void;
  onSent: (() => void) | undefined;
}

export default function UploadDialog({ project, topic, onClose, onSent }: UploadDialogProps) {
  const [file, setFile] = useState<File | null>(null);
  const [progress, setProgress] = useState<UploadProgress | null>(null);
  const abort = useRef(new AbortController());
  const uploadId = useRef("");
  const upload = useMutation({
    mutationFn: (chosen: File) => uploadLines({ project, topic }, chosen, uploadId.current, abort.current.signal, setProgress),
    onSettled: onSent,
  });
  const close = () => {
    abort.current.abort();
    onClose();
  };
  const footer = upload.isSuccess ? (
    <Button variant="primary" onClick={onClose}>
      Done
    </Button>
  ) : (
    <>
      <Button onClick={close}>Cancel</Button>
      <Button variant="primary" busy={upload.isPending} disabled={!file} onClick={() => file && upload.mutate(file)}>
        Upload
      </Button>
    </>
  );
  return (
    <Dialog title={`Upload to ${topic}`} description="A file with one record a line, as JSON." open onClose={close} footer={footer}>
      <div className="flex flex-col gap-4">
        <Field label="File">
          <Input
            type="file"
            accept=".ndjson,.jsonl,.json,.txt,application/x-ndjson"
            className="pt-1 file:mr-3 file:rounded file:bg-sunken file:px-2"
            disabled={upload.isPending}
            onChange={(event) => {
              setFile(event.target.files?.[0] ?? null);
              setProgress(null);
              uploadId.current = `console-${Date.now()}-${Math.random().toString(36).slice(2)}`;
              upload.reset();
            }}
          />
        </Field>
        {!file && <CodeBlock text={'{"key":"c1","value":{"id":17}}\n{"key":"c2","value_text":"plain"}'} />}
        {file && (
          <div>
            <progress aria-label="Uploaded" className="h-2 w-full accent-(--accent)" max={file.size || 1} value={progress?.sentBytes ?? 0} />
            <p role="status" className="mt-1 text-[13px] text-soft tabular-nums">
              {formatBytes(progress?.sentBytes ?? 0)} of {formatBytes(file.size)}, {formatCount(progress?.accepted ?? 0)} accepted,{" "}
              {formatCount(progress?.rejected ?? 0)} refused
            </p>
          </div>
        )}
        {progress && progress.refusals.length > 0 && (
          <ul className="max-h-48 overflow-y-auto rounded-lg border text-[13px]" tabIndex={0}>
            {progress.refusals.map(({ line, problem }) => (
              <li key={line} className="border-b px-3 py-1.5 last:border-b-0">
                <span className="font-medium tabular-nums">Line {line}</span> <span className="text-soft">{problem.detail}</span>
              </li>
            ))}
          </ul>
        )}
        {upload.isError && !abort.current.signal.aborted && <ProblemNote error={upload.error} onRetry={() => file && upload.mutate(file)} />}
      </div>
    </Dialog>
  );
}
