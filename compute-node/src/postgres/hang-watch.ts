import type { Clock } from '@kube-aurora/clock';
import type { Logger } from '@kube-aurora/process';

const LOOK_EVERY_MS = 5000;
/** So long one look waits for a byte. */
const LOOK_WAITS_MS = 5000;
/** Looks in a row, each without a byte, after which PostgreSQL counts as hung: a minute. */
export const SILENT_LOOKS = 6;

export interface HangWatchOptions {
  /** Asks PostgreSQL's postmaster for a sign of life; false when there was none in time. */
  readonly greets: (withinMs: number) => Promise<boolean>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/**
 * Resolves with true when PostgreSQL has hung for a minute, with false when aborted.
 *
 * Looks are counted, not time: after the agent itself was stopped or the machine slept, time has passed and nobody has
 * looked. A PostgreSQL that waits for storage is not hung: its postmaster reads no page.
 */
export async function watchForHang({ greets, clock, logger, signal }: HangWatchOptions): Promise<boolean> {
  let silent = 0;
  for (;;) {
    await clock.sleep(LOOK_EVERY_MS, signal);
    if (signal.aborted) return false;
    const alive = await greets(LOOK_WAITS_MS);
    if (signal.aborted) return false;
    if (!alive && silent === 0)
      logger.warn('PostgreSQL says nothing to new connections; it is killed and started again if that lasts for a minute');
    silent = alive ? 0 : silent + 1;
    if (silent >= SILENT_LOOKS) return true;
  }
}
