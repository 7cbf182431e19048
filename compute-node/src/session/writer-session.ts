import type { Clock } from '@kube-aurora/clock';
import { formatLsn } from '@kube-aurora/pg-format';
import type { Logger } from '@kube-aurora/process';
import { AuroraRpcError } from '@kube-aurora/rpc';
import type { ComputeImage } from '../open/fetch-image.ts';
import { findLeftovers } from '../open/dropped-leftovers.ts';
import { makeFirstBatch } from '../open/first-batch.ts';
import type { OpenedVolume } from '../open/open-volume.ts';
import type { OpeningStep } from '../open/opening-steps.ts';
import type { LeaseView } from '../lease/writer-lease.ts';
import type { VolumeView } from '../read-path/volume-view.ts';
import type { DrainOutcome } from '../switchover/drain-outcome.ts';
import type { Database, StartFailure, StartPoint } from './database.ts';
import type { Session, SessionEnd } from './session.ts';
import { SessionMachine, type SessionEvent } from './session-machine.ts';
import type { SessionState } from './session-outcome.ts';
import { SESSION_TABLE, type WriterEventKind } from './session-table.ts';
import type { VolumeDriver, VolumeDriverEvents, WriteCounters } from './volume-driver.ts';

/** After this an ordered restart becomes one without a shutdown checkpoint: nothing acknowledged is lost by it. */
const RESTART_WITHIN_MS = 60_000;

export interface WriterSessionOptions {
  readonly opened: OpenedVolume;
  readonly driver: (events: VolumeDriverEvents) => VolumeDriver;
  /** The volume at X. */
  readonly fetchImage: (signal: AbortSignal) => Promise<ComputeImage>;
  readonly database: Database;
  /** Told as each step of the opening begins. */
  readonly onStep: (step: OpeningStep) => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A step of the start failed. The reason is for the status; nothing but the session's end follows from it. */
class StartError extends Error {
  readonly reason: StartFailure;
  constructor(reason: StartFailure, cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.name = 'StartError';
    this.reason = reason;
  }
}

/**
 * One epoch of ours, from an opened volume to the end of its database: image → leftovers → first batch → data directory
 * → database → tear-down. session-table.ts says what each event does.
 *
 * Order that safety rests on:
 * - the epoch's first batch, which makes the open final, is durable on a write quorum before anything of the database
 *   runs;
 * - from a session's end on no flush is acknowledged, and the end is told only when the database is dead: whoever opens the
 *   volume next finds nobody who could still show or be told something of this epoch;
 * - it is ready, and its clients hear anything, only under a lease, which is given back only when the database is dead.
 */
export class WriterSession implements Session {
  readonly replay = undefined;
  readonly #options: WriterSessionOptions;
  readonly #driver: VolumeDriver;
  readonly #machine: SessionMachine<WriterEventKind>;
  /** Milliseconds from the start until each step began. */
  readonly #begun: Partial<Record<OpeningStep, number>> = {};

