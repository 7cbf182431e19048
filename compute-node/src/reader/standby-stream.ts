import type { Clock } from '@kube-aurora/clock';
import { decodeRecord, OPCODE, RECORD_HEADER, RMGR, type Lsn } from '@kube-aurora/pg-format';
import { primaryLimitsOf, type PrimaryLimits, type VolumeState } from '@kube-aurora/redo';
import { NO_XMINS, type StandbyXmins } from '@kube-aurora/rpc';
import { recordsIn } from '@kube-aurora/volume';
import type { PageReader } from '../read-path/page-reader.ts';
import type { PageSource } from '../read-path/page-source.ts';
import { ReadFloor } from '../read-path/read-floor.ts';
import type { VolumeView } from '../read-path/volume-view.ts';
import type { ReplayView } from '../session/session.ts';
import { hotPagesIn } from '../warm-cache/hot-pages-message.ts';
import type { LocalChunk } from '../warm-cache/local-pages.ts';
import type { DurableRedo } from './durable-redo.ts';
import type { StandbyFeedback } from './replication-messages.ts';
import { ReplayProgress } from './replay-progress.ts';
import type { StandbyReply } from './walsender.ts';

/** Durable redo, from a segment. */
export interface Feed {
  start(): void;
  pause(): void;
  resume(): void;
  /** Redo up to here is durable, and somebody waits for it. */
  hasten(lsn: Lsn): void;
  /** This reader ends: nobody is to count on it as the next writer. */
  standDown(): void;
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
  /** What PostgreSQL's snapshots may need, as it said last. */
  readonly xmins: () => StandbyXmins;
}

/** What PostgreSQL streams from. */
export interface Sender {
  listen(): Promise<void>;
  push(redo: DurableRedo): void;
  /** Has PostgreSQL say how far it has replayed. */
  ask(): void;
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
  readonly pageSource: Pick<PageSource, 'read' | 'along' | 'expect' | 'stop'>;
}

export interface StandbyStreamOptions {
  /** X: what PostgreSQL starts from. */
  readonly startLsn: Lsn;
  readonly feed: (startLsn: Lsn, events: FeedEvents) => Feed;
  readonly sender: (options: SenderOptions) => Sender;
  readonly pages: (volume: VolumeView, onTooOld: (message: string) => void) => ReaderPages;
  readonly clock: Clock;
}

/** Whom a stream belongs to: a reader's session, and then whoever makes the writer of its PostgreSQL. */
export interface StreamOwner {
  /** What would follow does not come: storage has it no longer, or it does not go on where the last ended. */
  readonly onLost: (message: string) => void;
  /** The writer runs with these from a record on that PostgreSQL is about to be given. */
  readonly onLimits: (limits: PrimaryLimits) => void;
  /** The writer has these pages in its local cache. */
  readonly onHotPages?: (chunks: readonly LocalChunk[]) => void;
}

/**
 * All that a hot standby lives on: durable redo, from a segment to its walreceiver, and pages as of what it has replayed.
 *
 * Rules that correctness rests on:
 * - redo is durable when it comes, and goes to PostgreSQL in the order of the log without a gap, or its owner hears;
 * - pages are read as of what PostgreSQL has replayed, never below the floor that storage was told;
 * - the floor is told for as long as a read is under way.
 */
export class StandbyStream {
  readonly pages: ReaderPages;
  readonly volume: VolumeView;
  readonly #options: StandbyStreamOptions;
  readonly #progress: ReplayProgress;
  readonly #feed: Feed;
  #owner: StreamOwner;
  #sender: Sender | undefined;
  /** Redo that came before there was a walsender. */
  #early: DurableRedo[] = [];
  /** The walsender's word; the feed is paused while it has enough. */
  #wantsMore = true;
  #waiting: { readonly lsn: Lsn; readonly resolve: () => void }[] = [];
  #givenLsn: Lsn;
  #xmins: StandbyXmins = NO_XMINS;
  /** Why nothing more comes. */
  #lost: string | undefined;
  #isStopped = false;

