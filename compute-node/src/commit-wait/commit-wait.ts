import type { Clock } from '@kube-aurora/clock';
import type { Logger } from '@kube-aurora/process';
import type { Client } from 'pg';
import { connectSuperuser, letGo, type LocalSocket } from '../postgres/local-client.ts';
import { quietSession } from '../postgres/quiet-session.ts';
import type { RunningPostgres } from '../postgres/supervise.ts';
import type { WritePath } from '../write-path/write-path.ts';
import { chooseCommitWait, type CommitWait, type QuorumDistance } from './choose-commit-wait.ts';
import { COMMIT_STANDBY, CommitStandby } from './commit-standby.ts';
import { doCommitsWait } from './proven-wait.ts';

/** How often the way to the quorum is looked at. */
const LOOK_MS = 1000;
/** After it could not be had, or was lost. */
const RETRY_MS = 30_000;
/** PostgreSQL reads settings when it is signalled: at once, but for a checkpoint that is writing. */
const SETTINGS_READ_WITHIN_MS = 5000;
const SETTINGS_LOOK_MS = 10;
/** An end waits for so long for what is on its way to a quorum. */
const LAST_WORDS_MS = 500;
const STATEMENT_MS = 10_000;

/** When a writer's flushes return, and how far they and durability have come. */
export type FlushControl = Pick<WritePath, 'watch' | 'returnFlushes' | 'quickestFlushMs' | 'timed' | 'promisedLsn' | 'durable'>;

export interface CommitWaitOptions {
  readonly socket: LocalSocket;
  readonly flushes: FlushControl;
  readonly server: Pick<RunningPostgres, 'walIs' | 'waitForStandby'>;
  /** Milliseconds so far for which this agent was ready to run and had no core. */
  readonly coreWait: () => number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Has sessions that commit wait for the quorum by themselves while the way to it is long (docs/decisions/0031-wait-after-the-flush.md),
 * until `signal` aborts. Never rejects: without it commits wait in the flush, which is slower and as safe.
 *
 * Order that safety rests on (native/promise.c says what the shim adds):
 * - flushes return before their quorum only once it is proven that sessions wait for the standby, which says of nothing that it is
 *   durable before a quorum holds it;
 * - before PostgreSQL is told to wait for the standby no more, flushes wait for their quorum again, and all that they had
 *   returned for is durable;
 * - how far flushes are promised stands in the shim's file before any of them returns, and how far they are durable before the
 *   standby says so.
 */
export async function keepCommitsShort(options: CommitWaitOptions, signal: AbortSignal): Promise<void> {
  const { clock, logger } = options;
  const look = lookAt(options);
  let said = '';
  while (!signal.aborted) {
    let pauseMs = LOOK_MS;
    if (chooseCommitWait('flush', look()) === 'session') {
      try {
        await whileFar(options, look, signal);
        said = '';
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        if (reason !== said && !signal.aborted)
          logger.warn({ reason }, 'commits wait for the quorum one after another: sessions could not be made to wait by themselves');
        said = reason;
        pauseMs = RETRY_MS;
      }
    }
    await clock.sleep(pauseMs, signal);
  }
}

/** How far the quorum is, and what flushes have been like since it was looked at last. */
function lookAt({ flushes, coreWait, clock }: CommitWaitOptions): () => QuorumDistance {
  const read = (): { flushes: number; flushMs: number; waitedMs: number; atMs: number } => ({
    ...flushes.timed,
    waitedMs: coreWait(),
    atMs: clock.now(),
  });
  let before = read();
  return () => {
    const now = read();
    const coreWaitMs = (now.waitedMs - before.waitedMs) / Math.max(1, now.flushes - before.flushes);
    const busyShare = (now.flushMs - before.flushMs) / Math.max(1, now.atMs - before.atMs);
    before = now;
    return { quickestFlushMs: flushes.quickestFlushMs, coreWaitMs, busyShare };
  };
}

/** Resolves when the way is short again. Throws when it cannot be, or is over for another reason. Commits wait in the flush then. */
async function whileFar(options: CommitWaitOptions, look: () => QuorumDistance, signal: AbortSignal): Promise<void> {
  const { socket, flushes, server, clock, logger } = options;
  const sessions: Client[] = [];
  const session = async (): Promise<Client> => {
    const client = await connectSuperuser(socket, { settings: [...quietSession(STATEMENT_MS), 'synchronous_commit=on'] });
    sessions.push(client);
    return client;
  };
  let standby: CommitStandby | undefined;
  try {
    const looking = await session();
    const committing = await session();
    const quorum = await CommitStandby.connect(socket, clock);
    standby = quorum;
    flushes.watch((points) => {
      // In this order: a session whose wait is over may tell its client at once.
      server.walIs(points);
      quorum.reports(points.durableLsn);
    });
    server.waitForStandby(COMMIT_STANDBY);
    const proof = { committing, looking, standby: quorum, clock };
    await until(async () => (await doCommitsWait(proof, signal)) === true, clock, 'PostgreSQL does not have commits wait for its standby');
    let wait: CommitWait = 'session';
    flushes.returnFlushes('sent');
    logger.info({ quickestFlushMs: flushes.quickestFlushMs }, 'the quorum is far: each commit waits for it by itself, many at a time');
    while (!signal.aborted && !quorum.isLost && wait === 'session') {
      await clock.sleep(LOOK_MS, signal);
      wait = chooseCommitWait(wait, look());
    }
    await takeBack(options, signal);
    if (signal.aborted) return;
    if (quorum.isLost) throw new Error('PostgreSQL ended the connection that stands for the quorum');
    await until(
      async () => (await doCommitsWait(proof, signal)) === false,
      clock,
      'PostgreSQL goes on having commits wait for its standby',
    );
    logger.info({ quickestFlushMs: flushes.quickestFlushMs }, 'the quorum is near: commits wait for it in their flush');
  } catch (error) {
    await takeBack(options, signal);
    throw error;
  } finally {
    // Whoever is held back still hears of it: at an end, for one.
    flushes.watch((points) => server.walIs(points));
    standby?.close();
    for (const client of sessions) letGo(client);
  }
}

/**
 * Flushes wait for their quorum again, and once all that they had returned for is durable sessions wait for the standby no more. Where
 * everything ends before that they wait to the end.
 */
async function takeBack({ flushes, server, clock }: CommitWaitOptions, signal: AbortSignal): Promise<void> {
  flushes.returnFlushes('durable');
  const durable = flushes.durable(flushes.promisedLsn).then(({ kind }) => kind === 'durable');
  const over = new Promise<boolean>((resolve) => {
    const late = (): void => void clock.sleep(LAST_WORDS_MS).then(() => resolve(false));
    if (signal.aborted) late();
    else signal.addEventListener('abort', late, { once: true });
  });
  if (await Promise.race([durable, over])) server.waitForStandby(undefined);
}

async function until(holds: () => Promise<boolean>, clock: Clock, otherwise: string): Promise<void> {
  const end = clock.now() + SETTINGS_READ_WITHIN_MS;
  while (!(await holds())) {
    if (clock.now() > end) throw new Error(otherwise);
    await clock.sleep(SETTINGS_LOOK_MS);
  }
}
