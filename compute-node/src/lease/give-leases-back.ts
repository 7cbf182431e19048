import type { Clock } from '@kube-aurora/clock';
import type { Logger } from '@kube-aurora/process';
import { fromServiceError, type SegmentId } from '@kube-aurora/rpc';
import type { LeaseHolder } from '@kube-aurora/volume';
import { quorumsOf, type SegmentEndpoint } from '../segments.ts';

/** How long anybody waits for storage to hear that leases need not be waited for. */
const WITHIN_MS = 500;

export interface GiveBackOptions {
  readonly segments: readonly SegmentEndpoint[];
  readonly segment: SegmentId;
  /** Their PostgreSQLs are dead. */
  readonly leases: readonly LeaseHolder[];
  /** Whoever had them opens the volume anew at once: no reader need take its place. */
  readonly reopens: boolean;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Tells every segment that these leases are over. Resolves when a write quorum has heard of all of them, or soon: whoever asks
 * a promise quorum then hears it from one at least, which is enough.
 */
export async function giveLeasesBack(options: GiveBackOptions): Promise<void> {
  const { segments, segment, leases, reopens, clock, logger } = options;
  if (leases.length === 0) return;
  const quorums = quorumsOf(segments);
  const heard: number[] = [];
  const { promise: enough, resolve } = Promise.withResolvers<void>();
  const said = segments.map(async ({ id, client }, index) => {
    try {
      await Promise.all(
        leases.map(({ epoch, writerId }) => client.giveBackLease({ segment, epoch, writerId, reopens }, { deadlineMs: WITHIN_MS })),
      );
      heard.push(index);
      if (quorums.isWrite(quorums.rolesAt(heard))) resolve();
    } catch (error) {
      // Whoever comes next waits for what this one thinks live, unless another says that it is not.
      logger.debug({ segment: id, reason: fromServiceError(error, id).message }, 'segment did not take a lease back');
    }
  });
  await Promise.race([enough, Promise.all(said), clock.sleep(WITHIN_MS)]);
}
