import type { Lsn, StreamRecord } from '@kube-aurora/pg-format';
import { APPEND_FRAME_REDO_BYTES } from '@kube-aurora/rpc';
import { RecordRun } from '@kube-aurora/volume';
import type { FlushAnswer, FlushOutcome, WriteEnd } from '../flush-outcome.ts';
import type { VolumeView } from '../read-path/volume-view.ts';
import { QuickestFlush } from './quickest-flush.ts';
import type { SegmentStreamState } from './segment-stream.ts';
import { VolumeWriter, type VolumeWriterOptions } from './volume-writer.ts';
import { WalReader, type WalSource } from './wal-reader.ts';
import { END_OF, WRITE_PATH_TABLE, type WritePathAction, type WritePathEvent, type WritePathPhase } from './write-path-table.ts';

/** A record with a whole page in it, and what else it has. */
const PAGE_RECORD_BYTES = 9 * 1024;
/**
 * Records gather in a batch up to this, so that with the last of them it goes in one frame, which a daemon's thread takes where it stands
 * (docs/decisions/0029); a bigger record is a batch of its own. Batches of four frames were no quicker.
 */
const BATCH_BYTES_MAX = APPEND_FRAME_REDO_BYTES - PAGE_RECORD_BYTES;
/** So much is read and sent in a turn of the event loop. */
const TURN_BYTES_MAX = 1024 * 1024;

export interface WritePathOptions extends Omit<VolumeWriterOptions, 'onDurable'> {
  /** The local WAL can't be what PostgreSQL wrote. Nothing is acknowledged from then on. */
  readonly onDamagedWal: (error: Error) => void;
  /** All of a flush's redo is on its way: so many seconds after it was asked for. */
  readonly onFlushSent: (seconds: number) => void;
  /** It is durable. */
  readonly onFlushed: (seconds: number) => void;
}

/** What came with an event. */
interface Seen {
  readonly message?: string;
  readonly error?: unknown;
}

interface WaitingFlush {
  readonly writtenLsn: bigint;
  /** Only a pass over the WAL that began with this report, or later, has seen all that this flush is for. */
  readonly report: number;
  /** End of the last complete record at or below writtenLsn, known when all of it was read. */
  target: bigint | undefined;
  readonly startedAt: number;
  /** Has an effect once: who heard that it is sent hears nothing more. */
  readonly resolve: (outcome: FlushAnswer) => void;
}

/** When a flush is answered: once its redo is durable, or once all of it is on its way. */
export type FlushesReturn = 'durable' | 'sent';

/** Told before a flush is answered whose redo is not durable, and whenever more is durable. */
export type WatchPoints = (points: { readonly durableLsn: bigint; readonly promisedLsn: bigint }) => void;

/**
 * Makes PostgreSQL's WAL durable: local WAL → records → the volume's writer; a flush resolves when VDL covers it.
 *
 * WAL is sent as soon as PostgreSQL says that it has written it (`wrote`), many batches at a time; a flush waits for
 * what is left. What is sent and not flushed is like any redo whose quorum is awaited: whoever opens the volume next
 * may find it or not, and as nobody was told of it either is right.
 *
 * Invariants:
 * - only WAL that PostgreSQL has written to its files is sent, in whole records;
 * - a flush resolves with a durableLsn only when the volume holds, durably and in our epoch, all redo up to it;
 * - one resolves as sent only when somebody watches, who has been told how far flushes are promised before: who is told of what
 *   it is for waits for that to be durable (native/promise.c);
 * - what a flush is for is read after the flush came: the last page is written again in place, and what was read
 *   of it before may be old;
 * - after fencing or damage none resolves with one;
 * - WAL is read only while the rings have room: memory is bounded whatever the segments do.
 */
export class WritePath implements VolumeView {
  readonly #options: WritePathOptions;
  readonly #volume: VolumeWriter;
  readonly #batchBytesMax: number;
  readonly #run = new RecordRun();
  #reader: WalReader | undefined;
  /** How far PostgreSQL said that it has written, and how many times it has said something. */
  #writtenLsn: bigint;
  #reports = 0;
  /** The newest report when the last pass over the WAL began. */
  #passReport = 0;
  /** The rest of a pass is read in a later turn of the event loop. */
  #isScheduled = false;
  #flushes: WaitingFlush[] = [];
  #phase: WritePathPhase = 'open';
  #watch: WatchPoints | undefined;
  #flushesReturn: FlushesReturn = 'durable';
  readonly #quickest = new QuickestFlush();
  #promisedLsn = 0n;
  /** VDL as it was told last. */
  #watchedLsn = 0n;
  #durableWaiters: { readonly lsn: bigint; readonly resolve: (outcome: FlushOutcome) => void }[] = [];

