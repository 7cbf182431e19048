import { formatLsn } from '@kube-aurora/pg-format/lsn';
import { AuroraRpcError } from '@kube-aurora/rpc';
import { lastEpoch } from '@kube-aurora/volume';
import type { SegmentStorage } from './segment-storage.ts';
import type { Segment } from './segment.ts';

/**
 * What a segment holds, once it can be read at `lsn` by someone of `epoch`; waits until `deadline` (ms, the clock's
 * `now`). Throws AuroraRpcError: FENCED, DAMAGED, NOT_READY, or BEHIND when the segment does not get there in time.
 */
export async function readableAt(segment: Segment, epoch: bigint, lsn: bigint, deadline: number): Promise<SegmentStorage> {
  segment.refuseLower(epoch);
  const storage = readableNow(segment);
  const known = lastEpoch(segment.control.history);
  if (epoch > known) {
    throw new AuroraRpcError('BEHIND', `the segment has not heard how epoch ${epoch} starts; its history ends with ${known}`);
  }
  // Whoever reads at an LSN knows that it is durable on a quorum.
  const noteDurable = (): void => {
    if (lsn <= segment.scl) segment.noteVdl(lsn, epoch);
  };
  noteDurable();
  if (storage.hasApplied(lsn)) return storage;
  storage.expediteTo(lsn);
  await segment.until(() => {
    if (segment.storage === undefined || segment.damage !== undefined || segment.storage.hasApplied(lsn)) return true;
    noteDurable();
    return false;
  }, deadline);
  const after = readableNow(segment);
  if (!after.hasApplied(lsn)) {
    throw new AuroraRpcError('BEHIND', `the segment has redo applied up to ${formatLsn(after.appliedLsn)}, not ${formatLsn(lsn)}`);
  }
  return after;
}

function readableNow(segment: Segment): SegmentStorage {
  const { damage, storage } = segment;
  if (damage !== undefined) throw new AuroraRpcError('DAMAGED', damage);
  if (storage === undefined) throw new AuroraRpcError('NOT_READY', `the segment is ${segment.phase}`);
  return storage;
}
