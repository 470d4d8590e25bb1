const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
const count = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** 1536 → "1.5 KiB". */
export function formatBytes(bytes: number): string {
  let unit = 0;
  let amount = bytes;
  while (amount >= 1024 && unit < BYTE_UNITS.length - 1) {
    amount /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || amount >= 100 ? 0 : 1;
  return `${amount.toFixed(digits).replace(/\.0$/, "")} ${BYTE_UNITS[unit]}`;
}

/** 1234567 → "1,234,567". */
export const formatCount = (amount: number) => count.format(amount);

/** A rate that may be below one. */
export function formatRate(perSecond: number): string {
  return perSecond > 0 && perSecond < 10 ? perSecond.toFixed(perSecond < 1 ? 2 : 1) : short.format(perSecond);
}

const SPANS: [name: string, ms: number][] = [
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000],
  ["second", 1_000],
  ["ms", 1],
];

/** 604800000 → "7 days"; two units at most. */
export function formatDuration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  const parts: string[] = [];
  let rest = Math.round(ms / 1_000) * 1_000;
  for (const [name, span] of SPANS) {
    const amount = Math.floor(rest / span);
    if (amount === 0 && parts.length === 0) continue;
    if (amount > 0) parts.push(`${amount} ${name}${amount === 1 || name === "ms" ? "" : "s"}`);
    rest -= amount * span;
    if (parts.length === 2 || rest === 0) break;
  }
  return parts.join(" ");
}

const UNITS: Record<string, string> = { day: "d", hour: "h", minute: "min", second: "s" };

/** The same where there is little room: 355000 → "5 min 55 s". */
export const formatSpan = (ms: number) =>
  formatDuration(ms).replace(/(day|hour|minute|second)s?/g, (name) => UNITS[name.replace(/s$/, "")] ?? name);

/** "3 minutes ago", "in 2 days". */
export function formatAgo(time: number, now = Date.now()): string {
  const distance = Math.abs(now - time);
  if (distance < 5_000) return "just now";
  const [name, span] = SPANS.find(([, ms]) => distance >= ms) ?? (["second", 1_000] as const);
  const amount = Math.floor(distance / span);
  const text = `${amount} ${name}${amount === 1 ? "" : "s"}`;
  return time <= now ? `${text} ago` : `in ${text}`;
}

const pad = (part: number, width = 2) => String(part).padStart(width, "0");

/** Local time, to the millisecond, in a form of one width. */
export function formatTime(time: number): string {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return String(time);
  const day = `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
  return `${day} ${formatClock(time)}.${pad(date.getMilliseconds(), 3)}`;
}

function formatClock(time: number): string {
  const date = new Date(time);
  return `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
}

/** Day and minute, for lists. */
export function formatMinute(time: number | string): string {
  return formatTime(typeof time === "string" ? Date.parse(time) : time).slice(0, 16);
}
