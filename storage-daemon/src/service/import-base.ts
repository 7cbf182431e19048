import { decodePageKey, decodeVolumeState, VolumeStateError } from '@kube-aurora/redo';
import { AuroraRpcError, type ImportBaseRequest, type ImportBegin, type PageImage, type SegmentState } from '@kube-aurora/rpc';
import type { PageStore } from '../pages/page-store.ts';
import type { SegmentDirectory } from '../segment/segment-directory.ts';
import type { Segment } from '../segment/segment.ts';
import { checkMessage } from '../edge/message-rules.ts';

/** ImportBase: the first pages of a new volume, into a directory of their own that counts once `finish` was read. */

export async function importBase(requests: AsyncIterable<ImportBaseRequest>, segments: SegmentDirectory): Promise<SegmentState> {
  const iterator = requests[Symbol.asyncIterator]();
  const first = await iterator.next();
  const begin = first.done === true ? undefined : first.value.begin;
  if (begin === undefined) throw new AuroraRpcError('INVALID', 'begin: the first message must carry it');
  checkBegin(begin);
  const segment = await segments.take(begin.segment);
  if (isRepetition(segment, begin)) return drain(iterator, segment);
  await segment.refuseJump(begin.epoch, 'begin.epoch');
  checkEmpty(segment, begin);
  await refuseSecondVolume(segment);
  await segment.replace(async ({ store }) => {
    let finished = false;
    for (let next: IteratorResult<ImportBaseRequest> = first; next.done !== true && !finished; next = await iterator.next()) {
      await writePages(store, next.value.pages, begin.baseLsn);
      finished = next.value.finish;
      if (finished) break;
    }
    if (!finished) throw new AuroraRpcError('INVALID', 'finish: the stream ended without it; nothing was imported');
    await store.setCheckpoint({ lsn: begin.baseLsn, epoch: begin.epoch }, begin.volumeState, undefined);
    return () => {
      segment.refuseLower(begin.epoch);
      return {
        epoch: begin.epoch,
        history: [{ epoch: begin.epoch, startLsn: begin.baseLsn }],
        baseEpoch: begin.epoch,
        baseLsn: begin.baseLsn,
        systemIdentifier: begin.systemIdentifier,
      };
    };
  });
  return segment.state();
}

/** Refuses what the segment could not take, before any page is read. */
function checkEmpty(segment: Segment, begin: ImportBegin): void {
  segment.refuseLower(begin.epoch);
  if (segment.phase === 'IMPORTING') throw new AuroraRpcError('NOT_READY', 'an import or copy is under way already');
  if (segment.control.ready) throw new AuroraRpcError('INVALID', 'begin: the segment holds a volume already');
}

/** A daemon that lost its disk is empty, and so is a stranger's idea of the volume: what was written to is copied, never imported. */
async function refuseSecondVolume(segment: Segment): Promise<void> {
  await segment.askPeers();
  if (!segment.highestOfPeers.isWritten) return;
  throw new AuroraRpcError('REFUSED', 'begin: peers hold this volume already, with redo; it is copied from them', 'volume-exists');
}

function checkBegin(begin: ImportBegin): void {
  checkMessage('ImportBegin', begin, 'begin');
  try {
    decodeVolumeState(begin.volumeState);
  } catch (error) {
    if (error instanceof VolumeStateError) throw new AuroraRpcError('INVALID', `begin.volume_state: ${error.message}`);
    throw error;
  }
}

/** The same import again: its answer was lost on the way. */
function isRepetition(segment: Segment, begin: ImportBegin): boolean {
  const { ready, baseEpoch, baseLsn, systemIdentifier } = segment.control;
  return ready && baseEpoch === begin.epoch && baseLsn === begin.baseLsn && systemIdentifier === begin.systemIdentifier;
}

async function drain(iterator: AsyncIterator<ImportBaseRequest>, segment: Segment): Promise<SegmentState> {
  for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) if (next.value.finish) break;
  return segment.state();
}

async function writePages(store: PageStore, pages: readonly PageImage[], lsn: bigint): Promise<void> {
  checkMessage('ImportPages', { pages });
  await store.write(pages.map(({ key, page }) => ({ page: decodePageKey(key), version: { lsn: Number(lsn), page } })));
}
