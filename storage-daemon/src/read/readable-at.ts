import { formatLsn } from '@kube-aurora/pg-format';
import { AuroraRpcError } from '@kube-aurora/rpc';
import { lastEpoch } from '@kube-aurora/volume';
import type { SegmentContent } from '../segment/content.ts';
import type { Segment } from '../segment/segment.ts';

/**
 * Content of a segment that can be read at `lsn` by someone of `epoch`; waits until `deadline` (ms, the clock's `now`). Throws
 * AuroraRpcError: FENCED, DAMAGED, NOT_READY, or BEHIND when the segment does not get there in time.
 */
export async function readableAt(segment: Segment, epoch: bigint, lsn: bigint, deadline: number): Promise<SegmentContent> {
  segment.epochs.refuseLower(epoch);
  const content = readableNow(segment);
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
  if (content.ingest.hasApplied(at)) return content;
  content.ingest.want(at);
  await segment.progress.until(() => {
    if (segment.content === undefined || segment.held.damage !== undefined || segment.content.ingest.hasApplied(at)) return true;
    noteDurable();
    return false;
  }, deadline);
  const after = readableNow(segment);
  if (!after.ingest.hasApplied(at)) {
    throw new AuroraRpcError(
      'BEHIND',
      `the segment has redo applied up to ${formatLsn(BigInt(after.ingest.appliedLsn))}, not ${formatLsn(lsn)}`,
    );
  }
  return after;
}

function readableNow(segment: Segment): SegmentContent {
  const { damage, content } = segment.held;
  if (damage !== undefined) throw new AuroraRpcError('DAMAGED', damage);
  if (content === undefined) throw new AuroraRpcError('NOT_READY', `the segment is ${segment.phase}`);
  return content;
}
