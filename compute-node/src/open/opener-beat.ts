import type { Clock } from '@kube-aurora/clock';
import type { Logger } from '@kube-aurora/process';
import { fromServiceError } from '@kube-aurora/rpc';
import type { SegmentEndpoint, WriterIdentity } from '../segments.ts';

/** A few in the silence after which a writer counts as gone. */
const BEAT_MS = 400;
const DEADLINE_MS = 1000;

export interface OpenerBeatOptions {
  readonly segments: readonly SegmentEndpoint[];
  readonly identity: WriterIdentity;
  /** Promised to us by a promise quorum. */
  readonly epoch: bigint;
  /** As in the promise. */
  readonly leaseMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Has storage hear an opener that writes nothing yet, and has no lease yet, until what this gives is called: otherwise readers
 * would take it for a writer that is gone. It asks for the promise that it has: the same writer may repeat itself, and
 * whoever has promised a later one meanwhile refuses.
 */
export function keepHeard({ segments, identity, epoch, leaseMs, clock, logger }: OpenerBeatOptions): () => void {
  const over = new AbortController();
  const { signal } = over;
  const { segment, writerId } = identity;
  const keep = async ({ id, role, client }: SegmentEndpoint): Promise<void> => {
    for (await clock.sleep(BEAT_MS, signal); !signal.aborted; await clock.sleep(BEAT_MS, signal)) {
      try {
        await client.openEpoch({ segment, epoch, writerId, role, leaseMs }, { deadlineMs: DEADLINE_MS, signal });
      } catch (error) {
        if (!signal.aborted) logger.debug({ segment: id, reason: fromServiceError(error, id).message }, 'segment did not hear the opener');
      }
    }
  };
  for (const endpoint of segments) void keep(endpoint);
  return () => over.abort();
}
