import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type Group, lagsQuery } from "../api/groups";
import { lagMs, lagRecords } from "../groups/group-lag";
import { LagChart } from "../groups/lag-chart";
import { useLagSamples } from "../groups/lag-samples";
import { formatCount, formatSpan } from "../lib/format";
import { Loaded } from "../ui/loaded";
import { Panel } from "../ui/page";

const FURTHEST = 4;

const byLag = (a: Group, b: Group) => (lagRecords(b) ?? 0) - (lagRecords(a) ?? 0);

/** How far the groups of a project are behind, all together and those that are furthest. */
export function ProjectLag({ project }: { project: string }) {
  const lags = useQuery(lagsQuery(project));
  const known = lags.data?.groups.map(lagRecords).filter((records) => records !== null);
  const total = known ? known.reduce((sum, records) => sum + records, 0) : null;
  const samples = useLagSamples(project, total, lags.dataUpdatedAt);
  return (
    <Panel
      title="Lag"
      help="Of all groups, since this page was first opened: the API keeps no history of it."
    >
      <Loaded query={lags} skeleton={<div className="h-[210px]" />}>
        {({ groups, unasked }) =>
          groups.length === 0 ? (
            <p className="text-soft">
              No groups yet.{" "}
              <Link to="/p/$project/groups" params={{ project }} className="text-accent-ink underline">
                Make one
              </Link>
            </p>
          ) : (
            <>
              <LagChart samples={samples} />
              <ul className="mt-3">
                {groups
                  .toSorted(byLag)
                  .slice(0, FURTHEST)
                  .map((group) => (
                    <Behind key={group.group} project={project} group={group} />
                  ))}
              </ul>
              {unasked > 0 && (
                <p className="mt-2 text-[12.5px] text-faint">
                  {formatCount(unasked)} more groups are not looked at here.
                </p>
              )}
            </>
          )
        }
      </Loaded>
    </Panel>
  );
}

function Behind({ project, group }: { project: string; group: Group }) {
  const [records, ms] = [lagRecords(group), lagMs(group)];
  return (
    <li className="flex items-baseline gap-3 py-0.5">
      <Link
        to="/p/$project/groups/$group"
        params={{ project, group: group.group }}
        className="min-w-0 flex-1 truncate text-accent-ink hover:underline"
      >
        {group.group}
      </Link>
      <span className="tabular-nums">{records === null ? "not known" : formatCount(records)}</span>
      <span className="w-24 truncate text-right text-[12.5px] text-faint tabular-nums">
        {ms === null ? "" : formatSpan(ms)}
      </span>
    </li>
  );
}
