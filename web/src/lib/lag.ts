/** A lag as it was at some time. */
export interface LagSample {
  time: number;
  records: number;
}

/**
 * How fast a lag changes, in records a second, by least squares over the samples; null for fewer than
 * two moments. Below zero it shrinks.
 */
export function lagSlope(samples: LagSample[]): number | null {
  const count = samples.length;
  if (count < 2) return null;
  const meanTime = samples.reduce((sum, sample) => sum + sample.time, 0) / count;
  const meanRecords = samples.reduce((sum, sample) => sum + sample.records, 0) / count;
  let [covariance, variance] = [0, 0];
  for (const { time, records } of samples) {
    covariance += (time - meanTime) * (records - meanRecords);
    variance += (time - meanTime) ** 2;
  }
  return variance === 0 ? null : (covariance / variance) * 1_000;
}

/** Older samples say little of how fast readers are now. */
const RECENT_MS = 3 * 60_000;

/** Time until nothing is left, in milliseconds; null while the lag does not shrink. */
export function timeToDrain(samples: LagSample[]): number | null {
  const last = samples.at(-1);
  if (!last) return null;
  if (last.records === 0) return 0;
  const slope = lagSlope(samples.filter((sample) => sample.time > last.time - RECENT_MS));
  return slope !== null && slope < 0 ? (last.records / -slope) * 1_000 : null;
}
