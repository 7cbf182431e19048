import type { Clock } from '@kube-aurora/clock';
import { decodeRecord, formatLsn, OPCODE, RECORD_HEADER, RMGR, type Lsn } from '@kube-aurora/pg-format';
import type { Logger } from '@kube-aurora/process';
import { primaryLimitsOf, type PrimaryLimits } from '@kube-aurora/redo';
import { recordsIn } from '@kube-aurora/volume';
import type { ComputeImage } from '../open/fetch-image.ts';
import type { OpeningStep } from '../open/opening-steps.ts';
import type { PageReader } from '../read-path/page-reader.ts';
import type { PageSource } from '../read-path/page-source.ts';
import { ReadFloor } from '../read-path/read-floor.ts';
import type { VolumeView } from '../read-path/volume-view.ts';
import type { StartFailure, VolumeAccess } from '../session/database.ts';
import type { ReplayView, Session, SessionEnd } from '../session/session.ts';
import type { DurableRedo } from './durable-redo.ts';
import type { StandbyStart } from './lay-standby-directory.ts';
import { makePrivateChain } from './private-chain.ts';
import { READER_TABLE, type ReaderEventKind, type ReaderState } from './reader-session-table.ts';
import { ReplayProgress } from './replay-progress.ts';
import type { ReaderDatabase } from './standby-database.ts';
import type { StandbyReply } from './walsender.ts';

/** A reader has nothing to make durable: one whose PostgreSQL takes longer than this to end is killed. */
const SHUT_DOWN_WITHIN_MS = 3000;

/** Durable redo, from a segment. */
export interface Feed {
  start(): void;
  pause(): void;
  resume(): void;
  stop(): void;
  /** The segment that it comes from; undefined while there is none. */
  readonly source: string | undefined;
}

export interface FeedEvents {
  readonly onRedo: (redo: DurableRedo) => void;
  readonly onVdl: (lsn: Lsn) => void;
  /** Storage has no longer the redo that would follow. */
  readonly onTooOld: (message: string) => void;
  /** The lowest LSN that we may still read at. */
  readonly readFloor: () => Lsn;
}

/** What PostgreSQL streams from. */
export interface Sender {
  listen(): Promise<void>;
  push(redo: DurableRedo): void;
  close(): Promise<void>;
}

export interface SenderOptions {
  readonly systemIdentifier: bigint;
  readonly timeline: number;
  readonly startLsn: Lsn;
  readonly onReply: (reply: StandbyReply) => void;
  readonly onWantsMore: (wants: boolean) => void;
}

export interface ReaderPages {
  readonly pageReader: Pick<PageReader, 'oldestRead' | 'stop'>;
  readonly pageSource: Pick<PageSource, 'read' | 'expect' | 'stop'>;
}

export interface ReaderSessionOptions {
  /** X: what the session starts from. */
  readonly startLsn: Lsn;
  readonly feed: (startLsn: Lsn, events: FeedEvents) => Feed;
  readonly sender: (options: SenderOptions) => Sender;
  readonly pages: (volume: VolumeView, onTooOld: (message: string) => void) => ReaderPages;
  /** The volume at X. */
  readonly fetchImage: (signal: AbortSignal) => Promise<ComputeImage>;
  readonly database: ReaderDatabase;
  /** Told as each step of the opening begins. */
  readonly onStep: (step: OpeningStep) => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface ReaderEvent {
  readonly kind: ReaderEventKind;
  readonly message?: string;
  readonly reason?: StartFailure;
}

/**
 * A compute that reads, from an LSN that is durable to the end of its PostgreSQL: redo from X on → image of X → private
 * chain and data directory → walsender → hot standby → tear-down. reader-session-table.ts says what each event does.
 *
 * Order and rules that correctness rests on:
 * - the stream of redo is asked for first: with it storage hears our read floor, and keeps what we need from X on;
 * - redo is durable when it comes, and goes to PostgreSQL in the order of the log without a gap, or the session ends;
 * - pages are read as of what PostgreSQL has replayed, never below the floor that storage was told;
 * - nothing of a reader's PostgreSQL reaches the volume. One that asks for its WAL to be durable is ended.
 *
 * It begins afresh, at the present LSN, when storage has no longer what it needs, and when the writer has been given
 * more of what a standby must have as much of.
 */
export class ReaderSession implements Session {
  readonly ended: Promise<SessionEnd>;
  readonly writePath = undefined;
  /** What it shows is in the past by nature. */
  readonly lease = undefined;
  readonly #options: ReaderSessionOptions;
  readonly #end: (end: SessionEnd) => void;
  readonly #cancel = new AbortController();
  readonly #progress: ReplayProgress;
  readonly #feed: Feed;
  readonly #pages: ReaderPages;
  readonly volume: VolumeView;
  #sender: Sender | undefined;
  /** Redo that came before there was a walsender. */
  #early: DurableRedo[] = [];
  #state: ReaderState = 'opening';
  #ending: Promise<void> | undefined;
  #shuttingDown: Promise<void> | undefined;
  #restartWhy = '';
  #asking: Promise<boolean> | undefined;

