import { Link } from "@tanstack/react-router";
import { isAtLeast } from "../lib/access";
import { useHere } from "../shell/here";
import { Panel } from "../ui/page";

/** Where a chart of failed calls would stand, if the API had a series of them. */
export function Errors() {
  const { organization } = useHere();
  return (
    <Panel title="Errors">
      <p className="max-w-prose text-soft">
        The API has no series of failed calls, so there is no chart of them. Each node counts them for its
        operators: <code className="font-mono text-[12.5px]">headwater_http_requests_total</code>, by status,
        at <code className="font-mono text-[12.5px]">/metrics</code>.
      </p>
      {organization && isAtLeast(organization.role, "admin") && (
        <p className="mt-3">
          <Link
            to="/o/$organization/audit"
            params={{ organization: organization.id }}
            search={{ outcome: "denied" }}
            className="text-accent-ink underline"
          >
            Calls that were refused, in the audit log
          </Link>
        </p>
      )}
    </Panel>
  );
}
