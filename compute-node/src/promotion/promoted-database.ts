import { join } from 'node:path';
import type { Clock } from '@kube-aurora/clock';
import { formatLsn, type Lsn } from '@kube-aurora/pg-format';
import type { Logger } from '@kube-aurora/process';
import type { FlushOutcome } from '../flush-outcome.ts';
import { tellSlots } from '../failover-slots/tell-slots.ts';
import type { Permit } from '../lease/writer-lease.ts';
import type { LocalSocket } from '../postgres/local-client.ts';
import type { RolePasswords } from '../postgres/role-passwords.ts';
import type { WrittenDirectory } from '../postgres/written-directory.ts';
import type { RunningStandby } from '../reader/running-standby.ts';
import type { Database, DatabaseEvents, StartPoint, VolumeAccess } from '../session/database.ts';
import type { DrainOutcome } from '../switchover/drain-outcome.ts';
import { LocalWal } from '../write-path/local-wal.ts';
import type { WalSource } from '../write-path/wal-reader.ts';
import { freeReplay } from './free-replay.ts';

/** Until all of the volume is replayed, and again until PostgreSQL takes writes: a new one is up sooner than that. */
const STEP_WITHIN_MS = 10_000;
/** A replay that has not come on for this long waits for somebody. */
const STANDS_STILL_MS = 400;

export interface PromotedDatabaseOptions {
  readonly standby: RunningStandby;
  readonly dataDir: string;
  readonly socket: LocalSocket;
  readonly passwords: Pick<RolePasswords, 'applyAll' | 'keep'>;
  readonly directory: Pick<WrittenDirectory, 'missing' | 'made' | 'promoted'>;
  readonly epoch: bigint;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly limits?: { readonly stepWithinMs?: number; readonly standsStillMs?: number };
  /** Tests give their own. */
  readonly freeReplay?: typeof freeReplay;
}

/** The standby did not become a writer. Whoever opens the volume starts a PostgreSQL of its own on it. */
export class PromotionError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'PromotionError';
  }
}

/**
 * The volume's writer in the place of a reader: the reader's PostgreSQL, which goes on with its sessions and with all that is
 * in its buffers and its local cache.
 *
 *   prepare   what the standby lives on goes on until it has replayed everything up to X', the end of the epoch's first batch
 *   start     replies wait for the lease; the shim is told that this is the writer; PostgreSQL is promoted
 *
 * Order and rules that correctness rests on:
 * - it is promoted exactly at X', with nothing more on its way to it: all of the volume is replayed, and its own WAL begins
 *   where the volume's ends;
 * - what it replays comes from storage once it is durable, the first batch too, as with every other reader: promoted or not,
 *   it shows nothing that could be taken back;
 * - it is told to be the writer only when the session calls `start`, when the first batch, and with it the epoch, is final. Until
 *   then any WAL of its own ends it;
 * - PostgreSQL goes on on a timeline of its own. The volume has one: what it writes is given under that one's number;
 * - whatever fails or is late is the end of this PostgreSQL.
 */
export class PromotedDatabase implements Database {
  readonly #options: PromotedDatabaseOptions;
  readonly #over = new AbortController();
  /** Rejects with what has ended the promotion. */
  readonly #broken = Promise.withResolvers<never>();
  #events: DatabaseEvents | undefined;
  #isPromoted = false;
  /** PostgreSQL wants to be started again with other settings: told once it is the writer. */
  #restartWhy: string | undefined;
  #wal: LocalWal | undefined;
  /** Of the PostgreSQL that is promoted. */
  #timeline = 0;

