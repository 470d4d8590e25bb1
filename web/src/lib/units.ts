/** A unit that a setting can be typed in. */
export interface Unit {
  name: string;
  factor: number;
}

export const TIME_UNITS: Unit[] = [
  { name: "ms", factor: 1 },
  { name: "seconds", factor: 1_000 },
  { name: "minutes", factor: 60_000 },
  { name: "hours", factor: 3_600_000 },
  { name: "days", factor: 86_400_000 },
];

export const BYTE_UNITS: Unit[] = [
  { name: "B", factor: 1 },
  { name: "KiB", factor: 1024 },
  { name: "MiB", factor: 1024 ** 2 },
  { name: "GiB", factor: 1024 ** 3 },
  { name: "TiB", factor: 1024 ** 4 },
];

/** The largest unit in which the amount is a whole number: nothing is rounded on the way to a form. */
export function bestUnit(amount: number, units: Unit[]): Unit {
  const whole = units.filter((unit) => amount % unit.factor === 0 && amount >= unit.factor);
  return whole.at(-1) ?? units[0]!;
}