  constructor(options: ReaderSessionOptions) {
    const { startLsn, clock } = options;
    this.#options = options;
    const { promise, resolve } = Promise.withResolvers<SessionEnd>();
    this.ended = promise;
    this.#end = resolve;
    const progress = new ReplayProgress(startLsn);
    const floor: ReadFloor = new ReadFloor(() => this.#pages.pageReader.oldestRead());
    this.#progress = progress;
    this.volume = {
      get vdl() {
        return progress.vdl;
      },
      // What a segment has we do not know; it has what it told us is durable, or gets it.
      scl: () => progress.vdl,
      get readFloor() {
        return floor.announced;
      },
    };
    const onTooOld = (message: string): void => this.report({ kind: 'tooOld', message });
    this.#pages = options.pages(this.volume, onTooOld);
    floor.announce(startLsn);
    this.#feed = options.feed(startLsn, {
      onRedo: (redo) => this.#take(redo),
      onVdl: (lsn) => progress.noteDurable(lsn, clock.now()),
      onTooOld,
      readFloor: () => floor.announce(progress.replayLsn) as Lsn,
    });
  }

  get ready(): boolean {
    return this.#is('running');
  }
  get postgresPid(): number | undefined {
    return this.#options.database.pid;
  }
  get replay(): ReplayView {
    const { vdl, replayLsn } = this.#progress;
    return { vdl, replayLsn, lagMs: this.#progress.lagMs(this.#options.clock.now()), source: this.#feed.source };
  }

  /** Does PostgreSQL take connections? Asks it, for a bounded time; whoever asks meanwhile shares the answer. */
  answers(): Promise<boolean> {
    if (!this.ready) return Promise.resolve(false);
    this.#asking ??= this.#options.database.answers().then((answers) => {
      this.#asking = undefined;
      return answers && this.ready;
    });
    return this.#asking;
  }

  /** Brings PostgreSQL up as of X. Never rejects: failures end the session. */
  async start(): Promise<void> {
    try {
      await this.#start();
    } catch (error) {
      const reason = this.#is('opening') ? 'imageFailed' : 'postgresFailed';
      if (this.#is('opening') || this.#is('starting')) this.#options.logger.error({ err: error }, 'a reader could not start');
      this.report({ kind: 'failed', reason, message: error instanceof Error ? error.message : String(error) });
    }
    await this.#ending;
  }

  async stop(): Promise<void> {
    this.report({ kind: 'stop' });
    await this.#shuttingDown;
    await this.#ending;
  }

  async kill(): Promise<void> {
    this.report({ kind: 'kill' });
    await this.#ending;
  }

  /** What has happened. The table decides what comes of it. */
  report(event: ReaderEvent): void {
    const outcome = READER_TABLE[this.#state][event.kind];
    switch (outcome.does) {
      case 'nothing':
        return;
      case 'throw':
        throw new Error(`a reader's session that is ${this.#state} was told '${event.kind}'`);
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

  #endOf(kind: 'stopped' | 'restarting' | 'failed', { message = '', reason = 'postgresFailed' }: ReaderEvent): SessionEnd {
    switch (kind) {
      case 'failed':
        return { kind, reason, message };
      case 'restarting':
        return { kind, why: this.#restartWhy === '' ? message : this.#restartWhy };
      case 'stopped':
        return { kind };
    }
  }

  async #start(): Promise<void> {
    const { startLsn, database, fetchImage, clock, logger } = this.#options;
    const { signal } = this.#cancel;
    const startedAt = clock.now();
    const onStep = (step: OpeningStep): void => {
      if (this.#is('opening') || this.#is('starting')) this.#options.onStep(step);
    };
    this.#feed.start();
    onStep('image');
    const image = await fetchImage(signal);
    if (!this.#is('opening')) return;
    onStep('directory');
    const chain = makePrivateChain(image.state, clock.wallTime());
    const start: StandbyStart = { image, chain };
    if (!chain.namesRunning)
      logger.warn({ running: image.state.transactions.running.size }, 'too many transactions run to be told to a standby');
    await database.prepare(start, signal);
    if (!this.#is('opening')) return;
    await this.#openSender(image);
    if (!this.#is('opening')) return;
    this.report({ kind: 'laid' });
    await database.start(start, this.#access(), {
      onStep,
      onExited: (reason, message) => this.report({ kind: 'exited', reason, message }),
      onHung: (message) => this.report({ kind: 'hung', message }),
      onRestartWanted: (why) => this.#restart(why),
    });
    this.report({ kind: 'ready' });
    if (!this.ready) return;
    logger.info({ startLsn: formatLsn(startLsn), pid: database.pid, readyMs: Math.round(clock.now() - startedAt) }, 'a reader is up');
  }

  /** From now on PostgreSQL can have redo. */
  async #openSender({ state }: ComputeImage): Promise<void> {
    const sender = this.#options.sender({
      systemIdentifier: state.control.systemIdentifier,
      timeline: state.control.checkPointCopy.timeline,
      startLsn: state.endLsn,
      onReply: ({ applyLsn }) => this.#progress.noteReplayed(applyLsn),
      onWantsMore: (wants) => {
        if (wants) this.#feed.resume();
        else this.#feed.pause();
      },
    });
    await sender.listen();
    if (!this.#is('opening')) {
      await sender.close();
      return;
    }
    this.#sender = sender;
    const early = this.#early;
    this.#early = [];
    if (early.length > 0) this.#feed.resume();
    for (const redo of early) this.#give(sender, redo);
  }

  #take(redo: DurableRedo): void {
    if (this.#is('ended')) return;
    const sender = this.#sender;
    if (sender === undefined) {
      // One message is held, no more.
      this.#early.push(redo);
      this.#feed.pause();
      return;
    }
    this.#give(sender, redo);
  }

  #give(sender: Sender, redo: DurableRedo): void {
    try {
      sender.push(redo);
    } catch (error) {
      // A gap, or a record that is not at its place: nothing of it was given.
      this.report({
        kind: 'tooOld',
        message: `redo does not go on where it ended: ${error instanceof Error ? error.message : String(error)}`,
      });
      return;
    }
    this.#progress.noteDurable(redo.endLsn, this.#options.clock.now());
    const limits = limitsSetBy(redo);
    if (limits !== undefined && !this.#options.database.canFollow(limits))
      this.#restart(
        'the writer has been given more connections, workers, locks or prepared transactions than this reader was started with',
      );
  }

  /** What PostgreSQL may ask of the volume: pages, and nothing else. */
  #access(): VolumeAccess {
    const { pageSource } = this.#pages;
    return {
      wrote: () => this.#refuseWal(),
      flush: () => {
        this.#refuseWal();
        return Promise.resolve({ kind: 'stopped' });
      },
      readPages: (request, over) => pageSource.read(request, over),
      expectPages: (request) => pageSource.expect(request),
      // The shim of a reader keeps no page for a transaction that runs.
      runningLsn: () => 0n,
    };
  }

  #refuseWal(): void {
    this.report({ kind: 'exited', reason: 'postgresFailed', message: "a reader's PostgreSQL has written WAL of its own, and was killed" });
  }

  #is(state: ReaderState): boolean {
    return this.#state === state;
  }

  #restart(why: string): void {
    this.#options.logger.info({ why }, 'a reader starts afresh');
    this.report({ kind: 'restart', message: why });
  }

  async #shutDown(): Promise<void> {
    const { database, clock } = this.#options;
    const late = clock.after(SHUT_DOWN_WITHIN_MS, () => this.report({ kind: 'late' }));
    try {
      await database.shutDown();
    } finally {
      late.cancel();
    }
    this.report({ kind: 'shutDown' });
  }

  async #tearDown(end: SessionEnd): Promise<void> {
    const { database, logger } = this.#options;
    this.#cancel.abort();
    if (end.kind === 'failed') logger.error({ reason: end.message }, 'a reader lost its PostgreSQL');
    if (end.kind === 'restarting') logger.info({ why: end.why }, 'a reader begins afresh at the present LSN');
    this.#feed.stop();
    this.#pages.pageReader.stop();
    this.#pages.pageSource.stop();
    await database.kill();
    await this.#sender?.close();
    this.#end(end);
  }
}

/** The writer's limits, where a record of the redo sets them; the last of them. */
function limitsSetBy({ records }: DurableRedo): PrimaryLimits | undefined {
  let limits: PrimaryLimits | undefined;
  for (const { lsn, raw } of recordsIn(records)) {
    if (raw[RECORD_HEADER.rmid.at] !== RMGR.XLOG || ((raw[RECORD_HEADER.info.at] ?? 0) & 0xf0) !== OPCODE.XLOG.PARAMETER_CHANGE) continue;
    limits = primaryLimitsOf(decodeRecord(raw, lsn)) ?? limits;
  }
  return limits;
}
