import { formatLsn } from '@kube-aurora/pg-format';
import type { Logger } from '@kube-aurora/process';
import { NO_XMINS } from '@kube-aurora/rpc';
import type { ComputeImage } from '../open/fetch-image.ts';
import type { OpeningStep } from '../open/opening-steps.ts';
import type { VolumeView } from '../read-path/volume-view.ts';
import type { VolumeAccess } from '../session/database.ts';
import { SessionMachine, type SessionEvent } from '../session/session-machine.ts';
import type { ReplayView, Session, SessionEnd } from '../session/session.ts';
import type { StandbyStart } from './lay-standby-directory.ts';
import { makePrivateChain } from './private-chain.ts';
import { READER_TABLE, type ReaderEventKind } from './reader-session-table.ts';
import type { RunningStandby } from './running-standby.ts';
import type { ReaderDatabase } from './standby-database.ts';
import { StandbyStream, type StandbyStreamOptions } from './standby-stream.ts';

/** A reader has nothing to make durable: one whose PostgreSQL takes longer than this to end is killed. */
const SHUT_DOWN_WITHIN_MS = 3000;

export interface ReaderSessionOptions extends StandbyStreamOptions {
  /** The volume at X. */
  readonly fetchImage: (signal: AbortSignal) => Promise<ComputeImage>;
  readonly database: ReaderDatabase;
  /** Told as each step of the opening begins. */
  readonly onStep: (step: OpeningStep) => void;
  readonly logger: Logger;
}

/**
 * A compute that reads, from an LSN that is durable to the end of its PostgreSQL: redo from X on → image of X → private
 * chain and data directory → walsender → hot standby → tear-down. reader-session-table.ts says what each event does.
 *
 * Order and rules that correctness rests on (StandbyStream has more):
 * - the stream of redo is asked for first: with it storage hears our read floor, and keeps what we need from X on. What a
 *   segment has merged past X before it heard that, it refuses to give as of X (TOO_OLD), be it the image, a page or redo, and
 *   never gives as of a later LSN: so the time between the choice of X and that word may cost a start, and no more;
 * - nothing of a reader's PostgreSQL reaches the volume. One that asks for its WAL to be durable is ended.
 *
 * It begins afresh, at the present LSN, when storage has no longer what it needs, and when the writer has been given
 * more of what a standby must have as much of.
 */
export class ReaderSession implements Session {
  readonly writePath = undefined;
  /** What it shows is in the past by nature. */
  readonly lease = undefined;
  readonly #options: ReaderSessionOptions;
  readonly #machine: SessionMachine<ReaderEventKind>;
  readonly #stream: StandbyStream;

