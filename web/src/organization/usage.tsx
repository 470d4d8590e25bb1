import { useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { organizationQuotasQuery, organizationUsageQuery, projectQuotasQuery } from "../api/queries";
import { isAtLeast } from "../lib/access";
import { RangePicker, UsageCharts, useRange } from "../overview/usage-charts";
import { useHere } from "../shell/here";
import { Loaded } from "../ui/loaded";
import { Page } from "../ui/page";
import { QuotasPanel } from "./quotas";

export function UsagePage() {
  const { organization } = useParams({ from: "/app/o/$organization/usage" });
  const here = useHere();
  const [range, setRange] = useRange();
  const usage = useQuery(organizationUsageQuery(organization, range));
  const quotas = useQuery(organizationQuotasQuery(organization));
  const mayChange = isAtLeast(here.organization?.role, "admin");
  return (
    <Page title="Quotas and usage" lead="Of the whole organization, and of the project that is open." actions={<RangePicker range={range} onChange={setRange} />}>
      <div className="flex flex-col gap-4">
        <div className="grid items-start gap-4 xl:grid-cols-2">
          <Loaded query={quotas} skeleton={<div className="h-[340px]" />}>
            {({ data, etag }) => <QuotasPanel title={`Organization ${here.organization?.name ?? organization}`} owner={{ organization }} quotas={data} etag={etag} mayChange={mayChange} />}
          </Loaded>
          {here.project && <ProjectQuotas project={here.project} mayChange={mayChange} />}
        </div>
        <Loaded query={usage} skeleton={<div className="h-[560px]" />}>
          {(series) => <UsageCharts series={series} range={range} />}
        </Loaded>
      </div>
    </Page>
  );
}

function ProjectQuotas({ project, mayChange }: { project: { id: string; name: string }; mayChange: boolean }) {
  const quotas = useQuery(projectQuotasQuery(project.id));
  return (
    <Loaded query={quotas} skeleton={<div className="h-[340px]" />}>
      {({ data, etag }) => <QuotasPanel title={`Project ${project.name}`} owner={{ project: project.id }} quotas={data} etag={etag} mayChange={mayChange} />}
    </Loaded>
  );
}
