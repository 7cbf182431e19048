import type { RangeSeries } from '../alerts/live-system.ts';

/** What of a dashboard's JSON is drawn, with what Prometheus answered. */
export interface Drawing {
  readonly title: string;
  readonly fromMs: number;
  readonly toMs: number;
  readonly panels: readonly DrawnPanel[];
}

interface DrawnPanel {
  readonly title: string;
  readonly type: 'stat' | 'timeseries';
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly defaults: Readonly<Record<string, unknown>>;
  readonly overrides: readonly {
    readonly matcher: { readonly options: string };
    readonly properties: readonly { readonly id: string; readonly value: unknown }[];
  }[];
  readonly options: Readonly<Record<string, unknown>>;
  readonly series: readonly DrawnSeries[];
}

interface DrawnSeries {
  readonly name: string;
  readonly times: readonly number[];
  readonly values: readonly (number | null)[];
}

export interface DashboardJson {
  readonly title: string;
  readonly panels: readonly {
    readonly title: string;
    readonly type: DrawnPanel['type'];
    readonly gridPos: DrawnPanel['gridPos'];
    readonly fieldConfig: { readonly defaults: DrawnPanel['defaults']; readonly overrides: DrawnPanel['overrides'] };
    readonly options?: DrawnPanel['options'];
    readonly targets: readonly { readonly expr: string; readonly legendFormat: string }[];
  }[];
}

/** With the series' labels in the place of their names in double braces, as Grafana has it. */
export function legendOf(format: string, labels: Readonly<Record<string, string>>): string {
  return format.replaceAll(/\{\{\s*(\w+)\s*\}\}/g, (_, label: string) => labels[label] ?? '');
}

/** A value for each step of the range; null where Prometheus has none, so that a gap is seen as one. */
export function atSteps({ metric, values }: RangeSeries, legend: string, fromMs: number, toMs: number, stepMs: number): DrawnSeries {
  const known = new Map(values.map(([seconds, value]) => [Math.round((seconds * 1000 - fromMs) / stepMs), Number(value)]));
  const steps = Array.from({ length: Math.floor((toMs - fromMs) / stepMs) + 1 }, (_, step) => step);
  return {
    name: legendOf(legend, metric),
    times: steps.map((step) => fromMs + step * stepMs),
    values: steps.map((step) => {
      const value = known.get(step);
      return value === undefined || Number.isNaN(value) ? null : value;
    }),
  };
}

/** Asks for everything that a dashboard shows of a time. */
export async function drawingOf(
  { title, panels }: DashboardJson,
  { fromMs, toMs, stepMs }: { readonly fromMs: number; readonly toMs: number; readonly stepMs: number },
  ask: (expr: string) => Promise<readonly RangeSeries[]>,
): Promise<Drawing> {
  const drawn: DrawnPanel[] = [];
  for (const { title: name, type, gridPos, fieldConfig, options = {}, targets } of panels) {
    const series: DrawnSeries[] = [];
    for (const { expr, legendFormat } of targets)
      for (const one of await ask(expr)) series.push(atSteps(one, legendFormat, fromMs, toMs, stepMs));
    drawn.push({ title: name, type, gridPos, ...fieldConfig, options, series });
  }
  return { title, fromMs, toMs, panels: drawn };
}
