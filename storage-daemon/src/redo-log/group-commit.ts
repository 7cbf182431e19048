import type { Clock } from '@kube-aurora/clock';
import type { Disk } from '../disk/disk.ts';
import type { DurableEvent } from './durable-event.ts';
import type { ChainLink, LogChain } from './log-chain.ts';
import { LendPace } from './lend-pace.ts';
import type { LogFile } from './log-file.ts';
import { SyncPace, type SyncPlace } from './sync-pace.ts';

/**
 * Brings appended batches to disk: all that wait at the same time for the same file share one write and one fdatasync.
 *
 * Invariant: the chain's `durable` moves only after the fdatasync that covers it. After a failure nothing is written
 * any more: what the disk holds past `durable` is unknown.
 */

const GROUP_BYTES_MAX = 4 * 1024 * 1024;

interface WaitingBatch {
  readonly batch: Buffer;
  readonly file: LogFile;
  readonly offset: number;
  readonly end: ChainLink;
}

/** Batches that go to disk with one write and one sync, in one file. */
interface Group {
  readonly file: LogFile;
  readonly offset: number;
  readonly batches: readonly Buffer[];
  readonly bytes: number;
  readonly end: ChainLink;
}

export interface GroupCommitOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly directory: string;
  readonly chain: LogChain;
  /** Told after each fdatasync, when the chain's `durable` has moved. */
  readonly durable: DurableEvent;
  readonly onFailure: (error: Error) => void;
}

export class GroupCommit {
  readonly #options: GroupCommitOptions;
  #waiting: WaitingBatch[] = [];
  #waitingBytes = 0;
  /** A group is being written, or will be in this turn of the event loop. */
  #isWriting = false;
  #whenSettled: (() => void)[] = [];
  #failure: Error | undefined;
  readonly #pace = new SyncPace();
  readonly #lendPace = new LendPace();
  /** Kept, so that a group makes no function. */
  readonly #writeGathered = (): void => this.#writeHere();
  syncs = 0;

  constructor(options: GroupCommitOptions) {
    this.#options = options;
  }

  /** Bytes that are not on disk yet. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Takes the next batch, to be written at `offset` of `file`; `end` becomes durable with it. */
  add(batch: Buffer, file: LogFile, offset: number, end: ChainLink): void {
    this.#waiting.push({ batch, file, offset, end });
    this.#waitingBytes += batch.length;
    if (this.#isWriting) return;
    this.#isWriting = true;
    this.#next();
  }

  /** May somebody else write for a while? Nothing waits, and the disk is quick enough. */
  get mayLend(): boolean {
    return !this.#isWriting && this.mayLendSoon;
  }

  /** What waits will not for long, and then somebody else may. */
  get mayLendSoon(): boolean {
    return this.#failure === undefined && this.#lendPace.isQuick;
  }

  /** Who was lent the log brought batches to disk, in so many milliseconds, and filled the file ahead: `chain` has them as its end. */
  lentSynced(file: LogFile, ms: number, aheadBytes: number): void {
    this.syncs++;
    file.noteSynced(ms, aheadBytes);
    this.#lendPace.note(ms);
  }

  /** The disk failed under who was lent the log. */
  lentFailed(error: Error): void {
    this.#fail(error);
  }

  /** Resolves when everything added so far is on disk, or the disk has failed. */
  settled(): Promise<void> {
    if (!this.#isWriting) return Promise.resolve();
    return new Promise((resolve) => this.#whenSettled.push(resolve));
  }

  /** Resolves when everything added so far is on disk; rejects when the disk failed. */
  async flushed(): Promise<void> {
    await this.settled();
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Sees to what waits, if anything does. */
  #next(): void {
    if (this.#waiting.length === 0) this.#settle();
    // On this thread what arrived together must be let in first; while the pool syncs, more gathers.
    else if (this.#pace.placeFor(this.#waitingBytes) !== 'pool') this.#options.clock.soon(this.#writeGathered);
    else void this.#writeThroughPool();
  }

  #settle(): void {
    this.#isWriting = false;
    const waiting = this.#whenSettled;
    if (waiting.length === 0) return;
    this.#whenSettled = [];
    for (const resolve of waiting) resolve();
  }

  /** Writes a group on this thread, with no promise and no hop to another, where it is small and the disk is quick. */
  #writeHere(): void {
    const group = this.#group();
    const { file, bytes } = group;
    const place = this.#pace.placeFor(bytes);
    if (place === 'pool' || !file.isReadyFor(group.offset, bytes)) {
      void this.#writeThroughPool();
      return;
    }
    try {
      file.writeHere(group.batches, group.offset);
      if (place === 'timed') this.#note(place, file.syncTimed());
      else {
        const startedAt = this.#options.clock.now();
        file.syncHere();
        this.#note(place, this.#options.clock.now() - startedAt);
      }
      this.#durable(group);
    } catch (error) {
      this.#fail(error);
    }
    this.#next();
  }

  #note(place: SyncPlace, ms: number): void {
    this.#pace.note(place, ms);
    this.#lendPace.note(ms);
  }

  async #writeThroughPool(): Promise<void> {
    try {
      const group = this.#group();
      const { file } = group;
      if (!file.isCreated) await this.#create(file);
      await file.write(group.batches, group.offset, group.bytes);
      const startedAt = this.#options.clock.now();
      await file.sync();
      this.#note('pool', this.#options.clock.now() - startedAt);
      this.#durable(group);
    } catch (error) {
      this.#fail(error);
    }
    this.#next();
  }

  /** The oldest that wait, of one file; they stay in the queue until they are durable. */
  #group(): Group {
    const first = this.#waiting[0];
    if (first === undefined) throw new Error('nothing waits to be written');
    const { file, offset } = first;
    const batches: Buffer[] = [];
    let bytes = 0;
    let { end } = first;
    for (const waiting of this.#waiting) {
      if (waiting.file !== file || (batches.length > 0 && bytes >= GROUP_BYTES_MAX)) break;
      batches.push(waiting.batch);
      bytes += waiting.batch.length;
      ({ end } = waiting);
    }
    return { file, offset, batches, bytes, end };
  }

  /** A group is on disk. */
  #durable({ batches, bytes, end }: Group): void {
    this.syncs++;
    this.#waiting.splice(0, batches.length);
    this.#waitingBytes -= bytes;
    this.#options.chain.durable = end;
    this.#options.durable.emit(end);
  }

  #fail(error: unknown): void {
    this.#failure = error instanceof Error ? error : new Error(String(error));
    this.#waiting = [];
    this.#options.onFailure(this.#failure);
  }

  /** Makes a planned file, once the one before it is sealed. */
  async #create(file: LogFile): Promise<void> {
    const { chain, disk, directory } = this.#options;
    const before = chain.files[chain.files.indexOf(file) - 1];
    if (before !== undefined) await before.seal();
    await file.create();
    await disk.syncDirectory(directory);
  }
}
