import type { Disk } from '../disk/disk.ts';
import type { Clock } from '@kube-aurora/clock';
import { join } from 'node:path';
import { formatLsn } from '@kube-aurora/pg-format/lsn';
import { checkRedoBatch, decodeRedoBatchHeader, REDO_BATCH_HEADER_BYTES, type EpochRun, type RedoBatchHeader } from '@kube-aurora/volume';
import { findBatch, offsetOfBatch, offsetOfDamagedBatch } from './find-batch.ts';
import type { DurableEvent } from './durable-event.ts';
import type { BatchForm } from './batch-form.ts';
import { GroupCommit } from './group-commit.ts';
import { LentLog, type OnAppended, type StartLane } from './lent-log.ts';
import { describeLink, linkTo, type ChainLink, type LogChain } from './log-chain.ts';
import { LogClosedError, LogGoneError } from './log-errors.ts';
import { logFileName, type LogFile } from './log-file.ts';
import { fileBytesOf } from './log-pace.ts';
import { LogReader } from './log-reader.ts';
import { recoverLog, type OnLogDamage, type OnScannedBatch } from './log-recovery.ts';
import { TailCache } from './tail-cache.ts';

/**
 * A segment's redo log: one unbroken chain of redo batches in append-only files, the truth of the segment. Here is what
 * changes it: append, annul, drop and repair. `reader` reads it; group-commit.ts brings it to disk; log-recovery.ts
 * opens it.
 *
 * Invariants: the chain on disk never has a hole (backlink and previous epoch of each batch name the one before it);
 * `durable` only names what an fdatasync has covered. While the log is lent (lent-log.ts) nobody else appends: whatever changes
 * it takes it back first, and with it everything that was appended.
 */

export interface RedoLogOptions {
  /** Told after each sync. */
  readonly durable: DurableEvent;
  /** The disk failed: nothing more is appended. */
  readonly onFailure: (error: Error) => void;
  readonly fileBytes: number;
  readonly tailCacheBytes: number;
  readonly disk: Disk;
  readonly clock: Clock;
  /** How batches stand on disk. */
  readonly form: BatchForm;
  /** Is a record as its engine wrote it? */
  readonly isRecordSound: (raw: Buffer) => boolean;
}

export class RedoLog {
  readonly reader: LogReader;
  readonly #directory: string;
  readonly #disk: Disk;
  readonly #form: BatchForm;
  readonly #fileBytes: number;
  /** In [0, 1), its own for each log: see log-pace.ts. */
  readonly #phase: number;
  readonly #chain: LogChain;
  readonly #cache: TailCache;
  readonly #commit: GroupCommit;
  readonly #durable: DurableEvent;
  #lent: LentLog | undefined;
  #isClosed = false;

