import type { Clock } from '@kube-aurora/clock';
import type { Disk } from '../disk/disk.ts';
import type { DurableEvent } from './durable-event.ts';
import type { ChainLink, LogChain } from './log-chain.ts';
import type { LogFile } from './log-file.ts';
import { SyncPace } from './sync-pace.ts';

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

export interface GroupCommitParts {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly directory: string;
  readonly chain: LogChain;
  /** Told after each fdatasync, when the chain's `durable` has moved. */
  readonly durable: DurableEvent;
  readonly onFailure: (error: Error) => void;
}

export class GroupCommit {
  readonly #parts: GroupCommitParts;
  #waiting: WaitingBatch[] = [];
  #waitingBytes = 0;
  #writing: Promise<void> | undefined;
  #failure: Error | undefined;
  readonly #pace = new SyncPace();
  syncs = 0;

  constructor(parts: GroupCommitParts) {
    this.#parts = parts;
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
    this.#writing ??= this.#writeGroups();
  }

  /** Resolves when everything added so far is on disk, or the disk has failed. */
  async settled(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
  }

  /** Resolves when everything added so far is on disk; rejects when the disk failed. */
  async flushed(): Promise<void> {
    await this.settled();
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #writeGroups(): Promise<void> {
    try {
      while (this.#waiting.length > 0) await this.#writeGroup();
    } catch (error) {
      this.#failure = error instanceof Error ? error : new Error(String(error));
      this.#waiting = [];
      this.#parts.onFailure(this.#failure);
    } finally {
      this.#writing = undefined;
    }
  }

  async #writeGroup(): Promise<void> {
    const { chain, clock, durable } = this.#parts;
    const isQuick = this.#pace.isQuick(this.#waitingBytes);
    // While the pool syncs, more gathers; on this thread, what arrived together must be let in first.
    if (isQuick) await clock.turn();
    const first = this.#waiting[0];
    if (first === undefined) return;
    const { file } = first;
    let count = 0;
    let bytes = 0;
    while (count < this.#waiting.length && this.#waiting[count]?.file === file && (count === 0 || bytes < GROUP_BYTES_MAX)) {
      bytes += this.#waiting[count]?.batch.length ?? 0;
      count++;
    }
    const group = this.#waiting.splice(0, count);
    if (!file.isCreated) await this.#create(file);
    await file.write(
      group.map((entry) => entry.batch),
      first.offset,
      bytes,
    );
    const startedAt = clock.now();
    if (isQuick) file.syncHere();
    else await file.sync();
    this.#pace.note(clock.now() - startedAt);
    this.syncs++;
    chain.durable = (group.at(-1) ?? first).end;
    this.#waitingBytes -= bytes;
    durable.emit(chain.durable);
  }

  /** Makes a planned file, once the one before it is sealed. */
  async #create(file: LogFile): Promise<void> {
    const { chain, disk, directory } = this.#parts;
    const before = chain.files[chain.files.indexOf(file) - 1];
    if (before !== undefined) await before.seal();
    await file.create();
    await disk.syncDirectory(directory);
  }
}
