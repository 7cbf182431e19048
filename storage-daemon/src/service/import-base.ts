import { decodePageKey, decodeVolumeState, PAGE_KEY_BYTES, VolumeStateError } from '@kube-aurora/redo';
import {
  AuroraRpcError,
  type ImportBaseRequest,
  type ImportBegin,
  type PageImage,
  type SegmentId,
  type SegmentState,
} from '@kube-aurora/rpc';
import { PageStore } from '../page-store/page-store.ts';
import type { Segment } from '../segment/segment.ts';

/** ImportBase: the first pages of a new volume, into a directory of their own that counts once `finish` was read. */

const PAGE_BYTES = 8192;

export async function importBase(
  requests: AsyncIterable<ImportBaseRequest>,
  find: (id: SegmentId | undefined) => Promise<Segment>,
): Promise<SegmentState> {
  const iterator = requests[Symbol.asyncIterator]();
  const first = await iterator.next();
  const begin = first.done === true ? undefined : first.value.begin;
  if (begin === undefined) throw new AuroraRpcError('INVALID', 'begin: the first message must carry it');
  const segment = await find(begin.segment);
  checkBegin(begin);
  if (isRepetition(segment, begin)) return drain(iterator, segment);
  checkEmpty(segment, begin);
  const { disk, limits } = segment.deps;
  await segment.held.replace(async (directory) => {
    const store = await PageStore.open(disk, directory, {
      cacheBytes: limits.levelCacheBytes,
      writeBufferBytes: limits.levelWriteBufferBytes,
    });
    try {
      let finished = false;
      for (let next: IteratorResult<ImportBaseRequest> = first; next.done !== true && !finished; next = await iterator.next()) {
        await writePages(store, next.value.pages, begin.baseLsn);
        finished = next.value.finish;
        if (finished) break;
      }
      if (!finished) throw new AuroraRpcError('INVALID', 'finish: the stream ended without it; nothing was imported');
      await store.setMark({ lsn: begin.baseLsn, epoch: begin.epoch }, begin.volumeState, undefined);
    } finally {
      await store.close();
    }
    segment.epochs.refuseLower(begin.epoch);
    return {
      epoch: begin.epoch,
      history: [{ epoch: begin.epoch, startLsn: begin.baseLsn }],
      baseEpoch: begin.epoch,
      baseLsn: begin.baseLsn,
      systemIdentifier: begin.systemIdentifier,
    };
  });
  return segment.state();
}

/** Refuses what the segment could not take, before any page is read. */
function checkEmpty(segment: Segment, begin: ImportBegin): void {
  segment.epochs.refuseLower(begin.epoch);
  if (segment.phase === 'IMPORTING') throw new AuroraRpcError('NOT_READY', 'an import or copy is under way already');
  if (segment.control.ready) throw new AuroraRpcError('INVALID', 'begin: the segment holds a volume already');
}

function checkBegin(begin: ImportBegin): void {
  if (begin.epoch <= 0n) throw new AuroraRpcError('INVALID', 'begin.epoch: must be 1 or more');
  if (begin.baseLsn === 0n) throw new AuroraRpcError('INVALID', 'begin.base_lsn: is 0');
  if (begin.systemIdentifier === 0n) throw new AuroraRpcError('INVALID', 'begin.system_identifier: is 0');
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
  await store.write(
    pages.map(({ key, page }, index) => {
      if (key.length !== PAGE_KEY_BYTES)
        throw new AuroraRpcError('INVALID', `pages[${index}].key: ${key.length} bytes, not ${PAGE_KEY_BYTES}`);
      if (page.length !== PAGE_BYTES) throw new AuroraRpcError('INVALID', `pages[${index}].page: ${page.length} bytes, not ${PAGE_BYTES}`);
      return { page: decodePageKey(key), version: { lsn: Number(lsn), page } };
    }),
  );
}
