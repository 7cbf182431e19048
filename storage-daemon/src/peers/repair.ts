import type { Logger } from '@kube-aurora/process';
import { encodeKey, type PageKey } from '@kube-aurora/redo-engine';
import { batchesIn } from '@kube-aurora/volume';
import { NoSoundCopyError } from '../pages/stored-value.ts';
import type { Segment } from '../segment/segment.ts';
import type { Peer } from './peer-set.ts';

/** Sound copies of single pages and batches, from peers. */

const CALL_MS = 10_000;

/**
 * A page as of `lsn` from the first of `sources` that can; undefined: it does not exist. Throws NoSoundCopyError when
 * none can.
 */
export async function fetchPage(
  segment: Segment,
  page: PageKey,
  lsn: bigint,
  sources: readonly Peer[],
  logger: Logger,
): Promise<Buffer | undefined> {
  const key = encodeKey(page);
  const pageBytes = segment.storage?.engine.pageBytes;
  for (const peer of sources) {
    try {
      const image = await peer.client.getPeerPage({ segment: segment.id, key, lsn }, { deadlineMs: CALL_MS });
      if (!image.key.equals(key) || (image.page.length !== 0 && image.page.length !== pageBytes)) continue;
      return image.page.length === 0 ? undefined : image.page;
    } catch (error) {
      logger.warn({ volume: segment.volumeId, peer: peer.id, err: error }, 'a peer could not give a page for a repair');
    }
  }
  throw new NoSoundCopyError();
}

/** Replaces the damaged batches around `lsn` in the stored log. True when the log reads soundly there again. */
export async function repairLog(segment: Segment, lsn: bigint, sources: readonly Peer[], logger: Logger): Promise<boolean> {
  const { storage } = segment;
  const from = storage?.boundaryBefore(lsn);
  if (storage === undefined || from === undefined) return false;
  for (const peer of sources) {
    try {
      const request = { segment: segment.id, fromLsn: from.lsn, fromEpoch: from.epoch, toLsn: lsn + 1n };
      for await (const { batches } of peer.client.fetchRedo(request, { deadlineMs: CALL_MS })) {
        for (const { header, batch } of batchesIn(batches)) {
          if (!storage.isSoundAt(header.backlink)) await storage.replaceBatch(batch);
        }
      }
      if (storage.isSoundAt(lsn)) return true;
    } catch (error) {
      logger.warn({ volume: segment.volumeId, peer: peer.id, err: error }, 'a peer could not give redo for a repair');
    }
  }
  return false;
}