  constructor(options: WritePathOptions) {
    this.#options = options;
    // The ring holds several: it fills while one is on its way.
    this.#batchBytesMax = Math.min(BATCH_BYTES_MAX, Math.floor(options.ringBytesMax / 4));
    this.#writtenLsn = options.startLsn;
    this.#volume = new VolumeWriter({
      ...options,
      onDurable: () => this.on('durable'),
      onFenced: (message) => this.on('overtaken', { message }),
    });
  }

  get phase(): WritePathPhase {
    return this.#phase;
  }
  get vdl(): bigint {
    return this.#volume.vdl;
  }
  get readFloor(): bigint {
    return this.#volume.readFloor;
  }
  scl(group: number, segment: number): bigint {
    return this.#volume.scl(group, segment);
  }
  segment(group: number, index: number): SegmentStreamState {
    return this.#volume.segment(group, index);
  }
  get ringBytes(): number {
    return this.#volume.ringBytes;
  }
  /** No transaction that runs in PostgreSQL has written redo that ends at or below this LSN. Never goes back. */
  get runningLsn(): bigint {
    return this.#reader?.runningLsn ?? this.#options.startLsn;
  }
  /** End of the redo that was sent, durable or not. */
  get sentLsn(): bigint {
    return this.#volume.sentLsn;
  }
  get waitingFlushes(): number {
    return this.#flushes.length;
  }
  /** Milliseconds that the oldest flush has waited for its quorum. */
  get oldestFlushMs(): number {
    const [oldest] = this.#flushes;
    return oldest === undefined ? 0 : this.#options.clock.now() - oldest.startedAt;
  }

  /** Flushes have been answered for all redo that ends at or below this. */
  get promisedLsn(): bigint {
    return this.#promisedLsn > this.vdl ? this.#promisedLsn : this.vdl;
  }

  start(): void {
    this.#volume.start();
  }

  stop(): void {
    this.on('stop');
  }

  /** Something happened that nobody waits for. The table decides what comes of it. */
  on(event: Exclude<WritePathEvent, 'firstBatch' | 'flush' | 'wrote'>, { message = '', error }: Seen = {}): void {
    const action = this.#look(event);
    if (action === 'fence') this.#options.onFenced(message);
    else if (action === 'giveUp') this.#options.onDamagedWal(error instanceof Error ? error : new Error(String(error)));
    else if (action === 'work') {
      this.#settle();
      this.#read();
      this.#settle();
    }
  }

  /** What the table has for the event. Where that is an end, it has come when this returns. */
  #look(event: WritePathEvent): WritePathAction {
    const action = WRITE_PATH_TABLE[this.#phase][event];
    const end = END_OF[action];
    if (end !== undefined) this.#end(end);
    return action;
  }

  /**
   * Appends records that did not come from PostgreSQL (the first batch of an epoch) and waits until they are durable.
   */
  appendFirst(records: readonly StreamRecord[]): Promise<FlushOutcome> {
    if (this.#look('firstBatch') === 'refuse') return this.#refusal();
    const end = records.at(-1)?.endLsn ?? this.#volume.sentLsn;
    for (const { lsn, endLsn, raw } of records) this.#run.add(Number(lsn), Number(endLsn), raw, 0, raw.length);
    this.#send();
    return this.durable(end);
  }

  /** From now on WAL is read from `source`, beginning after the record at `prev`, which ends where the ring does. */
  follow(source: WalSource, prev: Lsn, systemIdentifier: bigint): void {
    this.#reader = new WalReader(source, this.#volume.sentLsn as Lsn, prev, systemIdentifier);
  }

  /**
   * PostgreSQL has written its WAL up to here, and goes on: what is complete is sent. A hint, which may come late or
   * not at all.
   */
  wrote(writtenLsn: bigint): void {
    if (this.#look('wrote') === 'nothing' || writtenLsn <= this.#writtenLsn) return;
    this.#report(writtenLsn);
    this.#read();
  }

  /**
   * Resolves when every complete record at or below writtenLsn is durable, or sent, or with the reason why that can never be.
   */
  flush(writtenLsn: bigint): Promise<FlushAnswer> {
    if (this.#look('flush') === 'refuse') return this.#refusal();
    return new Promise((resolve) => {
      this.#report(writtenLsn);
      this.#flushes.push({ writtenLsn, report: this.#reports, target: undefined, startedAt: this.#options.clock.now(), resolve });
      this.#read();
      this.#settle();
    });
  }

  /** From now on `watch` is told, and nobody else. */
  watch(watch: WatchPoints): void {
    this.#watch = watch;
  }

  get flushesReturn(): FlushesReturn {
    return this.#flushesReturn;
  }

  /**
   * From now on flushes are answered then, also those that wait. Throws RangeError for `sent` without anybody who watches: what was answered
   * as sent and is not durable must be held back by somebody.
   */
  returnFlushes(when: FlushesReturn): void {
    if (when === 'sent' && this.#watch === undefined) throw new RangeError('flushes cannot return when sent: nobody watches');
    this.#flushesReturn = when;
    if (when === 'sent') this.#answerSent();
  }

  /** How long the quickest of the last seconds' flushes took to be durable; undefined: there were too few. */
  get quickestFlushMs(): number | undefined {
    return this.#quickest.quickestMs(this.#options.clock.now());
  }

  /** How many have been durable so far, and what they took all together. */
  get timed(): { readonly flushes: number; readonly flushMs: number } {
    return this.#quickest.all;
  }

  /** Resolves when all redo that ends at or below the LSN, which was sent, is durable, or with the reason why that can never be. */
  durable(lsn: bigint): Promise<FlushOutcome> {
    if (this.#phase !== 'open') return this.#refusal();
    return new Promise((resolve) => {
      this.#durableWaiters.push({ lsn, resolve });
      this.#settle();
    });
  }

  #refusal(): Promise<Extract<FlushOutcome, { kind: WriteEnd }>> {
    if (this.#phase === 'open') throw new Error('an open write path refuses nothing');
    return Promise.resolve({ kind: this.#phase });
  }

  #report(writtenLsn: bigint): void {
    if (writtenLsn > this.#writtenLsn) this.#writtenLsn = writtenLsn;
    this.#reports++;
  }

  /** Reads and sends what PostgreSQL has written, so much in a turn of the event loop, as far as the ring has room. */
  #read(): void {
    const reader = this.#reader;
    if (reader === undefined || this.#isScheduled) return;
    try {
      let turnBytes = 0;
      while (this.#phase === 'open' && (reader.inPass || this.#begins(reader))) {
        // Called again when it has room.
        if (!this.#volume.hasRoom(this.#batchBytesMax)) return;
        const state = reader.fill(this.#run, this.#batchBytesMax);
        this.#send();
        if (state === 'end') this.#passed(reader);
        else if ((turnBytes += this.#batchBytesMax) >= TURN_BYTES_MAX) {
          this.#goOn();
          return;
        }
      }
    } catch (error) {
      this.on('badWal', { error });
    }
  }

  /** Begins a pass when there is something to read that was reported since the last one. */
  #begins(reader: WalReader): boolean {
    if (this.#passReport === this.#reports) return false;
    this.#passReport = this.#reports;
    if (reader.hasNews(this.#writtenLsn)) {
      reader.begin(this.#writtenLsn);
      return true;
    }
    this.#passed(reader);
    return false;
  }

  /** All that was reported when the pass began was read. */
  #passed(reader: WalReader): void {
    for (const flush of this.#flushes) {
      if (flush.target !== undefined || flush.report > this.#passReport) continue;
      flush.target = reader.position < flush.writtenLsn ? reader.position : flush.writtenLsn;
      this.#options.onFlushSent((this.#options.clock.now() - flush.startedAt) / 1000);
    }
    if (this.#flushesReturn === 'sent') this.#answerSent();
  }

  #answerSent(): void {
    const durableLsn = this.#volume.vdl;
    for (const { target, resolve } of this.#flushes) {
      if (target === undefined) return;
      if (target > this.#promisedLsn) {
        this.#promisedLsn = target;
        // In this order: whoever is answered may tell of it at once, but for what stands there.
        this.#watch?.({ durableLsn, promisedLsn: target });
      }
      resolve({ kind: 'sent', sentLsn: target });
    }
  }

  #goOn(): void {
    this.#isScheduled = true;
    this.#options.clock.soon(() => {
      this.#isScheduled = false;
      this.on('due');
    });
  }

  #send(): void {
    if (this.#run.count === 0) return;
    this.#volume.append(this.#run);
    this.#run.clear();
  }

  #settle(): void {
    const durableLsn = this.#volume.vdl;
    for (let flush = this.#flushes[0]; flush?.target !== undefined && flush.target <= durableLsn; flush = this.#flushes[0]) {
      this.#flushes.shift();
      flush.resolve({ kind: 'durable', durableLsn });
      const now = this.#options.clock.now();
      this.#options.onFlushed((now - flush.startedAt) / 1000);
      this.#quickest.note(now - flush.startedAt, now);
    }
    if (this.#durableWaiters.length > 0) {
      const reached = this.#durableWaiters.filter((waiter) => waiter.lsn <= durableLsn);
      this.#durableWaiters = this.#durableWaiters.filter((waiter) => waiter.lsn > durableLsn);
      for (const waiter of reached) waiter.resolve({ kind: 'durable', durableLsn });
    }
    if (durableLsn > this.#watchedLsn) {
      this.#watchedLsn = durableLsn;
      this.#watch?.({ durableLsn, promisedLsn: this.#promisedLsn });
    }
  }

  /** Nothing is acknowledged from here on, and whoever waits hears why. */
  #end(end: WriteEnd): void {
    this.#phase = end;
    this.#volume.stop();
    const waiting = [...this.#flushes, ...this.#durableWaiters];
    this.#flushes = [];
    this.#durableWaiters = [];
    for (const one of waiting) one.resolve({ kind: end });
  }
}
