/**
 * Compares two JSON numbers as what their digits say, at any size: -1, 0 or 1. Doubles would call
 * 17123456789012345678 and 17123456789012345679 equal.
 */
export function compareDecimals(a: string, b: string): number {
  const [x, y] = [decompose(a), decompose(b)];
  if (x.sign !== y.sign) return x.sign < y.sign ? -1 : 1;
  if (x.sign === 0) return 0;
  return x.sign > 0 ? compareMagnitudes(x, y) : compareMagnitudes(y, x);
}

interface Decimal {
  sign: -1 | 0 | 1;
  /** Without zeros at either end. */
  digits: string;
  /** Of the point: the value is 0.digits × 10^exponent. */
  exponent: number;
}

function decompose(text: string): Decimal {
  const [, minus, whole = "", fraction = "", power = "0"] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text) ?? [];
  const all = whole + fraction;
  const leading = all.length - all.replace(/^0+/, "").length;
  const digits = all.slice(leading).replace(/0+$/, "");
  if (digits === "") return { sign: 0, digits, exponent: 0 };
  return { sign: minus ? -1 : 1, digits, exponent: whole.length - leading + Number(power) };
}

function compareMagnitudes(x: Decimal, y: Decimal): number {
  if (x.exponent !== y.exponent) return x.exponent < y.exponent ? -1 : 1;
  const length = Math.max(x.digits.length, y.digits.length);
  const [p, q] = [x.digits.padEnd(length, "0"), y.digits.padEnd(length, "0")];
  return p === q ? 0 : p < q ? -1 : 1;
}
