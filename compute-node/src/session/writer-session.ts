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
import type { Database, StartFailure, StartPoint } from './database.ts';
import type { Session, SessionEnd } from './session.ts';
import { SESSION_TABLE, type SessionEndKind, type SessionEventKind, type SessionState } from './session-table.ts';
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

interface SessionEvent {
  readonly kind: SessionEventKind;
  readonly message?: string;
  readonly reason?: StartFailure;
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
  /** Settles once, when this epoch is over; the database is dead by then. */
  readonly ended: Promise<SessionEnd>;
  readonly replay = undefined;
  readonly #options: WriterSessionOptions;
  readonly #driver: VolumeDriver;
  readonly #end: (end: SessionEnd) => void;
  readonly #cancel = new AbortController();
  #state: SessionState = 'opening';
  #ending: Promise<void> | undefined;
  #shuttingDown: Promise<void> | undefined;
  #restartWhy = '';
  /** Milliseconds from the start until each step began. */
  readonly #begun: Partial<Record<OpeningStep, number>> = {};
  #asking: Promise<boolean> | undefined;

  constructor(options: WriterSessionOptions) {
    this.#options = options;
    const { promise, resolve } = Promise.withResolvers<SessionEnd>();
    this.ended = promise;
    this.#end = resolve;
    const { logger } = options;
    this.#driver = options.driver({
      onFenced: (message) => this.report({ kind: 'fenced', message }),
      onDamagedWal: (error) => {
        logger.error({ err: error }, 'local WAL is not what PostgreSQL said it wrote; opening the volume anew');
        this.report({ kind: 'damaged', message: error.message });
      },
      onPermit: (permit) => options.database.permit(permit),
    });
  }

  get state(): SessionState {
    return this.#state;
  }
  get ready(): boolean {
    return this.#is('running');
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

  /** Does the database take connections? Asks it, for a bounded time; whoever asks meanwhile shares the answer. */
  answers(): Promise<boolean> {
    if (!this.ready) return Promise.resolve(false);
    this.#asking ??= this.#options.database.answers().then((answers) => {
      this.#asking = undefined;
      return answers && this.ready;
    });
    return this.#asking;
  }

  /** Brings the database up on the opened volume. Never rejects: failures end the session. */
  async start(): Promise<void> {
    try {
      await this.#start();
    } catch (error) {
      if (this.#is('opening') || this.#is('starting')) this.#options.logger.error({ err: error }, 'could not start on the opened volume');
      const message = error instanceof Error ? error.message : String(error);
      const cause = error instanceof StartError ? error.cause : error;
      if (cause instanceof AuroraRpcError && cause.code === 'FENCED') this.report({ kind: 'fenced', message });
      else this.report({ kind: 'failed', message, reason: error instanceof StartError ? error.reason : 'postgresFailed' });
    }
    // Whoever waits for a start that failed finds the session over.
    await this.#ending;
  }

  /**
   * Fast shutdown: sessions end, the last WAL becomes durable, then everything closes. Waits for a quorum if it must.
   */
  async stop(): Promise<void> {
    this.report({ kind: 'stop' });
    await this.#shuttingDown;
    await this.#ending;
  }

  /** Ends the database at once, whatever waits. */
  async kill(): Promise<void> {
    this.report({ kind: 'kill' });
    await this.#ending;
  }

  /** What has happened. The table decides what comes of it. */
  report(event: SessionEvent): void {
    const outcome = SESSION_TABLE[this.#state][event.kind];
    switch (outcome.does) {
      case 'nothing':
        return;
      case 'throw':
        throw new Error(`a session that is ${this.#state} was told '${event.kind}'`);
      case 'goOn':
        this.#state = outcome.to;
        return;
      case 'shutDown':
        this.#state = outcome.to;
        this.#restartWhy = event.message ?? '';
        this.#shuttingDown = this.#shutDown();
        return;
      case 'end':
        this.#state = 'ended';
        this.#ending = this.#tearDown(this.#endOf(outcome.as, event));
        return;
    }
  }

  #endOf(kind: SessionEndKind, { message = '', reason = 'postgresFailed' }: SessionEvent): SessionEnd {
    switch (kind) {
      case 'fenced':
      case 'damaged':
        return { kind, message };
      case 'failed':
        return { kind, reason, message };
      case 'restarting':
        return { kind, why: this.#restartWhy === '' ? message : this.#restartWhy };
      case 'stopped':
        return { kind };
    }
  }

  async #start(): Promise<void> {
    const { opened, database, clock, logger } = this.#options;
    const { writePath, pageReader, pageSource, lease } = this.#driver;
    const { signal } = this.#cancel;
    const startedAt = clock.now();
    const elapsedMs = (): number => Math.round(clock.now() - startedAt);
    const onStep = (step: OpeningStep): void => {
      this.#begun[step] = elapsedMs();
      if (this.#is('opening') || this.#is('starting')) this.#options.onStep(step);
    };
    // The streams' hellos tell the segments that X is durable, which lets them apply up to it.
    writePath.start();
    // Earlier writers' leases run out meanwhile.
    lease.start();
    onStep('image');
    const image = await this.#readVolume(() => this.#options.fetchImage(signal));
    if (!this.#is('opening')) return;
    onStep('directory');
    const leftovers = await this.#readVolume(() =>
      findLeftovers(image, async (range) => Buffer.concat(await pageReader.read(range, opened.startLsn)), logger),
    );
    if (!this.#is('opening')) return;
    const first = makeFirstBatch(image.state, image.slruPages, clock.wallTime(), leftovers);
    const start: StartPoint = { image, first };
    const durable = writePath.appendFirst(first.records);
    const wal = await database.prepare(start, signal);
    if (!this.#is('opening')) return;
    onStep('firstBatch');
    // Anything else has ended the session, which knows why.
    if ((await durable).kind !== 'durable') return;
    this.report({ kind: 'firstBatchDurable' });
    if (!this.#is('starting')) return;
    writePath.follow(wal, first.checkpointLsn, image.state.control.systemIdentifier);
    await database.start(
      start,
      {
        wrote: (writtenLsn) => writePath.wrote(writtenLsn),
        flush: (writtenLsn) => writePath.flush(writtenLsn),
        readPages: (request, over) => pageSource.read(request, over),
        expectPages: (request) => pageSource.expect(request),
        runningLsn: () => writePath.runningLsn,
      },
      {
        onStep,
        onExited: (reason, message) => this.report({ kind: 'exited', reason, message }),
        onHung: (message) => this.report({ kind: 'hung', message }),
        onRestartWanted: (why) => this.#restart(why),
      },
    );
    if (this.#is('starting')) onStep('lease');
    if (!(await lease.held)) return;
    this.report({ kind: 'ready' });
    if (!this.ready) return;
    const { directory: imageMs, firstBatch: directoryMs, postgres: spawnedMs, roles: answersMs } = this.#begun;
    const times = { imageMs, directoryMs, spawnedMs, answersMs, readyMs: elapsedMs() };
    const { epoch, startLsn } = opened;
    logger.info({ epoch, startLsn: formatLsn(startLsn), pid: database.pid, ...times }, 'PostgreSQL is up');
  }

  #is(state: SessionState): boolean {
    return this.#state === state;
  }

  async #readVolume<T>(read: () => Promise<T>): Promise<T> {
    try {
      return await read();
    } catch (error) {
      throw new StartError('imageFailed', error);
    }
  }

  #restart(why: string): void {
    this.#options.logger.info({ why }, 'PostgreSQL restarts');
    this.report({ kind: 'restart', message: why });
  }

  async #shutDown(): Promise<void> {
    const { database, clock } = this.#options;
    const late = clock.after(RESTART_WITHIN_MS, () => this.report({ kind: 'late' }));
    try {
      await database.shutDown();
    } finally {
      late.cancel();
    }
    this.report({ kind: 'shutDown' });
  }

  /** See the class's comment: flushes are refused first, and the end is told last. */
  async #tearDown(end: SessionEnd): Promise<void> {
    const { opened, database, logger } = this.#options;
    this.#cancel.abort();
    if (end.kind === 'fenced') logger.error({ epoch: opened.epoch, reason: end.message }, 'another writer owns the volume');
    else if (end.kind === 'failed' || end.kind === 'damaged')
      logger.error({ epoch: opened.epoch, reason: end.message }, 'PostgreSQL is lost');
    // Every flush that waits hears that it is over, and why.
    this.#driver.writePath.stop();
    this.#driver.pageReader.stop();
    this.#driver.pageSource.stop();
    this.#driver.lease.stop();
    await database.kill();
    // Not before: it says that nobody of this epoch can answer anything any more.
    const givenBack = this.#driver.lease.giveBack();
    // Whoever ends may be gone before storage has heard of it; the next epoch of our own need not wait for that.
    if (end.kind === 'stopped') await givenBack;
    this.#end(end);
  }
}
