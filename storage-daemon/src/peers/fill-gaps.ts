import type { Clock } from '@kube-aurora/clock';
import { AuroraRpcError } from '@kube-aurora/rpc';
import { batchesIn } from '@kube-aurora/volume';
import type { Segment } from '../segment/segment.ts';
import type { Peer } from './peer-set.ts';
import { STREAM_DEADLINE_MS, unstalled } from './stalled-stream.ts';

/** How long the disk may take to work off what was fetched before it counts as stuck. */
const QUEUE_WAIT_MS = 60_000;

/**
 * Redo that is missing, from one peer: from the end of our log to its SCL at the time. What waits for the disk is
 * bounded; gRPC's flow control holds the sender back meanwhile. Gives the bytes received, durable or already there when
 * it resolves; of a segment that turns out to be damaged meanwhile, what it had received by then.
 *
 * Invariant: the batch that ends at our log's end is the peer's too (`fromEpoch`, Raft's prevLogTerm), and `append`
 * takes only what counts under our own history; so the log stays a prefix of the volume's. Throws AuroraRpcError,
 * RedoBatchError; what was stored until then stays, it is as good as any redo.
 */
export async function fetchMissingRedo(segment: Segment, peer: Peer, clock: Clock, stop: AbortSignal): Promise<number> {
  const { storage } = segment;
  if (storage === undefined) return 0;
  // What a writer's thread has appended meanwhile need not come again.
  storage.takeBack();
  const { lsn, epoch } = storage.tail;
  const request = { segment: segment.id, fromLsn: lsn, fromEpoch: epoch, toLsn: 0n };
  let bytes = 0;
  for await (const { batches } of unstalled(
    (signal) => peer.client.fetchRedo(request, { deadlineMs: STREAM_DEADLINE_MS, signal }),
    clock,
    stop,
  )) {
    for (const { header, batch } of batchesIn(batches)) {
      while (segment.annulling !== undefined) await segment.annulling;
      const outcome = segment.append(header, batch);
      if (outcome === 'unwritable') throw new AuroraRpcError('NOT_READY', segment.unwritable ?? '');
      if (outcome === 'gap') {
        throw new AuroraRpcError('INVALID', `${peer.id}: redo is missing before ${header.backlink}`);
      }
    }
    bytes += batches.length;
    const hasRoom = (): boolean => segment.queuedBytes < segment.limits.queueBytes;
    await segment.until(() => segment.damage !== undefined || hasRoom(), clock.now() + QUEUE_WAIT_MS);
    // Nothing that waits is worked off any more: only a copy helps, and who would make it waits for this.
    if (segment.damage !== undefined) break;
    if (!hasRoom()) throw new AuroraRpcError('NOT_READY', `no redo was worked off for ${QUEUE_WAIT_MS} ms`);
  }
  if (segment.damage !== undefined) return bytes;
  await segment.storage?.flushed();
  return bytes;
}