  constructor(options: WriterSessionOptions) {
    this.#options = options;
    const { database, clock, logger } = options;
    this.#machine = new SessionMachine({
      name: 'a session',
      table: SESSION_TABLE,
      database,
      shutDownWithinMs: RESTART_WITHIN_MS,
      onStep: options.onStep,
      noteRestart: (why) => logger.info({ why }, 'PostgreSQL restarts'),
      failure: (error) => this.#failure(error),
      refuse: (end) => this.#refuse(end),
      release: (end) => this.#release(end),
      clock,
    });
    this.#driver = options.driver({
      onFenced: (message) => this.report({ kind: 'fenced', message }),
      onDamagedWal: (error) => {
        logger.error({ err: error }, 'local WAL is not what PostgreSQL said it wrote; opening the volume anew');
        this.report({ kind: 'damaged', message: error.message });
      },
      onPermit: (permit) => database.permit(permit),
    });
  }

  /** Settles once, when this epoch is over; the database is dead by then. */
  get ended(): Promise<SessionEnd> {
    return this.#machine.ended;
  }
  get state(): SessionState {
    return this.#machine.state;
  }
  get ready(): boolean {
    return this.#machine.ready;
  }
  get volume(): VolumeView {
    return this.#driver.writePath;
  }
  get writePath(): WriteCounters {
    return this.#driver.writePath;
  }
  get lease(): LeaseView {
    return this.#driver.lease;
  }
  get postgresPid(): number | undefined {
    return this.#options.database.pid;
  }

  drain(withinMs: number): Promise<DrainOutcome> {
    return this.#options.database.drain(withinMs);
  }

  answers(): Promise<boolean> {
    return this.#machine.answers();
  }

  /** Brings the database up on the opened volume. Never rejects: failures end the session. */
  start(): Promise<void> {
    return this.#machine.start(() => this.#start());
  }

  /**
   * Fast shutdown: sessions end, the last WAL becomes durable, then everything closes. Waits for a quorum if it must.
   */
  stop(): Promise<void> {
    return this.#machine.stop();
  }

  kill(): Promise<void> {
    return this.#machine.kill();
  }

  report(event: SessionEvent<WriterEventKind>): void {
    this.#machine.report(event);
  }

  async #start(): Promise<void> {
    const { opened, database, clock, logger } = this.#options;
    const { writePath, pageReader, pageSource, lease } = this.#driver;
    const machine = this.#machine;
    const { signal } = machine;
    const startedAt = clock.now();
    const elapsedMs = (): number => Math.round(clock.now() - startedAt);
    const onStep = (step: OpeningStep): void => {
      this.#begun[step] = elapsedMs();
      machine.step(step);
    };
    // The streams' hellos tell the segments that X is durable, which lets them apply up to it.
    writePath.start();
    // Earlier writers' leases run out meanwhile.
    lease.start();
    onStep('image');
    const image = await this.#readVolume(() => this.#options.fetchImage(signal));
    if (!machine.is('opening')) return;
    onStep('directory');
    const leftovers = await this.#readVolume(() =>
      findLeftovers(image, async (range) => Buffer.concat(await pageReader.read(range, opened.startLsn)), logger),
    );
    if (!machine.is('opening')) return;
    const first = makeFirstBatch(image.state, image.slruPages, clock.wallTime(), leftovers);
    const start: StartPoint = { image, first };
    const durable = writePath.appendFirst(first.records);
    const wal = await database.prepare(start, signal, durable);
    if (!machine.is('opening')) return;
    onStep('firstBatch');
    // Anything else has ended the session, which knows why.
    if ((await durable).kind !== 'durable') return;
    this.report({ kind: 'firstBatchDurable' });
    if (!machine.is('starting')) return;
    writePath.follow(wal, first.checkpointLsn, image.state.control.systemIdentifier);
    await database.start(
      start,
      {
        wrote: (writtenLsn) => writePath.wrote(writtenLsn),
        flush: (writtenLsn) => writePath.flush(writtenLsn),
        flushes: writePath,
        readPages: async (request, over) => {
          // A flush that has returned need not be durable. Whatever ends the wait otherwise ends the source as well.
          if (request.lsn > writePath.vdl) await writePath.durable(request.lsn);
          return pageSource.read(request, over);
        },
        pagesAlong: (request) => pageSource.along(request),
        expectPages: (request) => {
          if (request.lsn <= writePath.vdl) pageSource.expect(request);
        },
        runningLsn: () => writePath.runningLsn,
        standbyXmins: () => lease.standbyXmins,
      },
      machine.databaseEvents(onStep),
    );
    if (machine.is('starting')) onStep('lease');
    if (!(await lease.held)) return;
    this.report({ kind: 'ready' });
    if (!this.ready) return;
    const { directory: imageMs, firstBatch: directoryMs, postgres: spawnedMs, roles: answersMs } = this.#begun;
    const times = { imageMs, directoryMs, spawnedMs, answersMs, readyMs: elapsedMs() };
    const { epoch, startLsn } = opened;
    logger.info({ epoch, startLsn: formatLsn(startLsn), pid: database.pid, ...times }, 'PostgreSQL is up');
  }

  async #readVolume<T>(read: () => Promise<T>): Promise<T> {
    try {
      return await read();
    } catch (error) {
      throw new StartError('imageFailed', error);
    }
  }

  /** Segments that know a later writer fence this one; nothing but the session's end follows from anything else. */
  #failure(error: unknown): SessionEvent<WriterEventKind> {
    if (this.#machine.isComingUp) this.#options.logger.error({ err: error }, 'could not start on the opened volume');
    const message = error instanceof Error ? error.message : String(error);
    const cause = error instanceof StartError ? error.cause : error;
    if (cause instanceof AuroraRpcError && cause.code === 'FENCED') return { kind: 'fenced', message };
    return { kind: 'failed', message, reason: error instanceof StartError ? error.reason : 'postgresFailed' };
  }

  /** Before the database is killed: no flush is acknowledged from here on. */
  #refuse(end: SessionEnd): void {
    const { opened, logger } = this.#options;
    if (end.kind === 'fenced') logger.error({ epoch: opened.epoch, reason: end.message }, 'another writer owns the volume');
    else if (end.kind === 'failed' || end.kind === 'damaged')
      logger.error({ epoch: opened.epoch, reason: end.message }, 'PostgreSQL is lost');
    // Every flush that waits hears that it is over, and why.
    this.#driver.writePath.stop();
    this.#driver.pageReader.stop();
    this.#driver.pageSource.stop();
    this.#driver.lease.stop();
  }

  /** Only when the database is dead. */
  #release(end: SessionEnd): Promise<void> | undefined {
    const givenBack = this.#driver.lease.giveBack(end.kind === 'restarting');
    // Whoever ends may be gone before storage has heard of it, and whoever is lost asks storage next who takes its place. We
    // ourselves need not wait for a lease of our own.
    return end.kind === 'restarting' ? undefined : givenBack;
  }
}
