import { loadBetween, type Metrics } from '@kube-aurora/cluster-view';

const SHOWN = 3;
/** Fewer sessions than this are not worth a word. */
const SESSIONS_MIN = 0.05;

/**
 * What sessions at work waited for between two looks, and how many on average, most first: `1.5 CPU, 0.8 IO:WalSync`. `-` where nobody was at
 * work, and nothing where nobody knows.
 */
export function waitsBetween(before: Metrics | undefined, after: Metrics | undefined, seconds: number): string {
  const load = loadBetween(before, after, seconds);
  if (load === undefined) return '';
  const waits = load.filter(([, sessions]) => sessions >= SESSIONS_MIN).slice(0, SHOWN);
  return waits.length === 0 ? '-' : waits.map(([event, sessions]) => `${sessions.toFixed(1)} ${event}`).join(', ');
}
