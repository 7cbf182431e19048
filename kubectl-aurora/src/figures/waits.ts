import type { Metrics } from '@kube-aurora/cluster-view';

const LOAD = 'aurora_load_session_seconds_total';
const SHOWN = 3;
/** Fewer sessions than this are not worth a word. */
const SESSIONS_MIN = 0.05;

/**
 * What sessions at work waited for between two looks, and how many on average, most first: `1.5 CPU, 0.8 IO:WalSync`. The agent looks once a
 * second. `-` where nobody was at work, and nothing where nobody knows.
 */
export function waitsBetween(before: Metrics | undefined, after: Metrics | undefined, seconds: number): string {
  const samples = after?.get(LOAD);
  if (samples === undefined || before === undefined) return '';
  const nameOf = ({ type, event }: Readonly<Record<string, string>>): string => (type === event ? (type ?? '') : `${type}:${event}`);
  const earlier = new Map((before.get(LOAD) ?? []).map(({ labels, value }) => [nameOf(labels), value]));
  const waits = samples
    .map(({ labels, value }) => ({ name: nameOf(labels), sessions: (value - (earlier.get(nameOf(labels)) ?? 0)) / seconds }))
    .filter(({ sessions }) => sessions >= SESSIONS_MIN)
    .toSorted((a, b) => b.sessions - a.sessions)
    .slice(0, SHOWN);
  return waits.length === 0 ? '-' : waits.map(({ name, sessions }) => `${sessions.toFixed(1)} ${name}`).join(', ');
}
