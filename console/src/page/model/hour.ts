import type { HistoryAnswer } from '../../answers/answers.ts';

/** The last hour as the page has it: one array of values for each series, all of one length, the newest last. */
export interface Hour {
  readonly stepMs: number;
  /** Of the newest value. */
  readonly endAt: number;
  readonly length: number;
  readonly series: Readonly<Record<string, readonly (number | null)[]>>;
}

export const HOUR_MS = 3_600_000;

/** What was there, and what came since; no more than an hour. A step that nobody told of is not known. */
export function extended(hour: Hour | undefined, answer: HistoryAnswer): Hour {
  const { stepMs, firstAt, length, series } = answer;
  const length60 = Math.round(HOUR_MS / stepMs);
  if (length === 0) return hour ?? { stepMs, endAt: Math.floor(answer.at / stepMs) * stepMs, length: 0, series: {} };
  const endAt = firstAt + (length - 1) * stepMs;
  const startAt = Math.max(endAt - (length60 - 1) * stepMs, hour === undefined ? firstAt : Math.min(firstAt, firstOf(hour)));
  const size = Math.round((endAt - startAt) / stepMs) + 1;
  const names = new Set([...Object.keys(hour?.series ?? {}), ...Object.keys(series)]);
  const merged: Record<string, readonly (number | null)[]> = {};
  for (const name of names) {
    const values = Array.from({ length: size }, (_, index) => {
      const at = startAt + index * stepMs;
      if (at >= firstAt) return series[name]?.[Math.round((at - firstAt) / stepMs)] ?? null;
      return hour === undefined ? null : (hour.series[name]?.[Math.round((at - firstOf(hour)) / stepMs)] ?? null);
    });
    if (values.some((value) => value !== null)) merged[name] = values;
  }
  return { stepMs, endAt, length: size, series: merged };
}

/** How much time the curves show: an hour, or less while the console has not been there for so long. */
export function spanMs(hour: Hour): number {
  const told = hour.length * hour.stepMs;
  return [5, 15, 30].map((minutes) => minutes * 60_000).find((span) => span >= told) ?? HOUR_MS;
}

export function firstOf({ endAt, length, stepMs }: Hour): number {
  return endAt - (length - 1) * stepMs;
}

/** Series of one kind, `load:` say, by what stands after it. */
export function family(hour: Hour | undefined, prefix: string): readonly (readonly [name: string, values: readonly (number | null)[]])[] {
  return Object.entries(hour?.series ?? {})
    .filter(([name]) => name.startsWith(prefix))
    .map(([name, values]) => [name.slice(prefix.length), values] as const);
}

export function average(values: readonly (number | null)[]): number {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? 0 : known.reduce((sum, value) => sum + value, 0) / known.length;
}
