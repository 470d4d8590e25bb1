import { ChevronRight } from "lucide-react";
import { useState } from "react";
import type { JsonNode } from "../lib/json";
import { cx } from "../ui/classes";

const CHILDREN_STEP = 100;
/** So deep a tree is open at first. */
const OPEN_DEPTH = 3;

export function JsonTree({ node }: { node: JsonNode }) {
  return (
    <div className="font-mono text-[12.5px] leading-relaxed">
      <Node node={node} depth={0} />
    </div>
  );
}

interface NodeProps {
  name?: string;
  node: JsonNode;
  depth: number;
}

function Node({ name, node, depth }: NodeProps) {
  const children = childrenOf(node);
  const [open, setOpen] = useState(depth < OPEN_DEPTH && (children?.length ?? 0) <= CHILDREN_STEP);
  const [shown, setShown] = useState(CHILDREN_STEP);
  const label = name !== undefined && <span className="text-accent-ink">{name}: </span>;
  if (!children) {
    return (
      <div className="pl-5 break-all">
        {label}
        <Scalar node={node} />
      </div>
    );
  }
  const summary = node.kind === "array" ? `[${children.length}]` : `{${children.length}}`;
  return (
    <div>
      <button type="button" aria-expanded={open} onClick={() => setOpen(!open)} className="flex items-center gap-1 rounded text-left hover:bg-sunken">
        <ChevronRight className={cx("size-4 shrink-0 text-faint transition-transform", open && "rotate-90")} aria-hidden />
        <span className="break-all">
          {label}
          <span className="text-faint">{summary}</span>
        </span>
      </button>
      {open && (
        <div className="ml-[7px] border-l pl-1.5">
          {children.slice(0, shown).map(([childName, child], index) => (
            <Node key={index} name={childName} node={child} depth={depth + 1} />
          ))}
          {children.length > shown && (
            <button type="button" className="pl-5 text-accent-ink hover:underline" onClick={() => setShown(shown + CHILDREN_STEP)}>
              {children.length - shown} more
            </button>
          )}
        </div>
      )}
    </div>
  );
}

function childrenOf(node: JsonNode): [string, JsonNode][] | null {
  if (node.kind === "object") return node.members;
  if (node.kind === "array") return node.items.map((item, index) => [String(index), item]);
  return null;
}

function Scalar({ node }: { node: JsonNode }) {
  if (node.kind === "string") return <span className="text-good">{JSON.stringify(node.value)}</span>;
  if (node.kind === "number") return <span className="tabular-nums">{node.text}</span>;
  return <span className="text-warn">{node.kind === "literal" ? node.text : ""}</span>;
}
