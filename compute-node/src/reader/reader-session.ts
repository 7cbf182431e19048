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
import type { VolumeAccess } from '../session/database.ts';
import { SessionMachine, type SessionEvent } from '../session/session-machine.ts';
import type { ReplayView, Session, SessionEnd } from '../session/session.ts';
import type { DurableRedo } from './durable-redo.ts';
import type { StandbyStart } from './lay-standby-directory.ts';
import { makePrivateChain } from './private-chain.ts';
import { READER_TABLE, type ReaderEventKind } from './reader-session-table.ts';
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
  readonly writePath = undefined;
  /** What it shows is in the past by nature. */
  readonly lease = undefined;
  readonly #options: ReaderSessionOptions;
  readonly #machine: SessionMachine<ReaderEventKind>;
  readonly #progress: ReplayProgress;
  readonly #feed: Feed;
  readonly #pages: ReaderPages;
  readonly volume: VolumeView;
  #sender: Sender | undefined;
  /** Redo that came before there was a walsender. */
  #early: DurableRedo[] = [];

  constructor(options: ReaderSessionOptions) {
    const { startLsn, clock, logger } = options;
    this.#options = options;
    this.#machine = new SessionMachine({
      name: "a reader's session",
      table: READER_TABLE,
      database: options.database,
      shutDownWithinMs: SHUT_DOWN_WITHIN_MS,
      onStep: options.onStep,
      noteRestart: (why) => logger.info({ why }, 'a reader starts afresh'),
      failure: (error) => this.#failure(error),
      refuse: (end) => this.#refuse(end),
      release: () => this.#sender?.close(),
      clock,
    });
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

  get ended(): Promise<SessionEnd> {
    return this.#machine.ended;
  }
  get ready(): boolean {
    return this.#machine.ready;
  }
  get postgresPid(): number | undefined {
    return this.#options.database.pid;
  }
  get replay(): ReplayView {
    const { vdl, replayLsn } = this.#progress;
    return { vdl, replayLsn, lagMs: this.#progress.lagMs(this.#options.clock.now()), source: this.#feed.source };
  }

  answers(): Promise<boolean> {
    return this.#machine.answers();
  }

  /** Brings PostgreSQL up as of X. Never rejects: failures end the session. */
  start(): Promise<void> {
    return this.#machine.start(() => this.#start());
  }

  stop(): Promise<void> {
    return this.#machine.stop();
  }

  kill(): Promise<void> {
    return this.#machine.kill();
  }

  report(event: SessionEvent<ReaderEventKind>): void {
    this.#machine.report(event);
  }

  async #start(): Promise<void> {
    const { startLsn, database, fetchImage, clock, logger } = this.#options;
    const machine = this.#machine;
    const { signal } = machine;
    const startedAt = clock.now();
    this.#feed.start();
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
    await this.#openSender(image);
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
    if (!this.#machine.is('opening')) {
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
    if (this.#machine.is('ended')) return;
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
      this.#machine.restart(
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
    this.#feed.stop();
    this.#pages.pageReader.stop();
    this.#pages.pageSource.stop();
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
