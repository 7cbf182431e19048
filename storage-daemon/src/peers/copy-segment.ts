import { AuroraRpcError, type PeerClient } from '@kube-aurora/rpc';
import type { PeerClock } from './peer-clock.ts';
import type { PeerCounters } from './peer-counters.ts';
import type { CopyTarget, PeerSegment } from './peer-segment.ts';
import { STREAM_DEADLINE_MS, unstalled } from './stalled-stream.ts';

/**
 * Takes a whole copy from one peer: its stored values as of its mark. Redo after the mark is fetched afterwards like any
 * other gap. All or nothing: a copy that fails is abandoned, and the next one starts over.
 * Throws AuroraRpcError, or StoredValueError when a value fails its CRC on arrival.
 */
export async function copyFromPeer(
  segment: PeerSegment,
  client: PeerClient,
  owesLsn: bigint,
  parts: { readonly clock: PeerClock; readonly counters: PeerCounters; readonly stop: AbortSignal },
): Promise<void> {
  let target: CopyTarget | undefined;
  let markLsn = 0n;
  const chunks = unstalled((signal) => client.copySegment({ segment: segment.id }, { deadlineMs: STREAM_DEADLINE_MS, signal }), parts.clock, parts.stop);
  try {
    for await (const chunk of chunks) {
      if (target === undefined) {
        if (chunk.state === undefined) throw new AuroraRpcError('INVALID', `${client.address}: the first chunk of a copy lacks 'state'`);
        markLsn = chunk.markLsn;
        target = await segment.beginCopy(chunk.state);
      }
      await target.put(chunk.values);
      parts.counters.receivedBytes.inc({ kind: 'copy' }, chunk.values.reduce((sum, { key, value }) => sum + key.length + value.length, 0));
    }
    if (target === undefined) throw new AuroraRpcError('INVALID', `${client.address}: the copy ended before it began`);
    await target.finish({ markLsn, owesLsn });
  } catch (error) {
    await target?.abandon();
    throw error;
  }
}
