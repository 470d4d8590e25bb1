import { useEffect, useRef, useState } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

export interface Line {
  name: string;
  values: (number | null)[];
}

interface ChartProps {
  label: string;
  /** Milliseconds since the epoch, rising. */
  times: number[];
  lines: Line[];
  format: (value: number) => string;
  height?: number;
}

const css = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Lines over time. The newest values stand beside it as text, so that it needs no pointer and no sight. */
export default function Chart({ label, times, lines, format, height = 180 }: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(null);
  const formatter = useRef(format);
  formatter.current = format;
  const [theme, setTheme] = useState(0);
  const names = lines.map((line) => line.name).join("\n");

  useEffect(() => {
    const again = () => setTheme((count) => count + 1);
    window.addEventListener("themechange", again);
    return () => window.removeEventListener("themechange", again);
  }, []);

  useEffect(() => {
    const element = box.current;
    if (!element) return;
    plot.current = new uPlot(options(names.split("\n"), element.clientWidth, height, formatter), [[]], element);
    const observer = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [names, height, theme]);

  useEffect(() => {
    plot.current?.setData([times.map((time) => time / 1_000), ...lines.map((line) => line.values)]);
  }, [times, lines, names, height, theme]);

  return (
    <figure className="min-w-0">
      <figcaption className="mb-2 flex flex-wrap gap-x-4 gap-y-1 text-[12.5px] text-soft">
        <span className="sr-only">{label}: </span>
        {lines.map((line, index) => (
          <span key={line.name} className="inline-flex items-center gap-1.5">
            <span className="h-0.5 w-3 rounded" style={{ background: `var(--chart-${index + 1})` }} aria-hidden />
            {line.name}
            <span className="font-medium text-ink tabular-nums">{format(line.values.at(-1) ?? 0)}</span>
          </span>
        ))}
      </figcaption>
      <div ref={box} style={{ height }} aria-hidden />
    </figure>
  );
}

function options(names: string[], width: number, height: number, format: { current: (value: number) => string }): uPlot.Options {
  const axis = { stroke: css("--faint"), grid: { stroke: css("--line"), width: 1 }, ticks: { show: false }, font: "11px Inter" };
  return {
    width,
    height,
    padding: [8, 8, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { size: 6 } },
    scales: { y: { range: (_, __, max) => [0, max > 0 ? max * 1.15 : 1] } },
    axes: [
      { ...axis, size: 26, space: 70, values: "{HH}:{mm}" as never },
      { ...axis, size: 64, values: (_, ticks) => ticks.map((tick) => format.current(tick)) },
    ],
    series: [
      {},
      ...names.map((name, index) => ({
        label: name,
        stroke: css(`--chart-${index + 1}`),
        fill: index === 0 ? `${css("--chart-1")}18` : undefined,
        width: 1.5,
        points: { show: false },
      })),
    ],
  };
}
