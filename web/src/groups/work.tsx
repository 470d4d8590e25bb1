import type { Schemas } from "../api/client";
import { formatCount } from "../lib/format";
import { Stat } from "../ui/page";

interface WorkProps {
  work: Schemas["GroupWork"];
  config: Schemas["GroupConfig"];
}

/** What the workers of a shared group are at. */
export function Work({ work, config }: WorkProps) {
  return (
    <div className="grid grid-cols-2 gap-3 lg:grid-cols-4">
      <Stat name="In flight" value={formatCount(work.leased)} note="records with a worker" />
      <Stat
        name="Waiting"
        value={formatCount(work.waiting)}
        note={
          config.max_attempts == null ? "for another attempt" : `for one of ${config.max_attempts} attempts`
        }
      />
      <Stat name="Dying" value={formatCount(work.dead)} note="not yet written as dead letters" />
      <Stat
        name="Dropped"
        value={<span className={work.dropped > 0 ? "text-bad" : ""}>{formatCount(work.dropped)}</span>}
        note="given up without a dead-letter topic"
      />
    </div>
  );
}
