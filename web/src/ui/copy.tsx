import { Check, Copy } from "lucide-react";
import { useEffect, useState } from "react";
import { type Call, LANGUAGES, type Language, snippet } from "../lib/snippets";
import { IconButton } from "./button";
import { cx } from "./classes";
import { toastProblem } from "./toast";

export function CopyButton({ text, label = "Copy" }: { text: string; label?: string }) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), 1_500);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = () => navigator.clipboard.writeText(text).then(() => setCopied(true), toastProblem);
  return (
    <IconButton label={copied ? "Copied" : label} onClick={copy}>
      {copied ? <Check className="size-4 text-good" /> : <Copy className="size-4" />}
    </IconButton>
  );
}

/** A piece of text to paste somewhere. */
export function CodeBlock({ text, className }: { text: string; className?: string }) {
  return (
    <div className={cx("relative min-w-0 rounded-lg border bg-sunken", className)}>
      <pre tabIndex={0} className="max-h-72 overflow-auto p-3 pr-11 font-mono text-[12px] leading-relaxed">
        {text}
      </pre>
      <div className="absolute top-0 right-0 rounded-lg bg-sunken p-0.5">
        <CopyButton text={text} />
      </div>
    </div>
  );
}

/** A call in three languages. */
export function CallSnippet({ call, className }: { call: Call; className?: string }) {
  const [language, setLanguage] = useState<Language>("curl");
  return (
    <div className={cx("min-w-0", className)}>
      <div className="mb-1.5 flex gap-1" role="group" aria-label="Language">
        {LANGUAGES.map((one) => (
          <button
            key={one}
            type="button"
            aria-pressed={one === language}
            onClick={() => setLanguage(one)}
            className="rounded px-2 py-0.5 text-[12.5px] text-soft hover:text-ink aria-pressed:bg-accent-wash aria-pressed:text-accent-ink"
          >
            {one}
          </button>
        ))}
      </div>
      <CodeBlock text={snippet(call, language)} />
    </div>
  );
}

/** What a form is about to do, as a call: what the console can, every program can. */
export function SameByCall({ call, open }: { call: Call; open?: boolean }) {
  return (
    <details open={open}>
      <summary className="w-fit cursor-pointer text-[13px] text-soft">The same without the console</summary>
      <CallSnippet className="mt-3" call={call} />
    </details>
  );
}