  constructor(options: ReaderSessionOptions) {
    const { database, clock, logger } = options;
    this.#options = options;
    this.#machine = new SessionMachine({
      name: "a reader's session",
      table: READER_TABLE,
      database,
      shutDownWithinMs: SHUT_DOWN_WITHIN_MS,
      onStep: options.onStep,
      noteRestart: (why) => logger.info({ why }, 'a reader starts afresh'),
      failure: (error) => this.#failure(error),
      refuse: (end) => this.#refuse(end),
      release: () => this.#stream.close(),
      clock,
    });
    this.#stream = new StandbyStream(options, {
      onLost: (message) => this.report({ kind: 'tooOld', message }),
      onLimits: (limits) => {
        if (!database.canFollow(limits))
          this.#machine.restart(
            'the writer has been given more connections, workers, locks or prepared transactions than this reader was started with',
          );
      },
      onHotPages: (chunks) => database.hotPages(chunks),
    });
  }

  get ended(): Promise<SessionEnd> {
    return this.#machine.ended;
  }
  get ready(): boolean {
    return this.#machine.ready;
  }
  get postgresPid(): number | undefined {
    return this.#options.database.pid;
  }
  get volume(): VolumeView {
    return this.#stream.volume;
  }
  get replay(): ReplayView {
    return { ...this.#stream.replay, conflicts: this.#options.database.conflicts, warmth: this.#options.database.warmth };
  }

  answers(): Promise<boolean> {
    return this.#machine.answers();
  }

  missingSlots(withinMs: number): Promise<readonly string[]> {
    return this.#options.database.missingSlots(withinMs);
  }

  /** Brings PostgreSQL up as of X. Never rejects: failures end the session. */
  start(): Promise<void> {
    return this.#machine.start(() => this.#start());
  }

  /** It is for good: whoever elects a writer while PostgreSQL ends does not count on it. */
  stop(): Promise<void> {
    if (!this.#machine.is('ended')) this.#stream.standDown();
    return this.#machine.stop();
  }

  kill(): Promise<void> {
    return this.#machine.kill();
  }

  /**
   * Gives the running PostgreSQL away, with all that it lives on, to whoever makes the writer of it, and ends it whatever
   * happens. The session is over by that. Undefined when PostgreSQL does not take connections.
   */
  handOver(): RunningStandby | undefined {
    if (!this.ready) return undefined;
    this.report({ kind: 'handOver' });
    return { server: this.#options.database.server, stream: this.#stream };
  }

  report(event: SessionEvent<ReaderEventKind>): void {
    this.#machine.report(event);
  }

  async #start(): Promise<void> {
    const { startLsn, database, fetchImage, clock, logger } = this.#options;
    const machine = this.#machine;
    const { signal } = machine;
    const startedAt = clock.now();
    this.#stream.start();
    machine.step('image');
    const image = await fetchImage(signal);
    if (!machine.is('opening')) return;
    machine.step('directory');
    const chain = makePrivateChain(image.state, clock.wallTime());
    const start: StandbyStart = { image, chain };
    if (!chain.namesRunning)
      logger.warn({ running: image.state.transactions.running.size }, 'too many transactions run to be told to a standby');
    await database.prepare(start, signal);
    if (!machine.is('opening')) return;
    await this.#stream.open(image.state, () => machine.is('opening'));
    if (!machine.is('opening')) return;
    this.report({ kind: 'laid' });
    await database.start(
      start,
      this.#access(),
      machine.databaseEvents((step) => machine.step(step)),
    );
    this.report({ kind: 'ready' });
    if (!this.ready) return;
    logger.info({ startLsn: formatLsn(startLsn), pid: database.pid, readyMs: Math.round(clock.now() - startedAt) }, 'a reader is up');
  }

  /** What PostgreSQL may ask of the volume: pages, and nothing else. */
  #access(): VolumeAccess {
    const { pageSource } = this.#stream.pages;
    return {
      wrote: () => this.#refuseWal(),
      flushes: undefined,
      flush: () => {
        this.#refuseWal();
        return Promise.resolve({ kind: 'stopped' });
      },
      readPages: (request, over) => pageSource.read(request, over),
      pagesAlong: (request) => pageSource.along(request),
      expectPages: (request) => pageSource.expect(request),
      // The shim of a reader keeps no page for a transaction that runs.
      runningLsn: () => 0n,
      // It vacuums nothing.
      standbyXmins: () => NO_XMINS,
    };
  }

  #refuseWal(): void {
    this.report({ kind: 'exited', reason: 'postgresFailed', message: "a reader's PostgreSQL has written WAL of its own, and was killed" });
  }

  #failure(error: unknown): SessionEvent<ReaderEventKind> {
    const reason = this.#machine.is('opening') ? 'imageFailed' : 'postgresFailed';
    if (this.#machine.isComingUp) this.#options.logger.error({ err: error }, 'a reader could not start');
    return { kind: 'failed', reason, message: error instanceof Error ? error.message : String(error) };
  }

  /** Before PostgreSQL is killed; its walsender is closed when it is dead. */
  #refuse(end: SessionEnd): void {
    const { logger } = this.#options;
    if (end.kind === 'failed') logger.error({ reason: end.message }, 'a reader lost its PostgreSQL');
    if (end.kind === 'restarting') logger.info({ why: end.why }, 'a reader begins afresh at the present LSN');
    this.#stream.stop('end');
  }
}
