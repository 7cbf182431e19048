import type { Logger } from '@kube-aurora/process';
import { AuroraRpcError, type CopySegmentChunk, type SegmentState, type StoredValue } from '@kube-aurora/rpc';
import { newestHistory } from '@kube-aurora/volume';
import { openValue, StoredValueError } from '../page-store/stored-value.ts';
import { PageStore, pageOfKey } from '../page-store/page-store.ts';
import type { Segment } from '../segment/segment.ts';
import type { Peer } from './peer-set.ts';

/** Whole copies of a segment's pages, between peers: for one that is empty, too far behind, or damaged. */

const COPY_MS = 30 * 60_000;
const CHUNK_BYTES = 256 * 1024;
/** After a copy the receiver comes back for the redo after the mark; it is kept for it that long. */
const KEEP_LOG_MS = 60_000;

/** Serves a copy: everything stored, as of one moment, each value checked before it is sent. */
export async function* serveCopy(segment: Segment): AsyncGenerator<CopySegmentChunk> {
  const { content } = segment;
  if (content === undefined || segment.phase !== 'READY') throw new AuroraRpcError('NOT_READY', `the segment is ${segment.phase}`);
  segment.copiesOut++;
  try {
    const markLsn = content.merger.mark.lsn;
    let state: SegmentState | undefined = segment.state();
    let values: StoredValue[] = [];
    let bytes = 0;
    for await (const { key, value } of content.store.entries()) {
      try {
        openValue(key, value);
      } catch (error) {
        const page = pageOfKey(key);
        if (error instanceof StoredValueError && page !== undefined) await content.repairPage(page);
        throw new AuroraRpcError('DAMAGED', error instanceof Error ? error.message : String(error));
      }
      values.push({ key, value });
      bytes += key.length + value.length;
      if (bytes < CHUNK_BYTES) continue;
      yield { state, values, markLsn };
      state = undefined;
      values = [];
      bytes = 0;
    }
    if (values.length > 0 || state !== undefined) yield { state, values, markLsn };
  } finally {
    setTimeout(() => segment.copiesOut--, KEEP_LOG_MS).unref();
  }
}

/** Replaces this segment's pages by a peer's. Redo after them is fetched afterwards. */
export async function copyFrom(segment: Segment, peer: Peer, logger: Logger, onFetched: (bytes: number) => void): Promise<void> {
  const { limits } = segment.deps;
  const started = Date.now();
  let bytes = 0;
  await segment.replaceContent(async (directory) => {
    const store = await PageStore.open(directory, { cacheBytes: limits.levelCacheBytes, writeBufferBytes: limits.levelWriteBufferBytes });
    let source: SegmentState | undefined;
    try {
      for await (const chunk of peer.client.copySegment({ segment: segment.id }, { deadlineMs: COPY_MS })) {
        source ??= chunk.state;
        await store.putRaw(chunk.values);
        for (const { value } of chunk.values) bytes += value.length;
      }
      const mark = await store.mark();
      const state = await store.state();
      if (source === undefined || mark === undefined || state === undefined) {
        throw new AuroraRpcError('INTERNAL', `peer ${peer.id} sent an incomplete copy`);
      }
      await store.setMark(mark, Buffer.from(state));
    } finally {
      await store.close();
    }
    const { control } = segment;
    return {
      epoch: source.epoch > control.epoch ? source.epoch : control.epoch,
      writerId: source.epoch > control.epoch ? '' : control.writerId,
      // Ours stays when it is the newer one: the copy was applied up to a mark at or below VDL, which no history annuls.
      history: control.ready && control.baseEpoch === source.baseEpoch ? newestHistory([control.history, source.history]) : source.history,
      baseEpoch: source.baseEpoch,
      baseLsn: source.baseLsn,
      systemIdentifier: source.systemIdentifier,
    };
  });
  onFetched(bytes);
  logger.info({ volume: segment.volumeId, peer: peer.id, bytes, ms: Date.now() - started }, 'copied the segment from a peer');
}
