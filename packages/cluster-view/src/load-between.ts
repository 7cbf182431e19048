import type { Metrics } from './prometheus-text.ts';

const LOAD = 'aurora_load_session_seconds_total';

/** Sessions at work on average, by `Type:Event` of what they waited for (one name where both are the same: CPU), most first. */
export type Load = readonly (readonly [event: string, sessions: number])[];

/**
 * What sessions at work waited for between two looks at an instance's metrics; its agent looks at them once a second. Undefined: the
 * instance does not say, or its counters began anew meanwhile, so that they are of no known time.
 */
export function loadBetween(before: Metrics | undefined, after: Metrics | undefined, seconds: number): Load | undefined {
  const samples = after?.get(LOAD);
  if (before === undefined || seconds <= 0 || samples === undefined) return undefined;
  const was = new Map(before.get(LOAD)?.map(({ labels, value }) => [eventOf(labels), value]));
  const grown = samples.map(({ labels, value }) => [eventOf(labels), (value - (was.get(eventOf(labels)) ?? 0)) / seconds] as const);
  if (grown.some(([, sessions]) => sessions < 0)) return undefined;
  return grown.toSorted((a, b) => b[1] - a[1]);
}

function eventOf({ type = '', event = '' }: Readonly<Record<string, string>>): string {
  return type === event ? type : `${type}:${event}`;
}
