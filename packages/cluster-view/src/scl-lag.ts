import { parseLsn } from '@kube-aurora/pg-format/lsn';
import type { Segment } from './resources.ts';

/** Redo that a copy has yet to get, in bytes: as its writer says, or from the two LSNs. */
export function sclLag({ behindBytes, scl }: Segment, vdl: string | undefined): number | undefined {
  if (behindBytes !== undefined) return behindBytes;
  if (scl === undefined || vdl === undefined) return undefined;
  const behind = parseLsn(vdl) - parseLsn(scl);
  return behind > 0n ? Number(behind) : 0;
}
