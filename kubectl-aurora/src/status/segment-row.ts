import { parseLsn } from '@kube-aurora/pg-format/lsn';
import type { Segment } from '../kube/resources.ts';
import type { Cell } from '../text/table.ts';

/** Redo that a copy has yet to get, in bytes: as its writer says, or from the two LSNs. */
export function sclLag({ behindBytes, scl }: Segment, vdl: string | undefined): number | undefined {
  if (behindBytes !== undefined) return behindBytes;
  if (scl === undefined || vdl === undefined) return undefined;
  const behind = parseLsn(vdl) - parseLsn(scl);
  return behind > 0n ? Number(behind) : 0;
}

/** In one word, with a mark. */
export function segmentState({ ready, state = 'UNKNOWN', fault }: Segment): Cell {
  const words = (fault ?? state).toLowerCase().replaceAll('_', ' ');
  if (ready === true) return { text: `✓ ${words}`, tone: 'good' };
  // It answers, and is not up: it has yet to get what it is to hold, say.
  return fault === undefined && state === 'READY' ? { text: '! not up', tone: 'warn' } : { text: `✗ ${words}`, tone: 'bad' };
}
