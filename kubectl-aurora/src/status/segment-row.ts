import type { Segment } from '@kube-aurora/cluster-view';
import type { Cell } from '../text/table.ts';

/** In one word, with a mark. */
export function segmentState({ ready, state = 'UNKNOWN', fault }: Segment): Cell {
  const words = (fault ?? state).toLowerCase().replaceAll('_', ' ');
  if (ready === true) return { text: `✓ ${words}`, tone: 'good' };
  // It answers, and is not up: it has yet to get what it is to hold, say.
  return fault === undefined && state === 'READY' ? { text: '! not up', tone: 'warn' } : { text: `✗ ${words}`, tone: 'bad' };
}
