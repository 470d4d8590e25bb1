import { useEffect, useReducer } from "react";
import type { LagSample } from "../lib/lag";

/** Half an hour of a group's page. */
const SAMPLES_MAX = 600;
/** The one that was not seen for longest is forgotten first. */
const SERIES_MAX = 50;

/** Lags as they were since the console was opened, by name: the API has no history of them. */
const series = new Map<string, LagSample[]>();
const NONE: LagSample[] = [];

/** Remembers what a lag is at this time, and tells what it was before. */
export function useLagSamples(name: string, records: number | null, time: number): LagSample[] {
  const [, redraw] = useReducer((count: number) => count + 1, 0);
  useEffect(() => {
    const old = series.get(name) ?? NONE;
    if (records === null || (old.at(-1)?.time ?? 0) >= time) return;
    series.delete(name);
    series.set(name, [...old.slice(1 - SAMPLES_MAX), { time, records }]);
    if (series.size > SERIES_MAX) series.delete(series.keys().next().value!);
    redraw();
  }, [name, records, time]);
  return series.get(name) ?? NONE;
}