  private constructor(directory: string, options: RedoLogOptions, chain: LogChain) {
    this.#directory = directory;
    this.#disk = options.disk;
    this.#form = options.form;
    this.#phase = options.clock.random();
    this.#fileBytes = fileBytesOf(options.fileBytes, this.#phase);
    this.#chain = chain;
    this.#cache = new TailCache(options.tailCacheBytes);
    this.reader = new LogReader(chain, this.#cache, options.form, options.isRecordSound);
    const { disk, clock, durable, onFailure } = options;
    this.#durable = durable;
    this.#commit = new GroupCommit({ directory, disk, clock, chain, durable, onFailure });
  }

  /**
   * Opens the log in `directory` (made when absent), checking every batch. `start` is where the chain stands when there
   * are no files. A torn last write is cut off; damage before sound batches is told to `onDamage`, and cut off once
   * that has resolved.
   */
  static async open(
    directory: string,
    options: RedoLogOptions,
    start: ChainLink,
    onBatch: OnScannedBatch,
    onDamage: OnLogDamage,
  ): Promise<RedoLog> {
    const { disk, clock, form } = options;
    return new RedoLog(directory, options, await recoverLog({ directory, disk, clock, form }, start, onBatch, onDamage));
  }

  /** End of the chain, written or about to be. A new batch must link to it. */
  get tail(): ChainLink {
    return this.#chain.tail;
  }

  /** End of what is on disk. */
  get durable(): ChainLink {
    return this.#chain.durable;
  }

  get startLsn(): bigint {
    return this.#chain.start.lsn;
  }

  get runs(): readonly EpochRun[] {
    return this.#chain.runs;
  }

  get bytes(): number {
    return this.#chain.bytes;
  }

  /** Nothing is taken any more, and nothing given. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  get cachedBytes(): number {
    return this.#cache.bytes;
  }

  /** Bytes that wait for the disk. */
  get waitingBytes(): number {
    return this.#commit.waitingBytes;
  }

  /** Calls of fdatasync. */
  get syncs(): number {
    return this.#commit.syncs;
  }

  get failure(): Error | undefined {
    return this.#commit.failure;
  }

  /** Epoch of the batch that ends at or covers `lsn`; undefined outside the log. */
  epochAt(lsn: bigint): bigint | undefined {
    return lsn < this.#chain.start.lsn || lsn > this.#chain.tail.lsn ? undefined : this.#chain.epochOf(lsn);
  }

  /**
   * Does a batch end at `lsn`, or the log start there? Of what is on disk. Throws LogReadError where a header is
   * damaged.
   */
  isBatchEnd(lsn: bigint): boolean {
    const { start, durable } = this.#chain;
    if (lsn === start.lsn || lsn === durable.lsn) return true;
    const file = lsn < start.lsn || lsn > durable.lsn ? undefined : this.#chain.fileFrom(lsn);
    return file !== undefined && findBatch(file, lsn) !== undefined;
  }

  /**
   * Appends a batch that was checked and links to `tail` (asserted). Returns its position; it is on disk once `durable`
   * has reached its end.
   */
  append(header: RedoBatchHeader, batch: Buffer): number {
    this.takeBack();
    if (this.#isClosed) throw new LogClosedError();
    if (this.#commit.failure !== undefined) throw this.#commit.failure;
    const chain = this.#chain;
    if (linkTo(chain.tail, header) !== 'next')
      throw new Error(`batch at ${formatLsn(header.startLsn)}: ${describeLink(chain.tail, header)}`);
    const stored = this.#form.toDisk(batch);
    const file = this.#fileFor(header.backlink, stored.length);
    const offset = file.used;
    chain.extend(file, header, stored.length);
    const position = file.base + offset;
    this.#cache.push(position, batch, header);
    this.#commit.add(stored, file, offset, chain.tail);
    return position;
  }

  /**
   * Lends the log: `start` is given where the next batch goes, and what is appended meanwhile comes by `LentLog`, and is told to
   * `onAppended`. Gives undefined where it is not lent, and 'busy' where it can be as soon as what was appended is durable and `start` has a use for it.
   */
  lend(start: StartLane, onAppended: OnAppended): LentLog | 'busy' | undefined {
    this.takeBack();
    const file = this.#chain.files.at(-1);
    // What is sealed on its way to the disk is sealed here.
    if (file === undefined || this.#form.extraBytes > 0 || this.#isClosed || !this.#commit.mayLendSoon) return undefined;
    if (!this.#commit.mayLend) return 'busy';
    const place = file.ready;
    if (place === undefined) return undefined;
    const lent = new LentLog({
      file,
      chain: this.#chain,
      cache: this.#cache,
      commit: this.#commit,
      durable: this.#durable,
      onAppended,
    });
    const lane = start({ ...place, end: this.#chain.tail }, lent);
    if (lane === undefined) return 'busy';
    lent.began(lane);
    this.#lent = lent;
    return lent;
  }

  /** What whom the log is lent to has appended is in the chain when it returns. */
  refresh(): void {
    this.#lent?.refresh();
  }

  /** Nobody else appends from here on, and everything that was appended meanwhile is in the chain. */
  takeBack(): void {
    const lent = this.#lent;
    this.#lent = undefined;
    lent?.takeBack();
  }

  #fileFor(backlink: bigint, bytes: number): LogFile {
    const current = this.#chain.files.at(-1);
    if (current !== undefined && current.room >= bytes) return current;
    const path = join(this.#directory, logFileName(backlink));
    return this.#chain.planFile(this.#disk, path, backlink, Math.max(this.#fileBytes, bytes), this.#phase);
  }

  /** Resolves when everything appended so far is on disk; rejects when the disk failed. */
  flushed(): Promise<void> {
    this.takeBack();
    return this.#commit.flushed();
  }

  /**
   * Annuls, durably, every batch that ends past `lsn`, a batch boundary at or after the log's start. Returns the byte
   * position from which on records are gone, or undefined when none was.
   */
  async annul(lsn: bigint): Promise<number | undefined> {
    await this.flushed();
    const { files, start, tail } = this.#chain;
    if (lsn >= tail.lsn) return undefined;
    if (lsn < start.lsn) throw new LogGoneError(lsn, start.lsn);
    let removedFrom: number | undefined;
    // Later files first, so that a crash in between leaves a shorter chain and never a hole.
    for (let file = files.at(-1); file !== undefined && file.firstLsn >= lsn; file = files.at(-1)) {
      removedFrom = file.base;
      files.pop();
      await this.#remove(file);
    }
    const file = files.at(-1);
    if (file !== undefined && file.endLsn > lsn) {
      const offset = offsetOfBatch(file, lsn);
      removedFrom = file.base + offset;
      await file.cutOff(offset, lsn);
    }
    this.#chain.endAt(lsn);
    if (removedFrom === undefined) return undefined;
    this.#cache.forgetFrom(removedFrom);
    this.reader.forget();
    return removedFrom;
  }

  /** Puts a sound copy in the place of a damaged batch: same backlink, same length. Durable when it resolves. */
  async replaceBatch(batch: Buffer): Promise<boolean> {
    const header = checkRedoBatch(batch);
    const stored = this.#form.toDisk(batch.subarray(0, header.totalBytes));
    const file = this.#chain.fileFrom(header.backlink);
    if (file === undefined || header.endLsn > this.#chain.durable.lsn) return false;
    const offset = offsetOfDamagedBatch(file, header.backlink);
    if (offset === undefined || offset + stored.length > file.used) return false;
    // What follows must link to it, or it is another length than the batch that stood here.
    if (offset + stored.length < file.used) {
      const next = Buffer.alloc(REDO_BATCH_HEADER_BYTES);
      file.readHere(next, 0, next.length, offset + stored.length);
      if (decodeRedoBatchHeader(next).backlink !== header.endLsn) return false;
    }
    await file.overwrite([stored], offset, stored.length);
    await file.sync();
    this.reader.forget();
    return true;
  }

  /** Drops files whose batches all end at or below `lsn`; the newest file stays. Returns the bytes dropped. */
  async dropBelow(lsn: bigint): Promise<number> {
    const { files } = this.#chain;
    let dropped = 0;
    for (let file = files[0]; file !== undefined && files.length > 1 && file.endLsn <= lsn; file = files[0]) {
      const next = files[1];
      if (next === undefined || !next.isCreated) break;
      this.#chain.startAt(file.endLsn);
      files.shift();
      dropped += file.used;
      await this.#remove(file);
    }
    return dropped;
  }

  /**
   * Forgets everything and starts a new chain at `start`: what was held is covered by stored pages, or a copy took its
   * place.
   */
  async restart(start: ChainLink): Promise<void> {
    await this.flushed();
    const { files } = this.#chain;
    for (let file = files.pop(); file !== undefined; file = files.pop()) await this.#remove(file);
    this.#chain.restart(start);
    this.#cache.forgetFrom(0);
    this.reader.forget();
  }

  /**
   * Durable before the next one goes: files vanish in the order in which they are removed, and the chain never has a
   * hole.
   */
  async #remove(file: LogFile): Promise<void> {
    await file.remove();
    await this.#disk.syncDirectory(this.#directory);
  }

  /** What was appended before is on disk when it resolves; nothing is taken any more. */
  async close(): Promise<void> {
    this.takeBack();
    this.#isClosed = true;
    await this.#commit.settled();
    for (const file of this.#chain.files) await file.close();
  }
}
