import { formatLsn } from '@kube-aurora/pg-format/lsn';
import { AuroraRpcError } from '@kube-aurora/rpc';
import { lastEpoch } from '@kube-aurora/volume';
import { hurryTo } from './lending.ts';
import type { SegmentStorage } from './segment-storage.ts';
import type { Segment } from './segment.ts';

/**
 * What a segment holds, once it can be read at `lsn` by someone of `epoch`; waits until `deadline` (ms, the clock's
 * `now`). Throws AuroraRpcError: FENCED, NO_PAGES, DAMAGED, NOT_READY, or BEHIND when the segment does not get there in
 * time.
 *
 * A reader has no epoch (0n), and is fenced by none: it is served what the segment itself knows to be durable, which no
 * history annuls. What it asks for makes nothing known to be durable.
 */
export async function readableAt(segment: Segment, epoch: bigint, lsn: bigint, deadline: number): Promise<SegmentStorage> {
  if (epoch === 0n) return readableToReader(segment, lsn, deadline);
  segment.refuseLower(epoch);
  const storage = readableNow(segment);
  const known = lastEpoch(segment.control.history);
  if (epoch > known) {
    throw new AuroraRpcError('BEHIND', `the segment has not heard how epoch ${epoch} starts; its history ends with ${known}`);
  }
  hurryTo(segment, lsn);
  // Whoever reads at an LSN knows that it is durable on a quorum.
  const noteDurable = (): void => {
    if (lsn <= segment.scl) segment.noteVdl(lsn, epoch);
  };
  noteDurable();
  if (storage.hasApplied(lsn)) return storage;
  storage.expediteTo(lsn);
  await segment.until(() => {
    if (segment.pages === undefined || segment.damage !== undefined || segment.pages.hasApplied(lsn)) return true;
    noteDurable();
    return false;
  }, deadline);
  const after = readableNow(segment);
  if (!after.hasApplied(lsn)) {
    throw new AuroraRpcError('BEHIND', `the segment has redo applied up to ${formatLsn(after.appliedLsn)}, not ${formatLsn(lsn)}`);
  }
  return after;
}

async function readableToReader(segment: Segment, lsn: bigint, deadline: number): Promise<SegmentStorage> {
  const isReadable = (): boolean => {
    const { pages } = segment;
    return pages === undefined || segment.damage !== undefined || (pages.vdl >= lsn && pages.hasApplied(lsn));
  };
  const expedite = (): void => {
    const { pages } = segment;
    if (pages !== undefined && pages.vdl >= lsn) pages.expediteTo(lsn);
  };
  const storage = readableNow(segment);
  hurryTo(segment, lsn);
  // That redo is durable comes with the redo after it.
  if (storage.vdl < lsn) storage.takeBack();
  expedite();
  const unwatch = segment.followers.watch(expedite);
  await segment.until(isReadable, deadline).finally(unwatch);
  const after = readableNow(segment);
  if (after.vdl < lsn || !after.hasApplied(lsn)) {
    const known = `durable up to ${formatLsn(after.vdl)}, and applied up to ${formatLsn(after.appliedLsn)}`;
    throw new AuroraRpcError('BEHIND', `the segment knows redo to be ${known}, not ${formatLsn(lsn)}`);
  }
  return after;
}

/** Throws AuroraRpcError: NO_PAGES of a tail. */
export function readableNow(segment: Segment): SegmentStorage {
  const { damage, pages: storage, control } = segment;
  if (control.role === 'TAIL' && control.standIn === undefined)
    throw new AuroraRpcError('NO_PAGES', 'the segment is a tail: it keeps redo alone, and a full one has the pages');
  if (damage !== undefined) throw new AuroraRpcError('DAMAGED', damage);
  if (storage === undefined) throw new AuroraRpcError('NOT_READY', `the segment is ${segment.phase}`);
  return storage;
}