  constructor(options: StandbyStreamOptions, owner: StreamOwner) {
    const { startLsn, clock } = options;
    this.#options = options;
    this.#owner = owner;
    this.#givenLsn = startLsn;
    const progress = new ReplayProgress(startLsn);
    const floor: ReadFloor = new ReadFloor(() => this.pages.pageReader.oldestRead());
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
    const onTooOld = (message: string): void => this.#isLost(message);
    this.pages = options.pages(this.volume, onTooOld);
    floor.announce(startLsn);
    this.#feed = options.feed(startLsn, {
      onRedo: (redo) => this.#take(redo),
      onVdl: (lsn) => progress.noteDurable(lsn, clock.now()),
      onTooOld,
      readFloor: () => floor.announce(progress.replayLsn) as Lsn,
      xmins: () => this.#xmins,
    });
  }

  get replay(): ReplayView {
    const { vdl, replayLsn } = this.#progress;
    return { vdl, replayLsn, lagMs: this.#progress.lagMs(this.#options.clock.now()), source: this.#feed.source };
  }

  /** End of the redo that PostgreSQL was given, or is about to be. */
  get givenLsn(): Lsn {
    return this.#givenLsn;
  }

  /** Storage hears where we read, and sends what follows from there on. */
  start(): void {
    this.#feed.start();
  }

  /** It is another's from now on, who hears at once of an end that came before. */
  belongTo(owner: StreamOwner): void {
    this.#owner = owner;
    if (this.#lost !== undefined) owner.onLost(this.#lost);
  }

  #isLost(message: string): void {
    this.#lost ??= message;
    this.#owner.onLost(message);
  }

  /** From now on PostgreSQL can have redo, if `isWanted` still when it could. */
  async open({ control, endLsn }: VolumeState, isWanted: () => boolean): Promise<void> {
    const sender = this.#options.sender({
      systemIdentifier: control.systemIdentifier,
      timeline: control.checkPointCopy.timeline,
      startLsn: endLsn,
      onReply: ({ applyLsn, feedback }) => {
        if (feedback !== undefined) this.#xmins = xminsOf(feedback);
        this.#replayed(applyLsn);
      },
      onWantsMore: (wants) => {
        this.#wantsMore = wants;
        if (wants) this.#feed.resume();
        else this.#feed.pause();
      },
    });
    await sender.listen();
    if (!isWanted()) {
      await sender.close();
      return;
    }
    this.#sender = sender;
    const early = this.#early;
    this.#early = [];
    for (const redo of early) this.#give(sender, redo);
    // Last: what waits at the feed comes at once, and follows what came early.
    if (early.length > 0 && this.#wantsMore) this.#feed.resume();
  }

  /** Redo up to here is durable, and somebody waits until it is replayed. */
  hasten(lsn: Lsn): void {
    this.#feed.hasten(lsn);
  }

  /** Storage hears that this reader ends, and names it to nobody as one that may become the writer. */
  standDown(): void {
    this.#feed.standDown();
  }

  /** Has PostgreSQL say how far it has replayed. */
  ask(): void {
    this.#sender?.ask();
  }

  /** Resolves when PostgreSQL has replayed everything up to `lsn`, a record's end. */
  reaches(lsn: Lsn): Promise<void> {
    if (this.#progress.replayLsn >= lsn) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ lsn, resolve }));
  }

  /** Nothing more is given, and nobody is told of anything. Reads under way go on, unless they are ended as well. */
  stop(reads: 'goOn' | 'end'): void {
    this.#isStopped = true;
    this.#feed.stop();
    if (reads === 'goOn') return;
    this.pages.pageReader.stop();
    this.pages.pageSource.stop();
  }

  /** PostgreSQL is dead, or streams no more. */
  close(): Promise<void> {
    return this.#sender?.close() ?? Promise.resolve();
  }

  #take(redo: DurableRedo): void {
    if (this.#isStopped) return;
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
      this.#isLost(`redo does not go on where it ended: ${error instanceof Error ? error.message : String(error)}`);
      return;
    }
    this.#givenLsn = redo.endLsn;
    this.#progress.noteDurable(redo.endLsn, this.#options.clock.now());
    const { limits, hotPages } = toldBy(redo);
    if (limits !== undefined) this.#owner.onLimits(limits);
    if (hotPages !== undefined) this.#owner.onHotPages?.(hotPages);
  }

  #replayed(lsn: Lsn): void {
    this.#progress.noteReplayed(lsn);
    if (this.#waiting.length === 0) return;
    const { replayLsn } = this.#progress;
    const reached = this.#waiting.filter((one) => one.lsn <= replayLsn);
    this.#waiting = this.#waiting.filter((one) => one.lsn > replayLsn);
    for (const { resolve } of reached) resolve();
  }
}

/** With their epochs: PostgreSQL's FullTransactionId. */
function xminsOf({ xmin, epoch, catalogXmin, catalogEpoch }: StandbyFeedback): StandbyXmins {
  const full = (xid: number, itsEpoch: number): bigint => (xid === 0 ? 0n : (BigInt(itsEpoch) << 32n) | BigInt(xid));
  return { xmin: full(xmin, epoch), catalogXmin: full(catalogXmin, catalogEpoch) };
}

/** What the writer says of itself in the redo: its limits and its local pages, the last of each. */
function toldBy({ records }: DurableRedo): { limits: PrimaryLimits | undefined; hotPages: readonly LocalChunk[] | undefined } {
  let limits: PrimaryLimits | undefined;
  let hotPages: readonly LocalChunk[] | undefined;
  for (const { lsn, raw } of recordsIn(records)) {
    hotPages = hotPagesIn(raw, lsn) ?? hotPages;
    if (raw[RECORD_HEADER.rmid.at] !== RMGR.XLOG || ((raw[RECORD_HEADER.info.at] ?? 0) & 0xf0) !== OPCODE.XLOG.PARAMETER_CHANGE) continue;
    limits = primaryLimitsOf(decodeRecord(raw, lsn)) ?? limits;
  }
  return { limits, hotPages };
}