  constructor(options: PromotedDatabaseOptions) {
    this.#options = options;
    this.#broken.promise.catch(() => undefined);
    const { server, stream } = options.standby;
    const breaks = (message: string): void => this.#broken.reject(new PromotionError(message));
    server.tell({
      onStep: () => undefined,
      onExited: (reason, message) => {
        if (this.#isPromoted) this.#events?.onExited(reason, message);
        else breaks(message);
      },
      onHung: (message) => {
        if (this.#isPromoted) this.#events?.onHung(message);
        else breaks(message);
      },
      onRestartWanted: (why) => {
        if (this.#isPromoted) this.#events?.onRestartWanted(why);
        else this.#restartWhy = why;
      },
    });
    stream.belongTo({
      onLost: (message) => breaks(`the standby cannot be given the last of the volume's redo: ${message}`),
      // A standby that has less stops by itself where it matters, and is late then.
      onLimits: () => undefined,
    });
  }

  get pid(): number | undefined {
    return this.#options.standby.server.pid;
  }

  answers(): Promise<boolean> {
    return this.#options.standby.server.answers();
  }

  /** Resolves when the standby has replayed everything up to X', which it gets when that is durable. */
  async prepare({ image, first }: StartPoint, signal: AbortSignal, durable: Promise<FlushOutcome>): Promise<WalSource> {
    const { dataDir, standby } = this.#options;
    const { timeline } = image.state.control.checkPointCopy;
    standby.server.hastenReplay();
    // Everything up to X is: the volume was opened there.
    standby.stream.hasten(first.startLsn);
    void durable.then(({ kind }) => {
      if (kind === 'durable') standby.stream.hasten(first.endLsn);
    });
    await this.#within(`replay everything up to ${formatLsn(first.endLsn)}`, this.#replays(first.endLsn, signal));
    // The first that is free: there was never a promotion in this data directory.
    this.#timeline = timeline + 1;
    this.#wal = new LocalWal(join(dataDir, 'pg_wal'), this.#timeline, timeline);
    return this.#wal;
  }

  async start({ first }: StartPoint, volume: VolumeAccess, events: DatabaseEvents): Promise<void> {
    const { standby, passwords, dataDir, directory, epoch, clock, logger } = this.#options;
    const { server, stream } = standby;
    // Reads that wait were asked for by sessions that stay.
    stream.stop('goOn');
    const { givenLsn, replay } = stream;
    if (givenLsn !== first.endLsn || replay.replayLsn !== first.endLsn)
      throw new PromotionError(
        `the standby was given redo up to ${formatLsn(givenLsn)}, the first batch ends at ${formatLsn(first.endLsn)}`,
      );
    events.onStep('postgres');
    const startedAt = clock.now();
    const onReady = async (socket: LocalSocket, over: AbortSignal): Promise<void> => {
      logger.info({ promotedMs: Math.round(clock.now() - startedAt), pid: this.pid }, 'PostgreSQL was promoted');
      events.onStep('roles');
      await passwords.applyAll(socket);
      void passwords.keep(socket, over);
      void tellSlots({ socket, dataDir, directory, isPromoted: true, clock, logger }, over);
    };
    await this.#within('take writes', server.promote({ startLsn: first.endLsn, onReady }, volume));
    this.#events = events;
    this.#isPromoted = true;
    directory.promoted({ epoch, lsn: first.endLsn, timeline: this.#timeline });
    await stream.close();
    if (this.#restartWhy !== undefined) events.onRestartWanted(this.#restartWhy);
  }

  permit(permit: Permit): void {
    this.#options.standby.server.permit(permit);
  }

  drain(withinMs: number): Promise<DrainOutcome> {
    return this.#options.standby.server.drain(withinMs);
  }

  shutDown(): Promise<void> {
    this.#over.abort();
    return this.#options.standby.server.shutDown();
  }

  async kill(): Promise<void> {
    const { server, stream } = this.#options.standby;
    this.#over.abort();
    stream.stop('end');
    await server.kill();
    await stream.close();
    this.#wal?.close();
  }

  /** Resolves too when it is given up. */
  async #replays(lsn: Lsn, signal: AbortSignal): Promise<void> {
    const { standby, socket, clock, logger, limits } = this.#options;
    const { stream } = standby;
    const done = new AbortController();
    const over = AbortSignal.any([signal, this.#over.signal, done.signal]);
    const reached = stream.reaches(lsn).then(() => done.abort());
    for (let before = stream.replay.replayLsn; !over.aborted;) {
      // It says so while the next look is waited for.
      stream.ask();
      await clock.sleep(limits?.standsStillMs ?? STANDS_STILL_MS, over);
      const { replayLsn } = stream.replay;
      const standsStill = replayLsn === before && replayLsn < stream.givenLsn;
      before = replayLsn;
      if (over.aborted || !standsStill) continue;
      try {
        const ended = await (this.#options.freeReplay ?? freeReplay)(socket);
        logger.warn({ ended, replayLsn: formatLsn(replayLsn as Lsn) }, 'replay stood still: queries that may be in its way were ended');
      } catch (error) {
        logger.warn({ err: error }, 'replay stands still, and nobody could look why');
      }
    }
    if (done.signal.aborted) await reached;
  }

  /** Rejects when PostgreSQL breaks first, or takes too long. */
  async #within(what: string, work: Promise<void>): Promise<void> {
    const { clock, limits } = this.#options;
    const withinMs = limits?.stepWithinMs ?? STEP_WITHIN_MS;
    const late = clock.after(withinMs, () =>
      this.#broken.reject(new PromotionError(`the standby that is promoted did not ${what} within ${withinMs / 1000} s`)),
    );
    try {
      await Promise.race([work, this.#broken.promise]);
    } finally {
      late.cancel();
    }
  }
}
