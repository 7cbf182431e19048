import type { Clock } from '@kube-aurora/clock';
import type { Logger } from '@kube-aurora/process';
import type { Session } from './session/session.ts';

/**
 * A PostgreSQL that ends in order waits for its checkpoint, and for subscribers to take the last of their changes. Where a reader is there to succeed
 * it everybody else waits for that: no longer than this.
 */
const SUCCEEDED_WITHIN_MS = 3000;
/** WAL that has waited for so long waits for storage. */
const FLUSH_LATE_MS = 500;

export interface EndInOrderOptions {
  readonly session: Session;
  /** Limit of all of it. Pods have a grace period. */
  readonly quorumWaitMs: number;
  /** Lets the transactions of a writer end whose place a reader will take. True: there is such a reader. */
  readonly makeRoom: () => Promise<boolean>;
  readonly onNoQuorum: (message: string) => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Ends PostgreSQL because its agent ends: transactions first where a reader is there to take the place, then all sessions, then the last WAL becomes
 * durable. The lease is given back when PostgreSQL is dead, and with that the reader is the next writer.
 *
 * Invariant: WAL that waits for storage is waited for until `quorumWaitMs` have passed, whoever waits to succeed: without a quorum nobody could.
 */
export async function endInOrder({ session, quorumWaitMs, makeRoom, onNoQuorum, clock, logger }: EndInOrderOptions): Promise<void> {
  const late = clock.after(quorumWaitMs, () => {
    onNoQuorum('storage did not take the shutdown checkpoint in time');
    logger.error({ quorumWaitMs }, 'storage has no quorum for the shutdown checkpoint; stopping without it (nothing acknowledged is lost)');
    void session.kill();
  });
  const isSucceeded = await makeRoom();
  const succession = clock.after(SUCCEEDED_WITHIN_MS, () => {
    if (!isSucceeded || (session.writePath?.oldestFlushMs ?? 0) >= FLUSH_LATE_MS) return;
    logger.warn(
      { withinMs: SUCCEEDED_WITHIN_MS },
      'a reader waits to take the place of a PostgreSQL that does not end: it is ended without its checkpoint',
    );
    void session.kill();
  });
  await session.stop();
  succession.cancel();
  late.cancel();
}
