import type { Clock } from '@kube-aurora/clock';
import { AuroraRpcError, type CopySegmentChunk, type SegmentState, type StoredValue } from '@kube-aurora/rpc';
import { newestHistory } from '@kube-aurora/volume';
import { PageStore, pageOfKey } from '../pages/page-store.ts';
import { openValue, StoredValueError } from '../pages/stored-value.ts';
import type { Segment } from '../segment/segment.ts';
import { checkMessage } from '../edge/message-rules.ts';
import type { Peer } from './peer-set.ts';
import { STREAM_DEADLINE_MS, unstalled } from './stalled-stream.ts';

/** Whole copies of a segment's pages, between peers: for one that is empty, too far behind, or damaged. */

const CHUNK_BYTES = 256 * 1024;
/** After a copy the receiver comes back for the redo after the checkpoint; it is kept for it that long. */
const KEEP_LOG_MS = 60_000;

/** Serves a copy: everything stored, as of one moment, each value checked before it is sent. */
export async function* serveCopy(segment: Segment, clock: Clock): AsyncGenerator<CopySegmentChunk> {
  const { storage } = segment;
  if (storage === undefined || segment.phase !== 'READY') throw new AuroraRpcError('NOT_READY', `the segment is ${segment.phase}`);
  segment.lifecycle.copiesOut++;
  try {
    let state: SegmentState | undefined = segment.state();
    let values: StoredValue[] = [];
    let bytes = 0;
    for await (const { key, value } of storage.store.entries()) {
      try {
        openValue(key, value);
      } catch (error) {
        const page = pageOfKey(key);
        if (error instanceof StoredValueError && page !== undefined) await storage.reader.repairPage(page);
        throw new AuroraRpcError('DAMAGED', error instanceof Error ? error.message : String(error));
      }
      values.push({ key, value });
      bytes += key.length + value.length;
      if (bytes < CHUNK_BYTES) continue;
      yield { state, values };
      state = undefined;
      values = [];
      bytes = 0;
    }
    if (values.length > 0 || state !== undefined) yield { state, values };
  } finally {
    void clock.sleep(KEEP_LOG_MS).then(() => segment.lifecycle.copiesOut--);
  }
}

/**
 * Replaces this segment's pages by a peer's; redo after them is fetched afterwards. All or nothing: on failure the segment is
 * as before, and the next try starts over. Until its SCL is at or past `recoverToLsn` the segment makes no promise to an opener:
 * what it may have acknowledged before it lost its pages is in there. Gives the bytes received.
 * Throws AuroraRpcError; StoredValueError when a value fails its CRC on arrival.
 */
export async function copyFromPeer(segment: Segment, peer: Peer, recoverToLsn: bigint, clock: Clock, stop: AbortSignal): Promise<number> {
  const { disk, limits } = segment.deps;
  let bytes = 0;
  await segment.lifecycle.replace(async (directory) => {
    const store = await PageStore.open(disk, directory, {
      cacheBytes: limits.levelCacheBytes,
      writeBufferBytes: limits.levelWriteBufferBytes,
    });
    let source: SegmentState | undefined;
    try {
      const chunks = unstalled(
        (signal) => peer.client.copySegment({ segment: segment.id }, { deadlineMs: STREAM_DEADLINE_MS, signal }),
        clock,
        stop,
      );
      for await (const chunk of chunks) {
        if (source === undefined && chunk.state !== undefined) {
          source = chunk.state;
          checkMessage('SegmentState', source, 'state');
          await segment.epochs.checkCopy(source);
          const { freeBytes } = await disk.space(directory);
          if (freeBytes < Number(source.bytesUsed))
            throw new AuroraRpcError('NOT_READY', `the copy may take ${source.bytesUsed} bytes, and the disk has ${freeBytes} free`);
        }
        await store.putRaw(chunk.values);
        for (const { value } of chunk.values) bytes += value.length;
      }
      const checkpoint = await store.checkpoint();
      const state = await store.state();
      if (source === undefined || checkpoint === undefined || state === undefined)
        throw new AuroraRpcError('INVALID', `${peer.id} sent an incomplete copy`);
      if (source.phase !== 'READY') throw new AuroraRpcError('NOT_READY', `${peer.id} offers a copy of a segment that is ${source.phase}`);
      const removals = await store.removals();
      await store.setCheckpoint(checkpoint, Buffer.from(state), removals === undefined ? undefined : Buffer.from(removals));
    } finally {
      await store.close();
    }
    const { epoch, history, baseEpoch, baseLsn, systemIdentifier } = source;
    return (current) => {
      const sameBase = current.ready && current.baseEpoch === baseEpoch;
      return {
        epoch: epoch > current.epoch ? epoch : current.epoch,
        writerId: epoch > current.epoch ? '' : current.writerId,
        // Ours stays when it is the newer one: the copy was applied up to a checkpoint at or below VDL, which no history annuls.
        history: sameBase ? newestHistory([current.history, history]) : history,
        baseEpoch,
        baseLsn,
        systemIdentifier,
        recoverToLsn: sameBase && current.recoverToLsn > recoverToLsn ? current.recoverToLsn : recoverToLsn,
      };
    };
  });
  return bytes;
}
