import { CircleAlert, Construction } from "lucide-react";
import { asProblem } from "../api/problem";
import { Button } from "./button";
import { cx } from "./classes";

interface ProblemNoteProps {
  error: unknown;
  onRetry?: () => void;
  className?: string;
}

const OUTCOMES = {
  not_applied: "Nothing was changed.",
  applied: "The change was made.",
  unknown: "It is not known whether the change was made.",
};

/** An error as the service told it, with its document to open and a retry where one helps. */
export function ProblemNote({ error, onRetry, className }: ProblemNoteProps) {
  const problem = asProblem(error);
  if (problem.code === "not_implemented") return <NotBuilt className={className} />;
  return (
    <div role="alert" className={cx("rounded-lg border border-bad/40 bg-bad-wash p-3 text-[13px]", className)}>
      <div className="flex gap-2.5">
        <CircleAlert className="mt-0.5 size-4 shrink-0 text-bad" aria-hidden />
        <div className="min-w-0 flex-1">
          <p className="font-medium text-bad">{problem.title}</p>
          <p className="mt-0.5 break-words">{problem.detail}</p>
          {(problem.errors ?? []).map((field) => (
            <p key={field.pointer + field.code} className="mt-0.5 break-words">
              <code className="font-mono text-[12px]">{field.pointer}</code> {field.message}
            </p>
          ))}
          <details className="mt-2">
            <summary className="w-fit cursor-pointer text-soft">
              {problem.status > 0 ? `${problem.status} ` : ""}
              {problem.code} · {OUTCOMES[problem.outcome]}
            </summary>
            <pre className="mt-2 overflow-x-auto rounded-md bg-panel p-2 font-mono text-[12px]" tabIndex={0}>
              {JSON.stringify(problem, null, 2)}
            </pre>
          </details>
        </div>
        {onRetry && (
          <Button small onClick={onRetry} className="self-start">
            Try again
          </Button>
        )}
      </div>
    </div>
  );
}

function NotBuilt({ className }: { className?: string }) {
  return (
    <div role="status" className={cx("flex gap-2.5 rounded-lg border bg-warn-wash p-3 text-[13px]", className)}>
      <Construction className="mt-0.5 size-4 shrink-0 text-warn" aria-hidden />
      <div>
        <p className="font-medium text-warn">This service does not have it yet</p>
        <p className="mt-0.5">
          It answered 501, not_implemented. The console shows this page in full as soon as the service answers.
        </p>
      </div>
    </div>
  );
}
