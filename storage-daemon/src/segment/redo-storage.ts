import type { RedoEngine } from '@kube-aurora/redo-engine';
import type { EpochRun, EpochStart, RedoBatchHeader } from '@kube-aurora/volume';
import type { LentLog, StartLane } from '../redo-log/lent-log.ts';
import type { ChainLink } from '../redo-log/log-chain.ts';
import { LogReadError } from '../redo-log/log-errors.ts';
import type { RedoLog } from '../redo-log/redo-log.ts';
import { redoFrom } from './redo-from.ts';

/**
 * What every segment holds once it has a volume's data: its redo log. A full one has pages beside it
 * (segment-storage.ts), a tail nothing (tail-storage.ts).
 */
export abstract class RedoStorage {
  /** Whose redo it is. */
  readonly engine: RedoEngine;
  protected readonly log: RedoLog;

  protected constructor(engine: RedoEngine, log: RedoLog) {
    this.engine = engine;
    this.log = log;
  }

  // Where it stands -------------------------------------------------------------------------------------------------

  /** Where the log starts: redo can be read from there on. */
  get start(): ChainLink {
    return { lsn: this.log.startLsn, epoch: this.log.epochAt(this.log.startLsn) ?? 0n };
  }

  get startLsn(): bigint {
    return this.log.startLsn;
  }

  /** End of the log, written or about to be: a new batch must link to it. */
  get tail(): ChainLink {
    return this.log.tail;
  }

  /** End of what is on disk. */
  get durable(): ChainLink {
    return this.log.durable;
  }

  /** Which epoch wrote what, oldest first. */
  get runs(): readonly EpochRun[] {
    return this.log.runs;
  }

  get logBytes(): number {
    return this.log.bytes;
  }

  /** Calls of fdatasync. */
  get logSyncs(): number {
    return this.log.syncs;
  }

  /** Newest redo in memory, bytes. */
  get tailCacheBytes(): number {
    return this.log.cachedBytes;
  }

  /** Redo up to here is applied, or, where nothing is applied, known to be durable on a quorum. */
  abstract get appliedLsn(): bigint;
  /** The highest VDL that was heard and counts. */
  abstract get vdl(): bigint;
  abstract get pgmrpl(): bigint;
  /** Stored pages have all redo up to here; 0n where there are none. */
  abstract get checkpointLsn(): bigint;
  /** Bytes that wait for the disk, and what waits to be applied past its own bound. */
  abstract get queuedBytes(): number;
  /** Bytes of the page store, about. */
  abstract storeBytes(): Promise<number>;

  // Redo in ---------------------------------------------------------------------------------------------------------

  /** Appends a checked batch that links to the tail. It is durable once `durable` has reached its end. */
  append(header: RedoBatchHeader, batch: Buffer): void {
    this.accept(header, this.log.append(header, batch));
  }

  /** A batch stands in the log, at `position`. */
  protected abstract accept(header: RedoBatchHeader, position: number): void;

  /** Lends the log: see RedoLog. */
  lend(start: StartLane): LentLog | 'busy' | undefined {
    return this.log.lend(start, (header, position) => this.accept(header, position));
  }

  /** Everything that was appended by whom the log is lent to is here when it returns. */
  refresh(): void {
    this.log.refresh();
  }

  /** Everything that was appended by whom the log is lent to is here when it returns, and nothing more is. */
  takeBack(): void {
    this.log.takeBack();
  }

  /** Resolves when everything appended so far is on disk; rejects when the disk failed. */
  flushed(): Promise<void> {
    return this.log.flushed();
  }

  /** Redo up to `lsn` is durable on a quorum, and may be applied. */
  abstract noteVdl(lsn: bigint): void;

  /** Nobody reads below `lsn` any more: pages may be stored as of it. */
  abstract notePgmrpl(lsn: bigint): void;

  /** Does a batch end at `lsn`, or the log start there? Throws LogReadError where a header is damaged. */
  isBatchEnd(lsn: bigint): boolean {
    return this.log.isBatchEnd(lsn);
  }

  /** Does a batch of that epoch end at `lsn`, or the log start there after one? Throws LogReadError where a header is damaged. */
  endsBatchOf(lsn: bigint, epoch: bigint): boolean {
    return this.log.epochAt(lsn) === epoch && this.log.isBatchEnd(lsn);
  }

  /** Annuls what `history` rules out, which is nothing that is durable: the caller asked (`refuseHistory`). Gives whether anything was. */
  abstract annul(history: readonly EpochStart[]): Promise<boolean>;

  // Redo out, and keeping it sound ----------------------------------------------------------------------------------

  /** Redo from a batch's end on: see redo-from.ts for what it promises. */
  redoFrom(from: ChainLink, toLsn?: bigint): AsyncIterable<Buffer> {
    return redoFrom(this.log, from, toLsn);
  }

  /** Redo that is on this disk and known to be durable on a quorum, up to here: no history annuls it. */
  get followableLsn(): bigint {
    const { lsn } = this.durable;
    return this.vdl < lsn ? this.vdl : lsn;
  }

  /**
   * Whole batches that follow the batch's end `fromLsn`, about `maxBytes` of them, none of which ends past
   * `followableLsn`, and where the last of them ends. Throws LogGoneError, LogReadError.
   */
  redoToFollow(fromLsn: bigint, maxBytes: number): { readonly batches: Buffer; readonly endLsn: bigint } {
    return this.log.reader.recentFrom(fromLsn, maxBytes, this.followableLsn);
  }

  /** Where the batch begins that has redo right after `lsn`; undefined while that is not here. Throws LogGoneError, LogReadError. */
  batchAt(lsn: bigint): bigint | undefined {
    return this.log.reader.batchAt(lsn);
  }

  /**
   * Reads about `bytes` of what is stored back, from where the last step ended, and has repaired what is damaged.
   * `repairLog` has a damaged stretch of the log repaired and says whether it was. Gives the bytes that were checked.
   */
  abstract scrubStep(bytes: number, repairLog: (lsn: bigint) => Promise<boolean>): Promise<number>;

  /** A batch boundary at or before `lsn` that is known without reading the log; undefined outside it. */
  boundaryBefore(lsn: bigint): ChainLink | undefined {
    return this.log.reader.boundaryBefore(lsn);
  }

  /** Is the batch that follows `lsn` as it was written? */
  isSoundAt(lsn: bigint): boolean {
    try {
      this.log.reader.batchesFrom(lsn, 1);
      return true;
    } catch (error) {
      if (error instanceof LogReadError) return false;
      throw error;
    }
  }

  /** Puts a sound copy in the place of a damaged batch: same backlink, same length. Gives whether it fitted. */
  replaceBatch(batch: Buffer): Promise<boolean> {
    return this.log.replaceBatch(batch);
  }

  /** Drops redo that is not needed here and that nobody holds, whole files of it. */
  abstract dropRedo(): Promise<void>;

  abstract close(): Promise<void>;
}
