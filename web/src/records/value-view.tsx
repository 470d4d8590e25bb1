import { useMemo, useState } from "react";
import { hexLines } from "../lib/hex";
import { parseJson, printJson } from "../lib/json";
import { type Field, fieldBytes } from "../lib/record";
import { Button } from "../ui/button";
import { CopyButton } from "../ui/copy";
import { Badge } from "../ui/page";
import { JsonTree } from "./json-tree";

const VIEWS = ["Tree", "Text", "As sent", "Hex"] as const;
type View = (typeof VIEWS)[number];

/** More than this is not drawn unless somebody asks: a value may have megabytes. */
const DRAWN_MAX = 200_000;

export function ValueView({ value }: { value: Field }) {
  const tree = useMemo(() => {
    try {
      return value.kind === "json" ? parseJson(value.text) : null;
    } catch {
      return null;
    }
  }, [value]);
  const views = VIEWS.filter((view) => (view === "Tree" || view === "As sent" ? tree !== null : true));
  const [view, setView] = useState<View>(tree ? "Tree" : value.kind === "base64" ? "Hex" : "Text");
  if (value.kind === "none") {
    return (
      <p>
        <Badge tone="warn">tombstone</Badge> <span className="text-soft">null: in a compacted topic it deletes its key.</span>
      </p>
    );
  }
  const text = view === "Hex" ? hexLines(fieldBytes(value)).join("\n") : view === "Text" && tree ? printJson(tree) : value.text;
  return (
    <div className="rounded-lg border">
      <div className="flex items-center gap-1 border-b p-1" role="group" aria-label="Show as">
        {views.map((one) => (
          <button
            key={one}
            type="button"
            aria-pressed={one === view}
            onClick={() => setView(one)}
            className="rounded px-2 py-0.5 text-[12.5px] text-soft hover:text-ink aria-pressed:bg-accent-wash aria-pressed:text-accent-ink"
          >
            {one}
          </button>
        ))}
        <span className="ml-auto" />
        <CopyButton text={view === "Tree" ? value.text : text} label="Copy value" />
      </div>
      {view === "Tree" && tree ? (
        <div className="max-h-[50dvh] overflow-auto p-3" tabIndex={0} role="region" aria-label="Value as a tree">
          <JsonTree node={tree} />
        </div>
      ) : (
        <LongText text={text} wrap={view !== "Hex"} />
      )}
    </div>
  );
}

function LongText({ text, wrap }: { text: string; wrap: boolean }) {
  const [all, setAll] = useState(false);
  const cut = !all && text.length > DRAWN_MAX;
  return (
    <>
      <pre tabIndex={0} className={`max-h-[50dvh] overflow-auto p-3 font-mono text-[12px] leading-relaxed ${wrap ? "break-all whitespace-pre-wrap" : ""}`}>
        {cut ? text.slice(0, DRAWN_MAX) : text}
      </pre>
      {cut && (
        <div className="border-t p-2">
          <Button small onClick={() => setAll(true)}>
            Show all of it
          </Button>
        </div>
      )}
    </>
  );
}
