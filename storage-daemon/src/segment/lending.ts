import type { LaneTerms } from '@kube-aurora/rpc';
import { lastEpoch } from '@kube-aurora/volume';
import type { LentLane, LentLog } from '../redo-log/lent-log.ts';
import type { Segment } from './segment.ts';

/** When a segment's log is lent to who carries its writer's stream, and who cannot wait for what is taken there to be told (lent-log.ts). */

/**
 * Lends the log to who carries the stream of the writer of `epoch`: `start` gets what that needs to know, and gives who can be asked for it
 * back. Undefined where it is not lent: whoever would have to judge a batch by more than that it is next keeps it. 'busy': once all that came is durable it can be.
 */
export function lendLog(
  segment: Segment,
  epoch: bigint,
  start: (terms: LaneTerms, lent: LentLog) => LentLane | undefined,
): LentLog | 'busy' | undefined {
  const { storage, pg, control, limits } = segment;
  const mayTakeRedo = storage !== undefined && segment.annulling === undefined && segment.unwritable === undefined && !segment.mustRecover;
  // A history that ends with the very epoch leaves standing whatever that appends.
  const isObeyed = control.epoch === epoch && lastEpoch(control.history) === epoch;
  if (!mayTakeRedo || !isObeyed || segment.queuedBytes > limits.queueBytes / 2) return undefined;
  const isFollowed = segment.followers.areWaiting;
  return storage.lend((terms, lent) => start({ ...terms, epoch, pg, isFollowed }, lent));
}

/** Someone waits for redo up to `lsn`: what has come is known when it returns, and what is still to come will be as it comes. */
export function hurryTo(segment: Segment, lsn: bigint): void {
  segment.storage?.refresh();
  if (segment.scl < lsn) segment.storage?.takeBack();
}
