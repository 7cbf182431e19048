/** Durations as a manifest has them: a whole number and a unit, `500ms`, `30s`, `2m`. */
export const DURATION_PATTERN = '^[0-9]*[1-9][0-9]*(ms|s|m|h)$';

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Milliseconds, or undefined when the text is no duration. */
export function durationMs(text: string): number | undefined {
  const [, digits, unit] = new RegExp(DURATION_PATTERN).test(text) ? (/^(\d+)(\D+)$/.exec(text) ?? []) : [];
  const factor = unit === undefined ? undefined : UNIT_MS[unit];
  return digits === undefined || factor === undefined ? undefined : Number(digits) * factor;
}

/** For people: `12 ms`, `3.4 s`, `5 min`. */
export function formatMs(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return ms < 120_000 ? `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s` : `${Math.round(ms / 60_000)} min`;
}
