import type { Logger } from '@kube-aurora/process';
import { AuroraRpcError, type SegmentState } from '@kube-aurora/rpc';
import { checkRedoBatch, RedoBatchError } from '@kube-aurora/volume';
import type { Segment } from '../segment/segment.ts';
import type { Peer } from './peer-set.ts';

/** Pulls redo that this segment misses from one peer after another. */

const FETCH_MS = 30_000;

export type FillOutcome = 'caught-up' | 'too-old' | 'failed';

/**
 * Fetches from `sources` (best first) until none has more. 'too-old' when the only peers with more have dropped the redo
 * that would come next: then only a copy of the whole segment helps.
 */
export async function fillFromPeers(
  segment: Segment,
  sources: () => { peer: Peer; state: SegmentState }[],
  logger: Logger,
  onFetched: (bytes: number) => void,
): Promise<FillOutcome> {
  let tooOld = 0;
  let failed = 0;
  for (const { peer, state } of sources()) {
    if (segment.content === undefined) return 'failed';
    if (state.scl <= segment.scl || state.phase === 'EMPTY' || state.phase === 'IMPORTING') continue;
    try {
      // The sender's history first, so that nothing it annulled already gets in here.
      await segment.takeHistory(state.history);
      const before = segment.scl;
      const bytes = await fetchFrom(segment, peer);
      onFetched(bytes);
      if (bytes > 0) logger.info({ volume: segment.volumeId, peer: peer.id, bytes, from: before, to: segment.scl }, 'fetched missing redo');
    } catch (error) {
      if (error instanceof AuroraRpcError && error.code === 'TOO_OLD') tooOld++;
      else {
        failed++;
        logger.warn({ volume: segment.volumeId, peer: peer.id, err: error }, 'could not fetch redo');
      }
    }
  }
  if (tooOld > 0 && sources().every(({ state }) => state.scl <= segment.scl || state.logStartLsn > segment.scl)) return 'too-old';
  return failed > 0 || tooOld > 0 ? 'failed' : 'caught-up';
}

async function fetchFrom(segment: Segment, peer: Peer): Promise<number> {
  const { content } = segment;
  if (content === undefined) return 0;
  const { lsn, epoch } = content.log.tail;
  let bytes = 0;
  for await (const { batches } of peer.client.fetchRedo({ segment: segment.id, fromLsn: lsn, fromEpoch: epoch, toLsn: 0n }, { deadlineMs: FETCH_MS })) {
    bytes += batches.length;
    for (let at = 0; at < batches.length; ) {
      await segment.settling;
      const header = checkRedoBatch(batches, at);
      const batch = batches.subarray(at, at + header.totalBytes);
      if (segment.append(header, batch) === 'gap') throw new RedoBatchError('backlink', `peer ${peer.id} left out redo before ${header.backlink}`);
      at += header.totalBytes;
    }
    await segment.wait(() => segment.queuedBytes < segment.deps.limits.queueBytes, Date.now() + FETCH_MS);
  }
  await segment.content?.log.flushed();
  return bytes;
}
