import { formatLsn } from '@kube-aurora/pg-format';
import { AuroraRpcError } from '@kube-aurora/rpc';
import { lastEpoch } from '@kube-aurora/volume';
import type { SegmentStorage } from './segment-storage.ts';
import type { Segment } from './segment.ts';

/**
 * Content of a segment that can be read at `lsn` by someone of `epoch`; waits until `deadline` (ms, the clock's `now`). Throws
 * AuroraRpcError: FENCED, DAMAGED, NOT_READY, or BEHIND when the segment does not get there in time.
 */
export async function readableAt(segment: Segment, epoch: bigint, lsn: bigint, deadline: number): Promise<SegmentStorage> {
  segment.epochs.refuseLower(epoch);
  const storage = readableNow(segment);
  const known = lastEpoch(segment.control.history);
  if (epoch > known) {
    throw new AuroraRpcError('BEHIND', `the segment has not heard how epoch ${epoch} starts; its history ends with ${known}`);
  }
  const at = Number(lsn);
  // Whoever reads at an LSN knows that it is durable on a quorum.
  const noteDurable = (): void => {
    if (lsn <= segment.scl) segment.noteVdl(lsn, epoch);
  };
  noteDurable();
  if (storage.applier.hasApplied(at)) return storage;
  storage.applier.want(at);
  await segment.conditions.until(() => {
    if (segment.storage === undefined || segment.lifecycle.damage !== undefined || segment.storage.applier.hasApplied(at)) return true;
    noteDurable();
    return false;
  }, deadline);
  const after = readableNow(segment);
  if (!after.applier.hasApplied(at)) {
    throw new AuroraRpcError(
      'BEHIND',
      `the segment has redo applied up to ${formatLsn(BigInt(after.applier.appliedLsn))}, not ${formatLsn(lsn)}`,
    );
  }
  return after;
}

function readableNow(segment: Segment): SegmentStorage {
  const { damage, storage } = segment.lifecycle;
  if (damage !== undefined) throw new AuroraRpcError('DAMAGED', damage);
  if (storage === undefined) throw new AuroraRpcError('NOT_READY', `the segment is ${segment.phase}`);
  return storage;
}
