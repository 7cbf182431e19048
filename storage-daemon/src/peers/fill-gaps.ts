import type { PeerClient } from '@kube-aurora/rpc';
import type { PeerClock } from './peer-clock.ts';
import type { PeerCounters } from './peer-counters.ts';
import type { PeerSegment } from './peer-segment.ts';
import { STREAM_DEADLINE_MS, unstalled } from './stalled-stream.ts';

/**
 * Redo that is missing, from one peer: from our SCL to its SCL at the time, or past `toLsn`, chunk by chunk, each on disk
 * before the next is asked for (gRPC's flow control holds the sender back). Gives whether SCL moved.
 *
 * Invariant: the batch that ends at our SCL is the peer's too (`fromEpoch`, Raft's prevLogTerm), and the segment stores
 * only what counts under its own history; so its log stays a prefix of the volume's.
 * Throws AuroraRpcError; what was stored until then stays, it is as good as any redo.
 */
export async function fetchMissingRedo(
  segment: PeerSegment,
  client: PeerClient,
  toLsn: bigint,
  parts: { readonly clock: PeerClock; readonly counters: PeerCounters; readonly stop: AbortSignal },
): Promise<boolean> {
  const { scl, lastBatchEpoch } = segment.state();
  const request = { segment: segment.id, fromLsn: scl, fromEpoch: lastBatchEpoch, toLsn };
  const chunks = unstalled((signal) => client.fetchRedo(request, { deadlineMs: STREAM_DEADLINE_MS, signal }), parts.clock, parts.stop);
  for await (const { batches } of chunks) {
    await segment.appendFromPeer(batches);
    parts.counters.receivedBytes.inc({ kind: 'redo' }, batches.length);
  }
  return segment.state().scl > scl;
}
