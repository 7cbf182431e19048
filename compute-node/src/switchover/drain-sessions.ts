import type { Clock, Timer } from '@kube-aurora/clock';
import type { Logger } from '@kube-aurora/process';
import type { DrainOutcome } from './drain-outcome.ts';
import type { TransactionAccess } from './open-transactions.ts';
import { TransactionCount } from './transaction-count.ts';

/** Between two looks: what a switchover waits for longer than it must. */
const LOOK_EVERY_MS = 15;
/** For so long sessions are not paused yet while a connection to look by is made. */
export const READY_MS = 1000;
/**
 * For so long after that time sessions stay paused, for whoever takes the place to open the volume, which ends them. When nobody does, they go on
 * then.
 */
export const HANDOVER_MS = 3000;

export interface DrainOptions {
  /** Sessions begin no transaction until then, by the clock. */
  readonly pause: (untilMs: number) => void;
  readonly access: TransactionAccess;
  readonly withinMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Lets the writer's transactions end, and none begin, before its place is taken. Sessions are paused only once somebody can look: until then
 * they go on as ever.
 *
 * Invariants:
 * - it takes no longer than READY_MS and `withinMs`, whatever PostgreSQL does or does not answer, and fails nothing: without a look all of the
 *   time is waited;
 * - the pause has an end that nobody need be there for;
 * - nothing rests on it. What was acknowledged is in the volume, and whoever opens that fences the writer, drained or not: it is
 *   the epoch that decides (docs/protocol.md).
 */
export async function drainSessions({ pause, access, withinMs, clock, logger }: DrainOptions, signal: AbortSignal): Promise<DrainOutcome> {
  const count = new TransactionCount();
  const late = new AbortController();
  const over = AbortSignal.any([signal, late.signal]);
  const isPaused = Promise.withResolvers<void>();
  let pausedAtMs: number | undefined;
  let timer: Timer | undefined;
  let isBlind = false;
  const begin = (): void => {
    if (pausedAtMs !== undefined || over.aborted) return;
    pausedAtMs = clock.now();
    pause(pausedAtMs + withinMs + HANDOVER_MS);
    timer = clock.after(withinMs, () => late.abort());
    logger.info({ withinMs }, 'the place of this writer is to be taken: sessions begin no transaction, and those under way may end');
    isPaused.resolve();
  };
  const looking = access(async (look) => {
    // Connected, and all in the caches that the next look needs.
    await look();
    begin();
    while (!over.aborted && !count.isQuiet) {
      const open = await look();
      if (over.aborted) return;
      count.note(open);
      if (!count.isQuiet) await clock.sleep(LOOK_EVERY_MS, over);
    }
  }).catch(async (error: unknown) => {
    if (over.aborted) return;
    isBlind = true;
    logger.warn({ err: error }, 'nobody can look which transactions are under way: all of the time is waited');
    begin();
    await clock.sleep(withinMs, over);
  });
  await Promise.race([isPaused.promise, clock.sleep(READY_MS, signal)]);
  begin();
  await Promise.race([looking, clock.sleep(withinMs, over)]);
  timer?.cancel();
  late.abort();
  const waitedMs = pausedAtMs === undefined ? 0 : Math.round(clock.now() - pausedAtMs);
  // Of a PostgreSQL that has ended meanwhile nobody knows what became of them.
  const transactions = signal.aborted || isBlind ? undefined : count.counted;
  logger.info({ waitedMs, ...transactions }, 'the place of this writer may be taken');
  return { waitedMs, transactions };
}
