import { lazy, Suspense } from "react";
import { formatCount } from "../lib/format";
import type { LagSample } from "../lib/lag";

const Chart = lazy(() => import("../ui/chart"));

export function LagChart({ samples }: { samples: LagSample[] }) {
  return (
    <div className="h-[210px]">
      <Suspense fallback={null}>
        <Chart
          label="Lag in records"
          times={samples.map((sample) => sample.time)}
          lines={[{ name: "Records behind", values: samples.map((sample) => sample.records) }]}
          format={formatCount}
        />
      </Suspense>
    </div>
  );
}
