import fs from 'node:fs';
import { join } from 'node:path';
import { formatLsn, recordCrcIsValid } from '@kube-aurora/pg-format';
import {
  checkRedoBatch,
  decodeRedoBatchHeader,
  REDO_BATCH_HEADER_BYTES,
  RedoBatchError,
  type EpochRun,
  type RedoBatchHeader,
} from '@kube-aurora/volume';
import { LogFile, logFileName, parseLogFileName, syncDirectory } from './log-file.ts';
import { findLaterBatch, scanFile, type ChainLink } from './scan-file.ts';
import { TailCache } from './tail-cache.ts';

/**
 * A segment's redo log: one unbroken chain of redo batches in append-only files, the truth of the segment.
 *
 * Invariants: the chain on disk never has a hole (backlink and previous epoch of each batch name the one before it);
 * `durable` only names what an fdatasync has covered; groups of batches that wait at the same time share one.
 */

export interface RedoLogOptions {
  readonly fileBytes: number;
  readonly tailCacheBytes: number;
}

/** Bytes of the log that failed their checks although sound batches follow them: damage, not a torn last write. */
export interface LogDamage {
  /** End of the chain before the damage. */
  readonly lsn: bigint;
  /** End of the last batch that was seen behind it. */
  readonly claimedLsn: bigint;
  readonly message: string;
}

/** Stored log bytes that fail their check when they are read back. */
export class LogReadError extends Error {
  readonly lsn: bigint;
  constructor(lsn: bigint, message: string) {
    super(`redo log at ${formatLsn(lsn)}: ${message}`);
    this.name = 'LogReadError';
    this.lsn = lsn;
  }
}

/** Asked for redo that the log has dropped. */
export class LogGoneError extends Error {
  constructor(lsn: bigint, startLsn: number) {
    super(`redo from ${formatLsn(lsn)} was dropped; the log starts at ${formatLsn(BigInt(startLsn))}`);
    this.name = 'LogGoneError';
  }
}

interface Pending {
  readonly batch: Buffer;
  readonly file: LogFile;
  readonly offset: number;
  readonly endLsn: bigint;
  readonly epoch: bigint;
}

/** What a scan at open gives for each batch; `bytes` is valid until the callback's promise settles. */
export type OnScannedBatch = (header: RedoBatchHeader, bytes: Buffer, position: number) => Promise<void>;

const GROUP_BYTES_MAX = 4 * 1024 * 1024;

export class RedoLog {
  readonly #directory: string;
  readonly #options: RedoLogOptions;
  readonly #files: LogFile[] = [];
  readonly #cache: TailCache;
  readonly #runs: EpochRun[] = [];
  #pending: Pending[] = [];
  #pendingBytes = 0;
  #tail: ChainLink;
  #durable: ChainLink;
  #startLsn: number;
  /** Epoch of the batch that ends at #startLsn. */
  #startEpoch: bigint;
  #nextBase = 0;
  #writing: Promise<void> | undefined;
  #failure: Error | undefined;
  damage: LogDamage | undefined;
  syncs = 0;
  /** Called after each fdatasync, when `durable` has moved. */
  onDurable: () => void = () => {};
  onFailure: (error: Error) => void = () => {};

  private constructor(directory: string, options: RedoLogOptions, start: ChainLink) {
    this.#directory = directory;
    this.#options = options;
    this.#cache = new TailCache(options.tailCacheBytes);
    this.#tail = start;
    this.#durable = start;
    this.#startLsn = Number(start.lsn);
    this.#startEpoch = start.epoch;
  }

  /**
   * Opens the log in `directory` (made when absent), checking every batch. `start` is where the chain stands when there
   * are no files. A torn last write is cut off; damage before sound batches is reported in `damage` and cut off too.
   */
  static async open(directory: string, options: RedoLogOptions, start: ChainLink, onBatch: OnScannedBatch): Promise<RedoLog> {
    await fs.promises.mkdir(directory, { recursive: true });
    const log = new RedoLog(directory, options, start);
    await log.#scan(onBatch);
    return log;
  }

  /** End of the chain, written or about to be. A new batch must link to it. */
  get tail(): ChainLink {
    return this.#tail;
  }

  /** End of what is on disk. */
  get durable(): ChainLink {
    return this.#durable;
  }

  get startLsn(): bigint {
    return BigInt(this.#startLsn);
  }

  get runs(): readonly EpochRun[] {
    return this.#runs;
  }

  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  get cachedBytes(): number {
    return this.#cache.bytes;
  }

  get bytes(): number {
    let bytes = 0;
    for (const file of this.#files) bytes += file.used;
    return bytes;
  }

  get failure(): Error | undefined {
    return this.#failure;
  }

  async #scan(onBatch: OnScannedBatch): Promise<void> {
    const names = fs
      .readdirSync(this.#directory)
      .filter((name) => parseLogFileName(name) !== undefined)
      .toSorted();
    let link: ChainLink | undefined;
    for (const [index, name] of names.entries()) {
      const path = join(this.#directory, name);
      if (this.damage !== undefined) {
        const later = await LogFile.open(path, parseLogFileName(name) ?? 0, 0);
        this.#claim(findLaterBatch(later, 0, this.damage.lsn));
        await later.remove();
        continue;
      }
      const file = await LogFile.open(path, parseLogFileName(name) ?? 0, this.#nextBase);
      const isLast = index === names.length - 1;
      const steps = scanFile(file, link);
      let step = await steps.next();
      while (step.done !== true) {
        const { header, bytes, offset } = step.value;
        if (link === undefined) {
          link = { lsn: header.backlink, epoch: header.previousEpoch };
          this.#startLsn = Number(header.backlink);
          this.#startEpoch = header.previousEpoch;
        }
        file.note(Number(header.backlink), Number(header.endLsn), header.totalBytes);
        this.#noteRun(header);
        link = { lsn: header.endLsn, epoch: header.epoch };
        await onBatch(header, bytes, file.base + offset);
        step = await steps.next();
      }
      const { offset, damage } = step.value;
      const end = link?.lsn ?? BigInt(file.firstLsn);
      const claimed = findLaterBatch(file, offset, end);
      if (claimed !== undefined || (!isLast && offset < file.capacity)) {
        this.damage = { lsn: end, claimedLsn: claimed ?? end, message: damage ?? 'zeros where a batch should be' };
      }
      if (file.used === 0) {
        await file.remove();
        continue;
      }
      if (damage !== undefined || this.damage !== undefined) await file.cut(offset, Number(end));
      this.#files.push(file);
      this.#nextBase = file.base + file.capacity;
    }
    if (link !== undefined) {
      this.#tail = link;
      this.#durable = link;
    }
  }

  #claim(lsn: bigint | undefined): void {
    if (this.damage !== undefined && lsn !== undefined && lsn > this.damage.claimedLsn) this.damage = { ...this.damage, claimedLsn: lsn };
  }

  #noteRun(header: RedoBatchHeader): void {
    const last = this.#runs.at(-1);
    if (last !== undefined && last.epoch === header.epoch) this.#runs[this.#runs.length - 1] = { ...last, toLsn: header.endLsn };
    else this.#runs.push({ epoch: header.epoch, fromLsn: header.backlink, toLsn: header.endLsn });
  }

  /**
   * Appends a batch that was checked and links to `tail` (asserted). Returns its position; it is on disk once `durable`
   * has reached its end.
   */
  append(header: RedoBatchHeader, batch: Buffer): number {
    if (this.#failure !== undefined) throw this.#failure;
    if (header.backlink !== this.#tail.lsn || header.previousEpoch !== this.#tail.epoch) {
      throw new Error(`batch at ${formatLsn(header.startLsn)} does not link to the log's end ${formatLsn(this.#tail.lsn)}`);
    }
    const file = this.#fileFor(Number(header.backlink), batch.length);
    const offset = file.used;
    file.note(Number(header.backlink), Number(header.endLsn), batch.length);
    this.#noteRun(header);
    this.#tail = { lsn: header.endLsn, epoch: header.epoch };
    const position = file.base + offset;
    this.#cache.push(position, batch);
    this.#pending.push({ batch, file, offset, endLsn: header.endLsn, epoch: header.epoch });
    this.#pendingBytes += batch.length;
    this.#writing ??= this.#writeGroups();
    return position;
  }

  /** Resolves when everything appended so far is on disk; rejects when the disk failed. */
  async flushed(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
    if (this.#failure !== undefined) throw this.#failure;
  }

  #fileFor(backlink: number, bytes: number): LogFile {
    const current = this.#files.at(-1);
    if (current !== undefined && current.room >= bytes) return current;
    const capacity = Math.max(this.#options.fileBytes, bytes);
    if (current !== undefined) this.#nextBase = Math.max(this.#nextBase, current.base + current.used);
    const file = LogFile.planned(join(this.#directory, logFileName(backlink)), backlink, this.#nextBase, capacity);
    this.#nextBase += capacity;
    this.#files.push(file);
    return file;
  }

  async #writeGroups(): Promise<void> {
    try {
      while (this.#pending.length > 0) await this.#writeGroup();
    } catch (error) {
      this.#failure = error instanceof Error ? error : new Error(String(error));
      this.#pending = [];
      this.onFailure(this.#failure);
    } finally {
      this.#writing = undefined;
    }
  }

  /** One write and one fdatasync for all that waits for the same file. */
  async #writeGroup(): Promise<void> {
    const first = this.#pending[0];
    if (first === undefined) return;
    const { file } = first;
    let count = 0;
    let bytes = 0;
    while (count < this.#pending.length && this.#pending[count]?.file === file && (count === 0 || bytes < GROUP_BYTES_MAX)) {
      bytes += this.#pending[count]?.batch.length ?? 0;
      count++;
    }
    const group = this.#pending.splice(0, count);
    if (!file.isCreated) {
      const before = this.#files[this.#files.indexOf(file) - 1];
      if (before !== undefined) await before.seal();
      await file.create();
      await syncDirectory(this.#directory);
    }
    await file.write(
      group.map((entry) => entry.batch),
      first.offset,
      bytes,
    );
    await file.sync();
    this.syncs++;
    const last = group.at(-1) ?? first;
    this.#durable = { lsn: last.endLsn, epoch: last.epoch };
    this.#pendingBytes -= bytes;
    this.onDurable();
  }

  /**
   * Annuls, durably, every batch that ends past `lsn`, a batch boundary at or after the log's start. Returns the byte
   * position from which on records are gone, or undefined when none was.
   */
  async truncate(lsn: bigint): Promise<number | undefined> {
    await this.flushed();
    const target = Number(lsn);
    if (lsn >= this.#tail.lsn) return undefined;
    if (target < this.#startLsn) throw new LogGoneError(lsn, this.#startLsn);
    let cutPosition: number | undefined;
    // Later files first, so that a crash in between leaves a shorter chain and never a hole.
    for (let file = this.#files.at(-1); file !== undefined && file.firstLsn >= target; file = this.#files.at(-1)) {
      cutPosition = file.base;
      this.#files.pop();
      await file.remove();
    }
    const file = this.#files.at(-1);
    if (file !== undefined && file.endLsn > target) {
      const offset = this.#offsetOf(file, target);
      cutPosition = file.base + offset;
      await file.cut(offset, target);
    }
    await syncDirectory(this.#directory);
    const epoch = this.#epochAt(lsn);
    while ((this.#runs.at(-1)?.fromLsn ?? -1n) >= lsn) this.#runs.pop();
    const last = this.#runs.at(-1);
    if (last !== undefined && last.toLsn > lsn) this.#runs[this.#runs.length - 1] = { ...last, toLsn: lsn };
    this.#tail = { lsn, epoch };
    this.#durable = this.#tail;
    if (cutPosition !== undefined) this.#cache.truncate(cutPosition);
    return cutPosition;
  }

  #epochAt(lsn: bigint): bigint {
    return this.#runs.find((run) => run.fromLsn < lsn && lsn <= run.toLsn)?.epoch ?? this.#startEpoch;
  }

  /** Epoch of the batch that ends at or covers `lsn`; undefined outside the log. */
  epochAt(lsn: bigint): bigint | undefined {
    return lsn < this.startLsn || lsn > this.#tail.lsn ? undefined : this.#epochAt(lsn);
  }

  /** Offset in `file` of the batch whose backlink is `lsn`. */
  #offsetOf(file: LogFile, lsn: number): number {
    const header = Buffer.allocUnsafe(REDO_BATCH_HEADER_BYTES);
    let offset = file.lookup(lsn);
    while (offset < file.used) {
      file.readSync(header, 0, header.length, offset);
      const { backlink, totalBytes } = this.#checked(BigInt(lsn), () => decodeRedoBatchHeader(header));
      if (Number(backlink) === lsn) return offset;
      if (Number(backlink) > lsn) break;
      offset += totalBytes;
    }
    throw new LogReadError(BigInt(lsn), 'no batch starts there');
  }

  #checked<T>(lsn: bigint, read: () => T): T {
    try {
      return read();
    } catch (error) {
      if (error instanceof RedoBatchError) throw new LogReadError(lsn, error.message);
      throw error;
    }
  }

  #fileAt(position: number): LogFile | undefined {
    for (let index = this.#files.length - 1; index >= 0; index--) {
      const file = this.#files[index];
      if (file !== undefined && file.base <= position) return file;
    }
    return undefined;
  }

  /** One record by the position of its LSN field; its LSN and its own CRC are checked. Throws LogReadError, LogGoneError. */
  readRecord(position: number, recordBytes: number, lsn: bigint): Buffer {
    const cached = this.#cache.get(position, 8 + recordBytes);
    if (cached !== undefined) return cached.subarray(8);
    const file = this.#fileAt(position);
    if (file === undefined) throw new LogGoneError(lsn, this.#startLsn);
    const bytes = Buffer.allocUnsafe(8 + recordBytes);
    const got = file.readSync(bytes, 0, bytes.length, position - file.base);
    const raw = bytes.subarray(8);
    if (got < bytes.length || bytes.readBigUInt64LE(0) !== lsn || raw.readUInt32LE(0) !== recordBytes || !recordCrcIsValid(raw)) {
      throw new LogReadError(lsn, 'the stored record fails its CRC');
    }
    return raw;
  }

  /**
   * Whole, checked batches from the one whose backlink is `lsn` on, about `maxBytes` of them (at least one), durable ones
   * only. Empty at the end. Throws LogGoneError before the log's start, LogReadError on damage.
   */
  batchesFrom(lsn: bigint, maxBytes: number): Buffer {
    if (lsn < this.startLsn) throw new LogGoneError(lsn, this.#startLsn);
    const durableEnd = this.#durable.lsn;
    if (lsn >= durableEnd) return Buffer.alloc(0);
    const target = Number(lsn);
    const file = this.#files.findLast((candidate) => candidate.firstLsn <= target);
    if (file === undefined) throw new LogGoneError(lsn, this.#startLsn);
    const start = this.#offsetOf(file, target);
    let bytes = Buffer.allocUnsafe(Math.min(Math.max(maxBytes, REDO_BATCH_HEADER_BYTES), file.used - start));
    let got = file.readSync(bytes, 0, bytes.length, start);
    const first = this.#checked(lsn, () => decodeRedoBatchHeader(bytes));
    if (first.totalBytes > bytes.length) {
      bytes = Buffer.allocUnsafe(first.totalBytes);
      got = file.readSync(bytes, 0, bytes.length, start);
    }
    let whole = 0;
    let next = lsn;
    while (got - whole >= REDO_BATCH_HEADER_BYTES && next < durableEnd) {
      const header = this.#checked(next, () => decodeRedoBatchHeader(bytes, whole));
      if (whole + header.totalBytes > got) break;
      this.#checked(next, () => checkRedoBatch(bytes, whole));
      if (header.backlink !== next) throw new LogReadError(next, 'the chain of stored batches is broken');
      next = header.endLsn;
      whole += header.totalBytes;
    }
    return bytes.subarray(0, whole);
  }

  /** A batch boundary at or before `lsn` that is known without reading the log; undefined outside it. */
  boundaryBefore(lsn: bigint): ChainLink | undefined {
    const target = Number(lsn);
    const file = this.#files.findLast((candidate) => candidate.firstLsn <= target);
    const boundary = file?.lookupLsn(target);
    if (boundary === undefined) return undefined;
    return { lsn: BigInt(boundary), epoch: this.#epochAt(BigInt(boundary)) };
  }

  /** A whole batch by its position, checked. Throws LogReadError. */
  readBatch(position: number, totalBytes: number): Buffer {
    const file = this.#fileAt(position);
    const bytes = Buffer.allocUnsafe(totalBytes);
    if (file === undefined || file.readSync(bytes, 0, totalBytes, position - file.base) < totalBytes) {
      throw new LogReadError(this.#tail.lsn, `no batch at byte ${position}`);
    }
    this.#checked(this.#tail.lsn, () => checkRedoBatch(bytes));
    return bytes;
  }

  /** Puts a sound copy in the place of a damaged batch: same backlink, same length. Durable when it resolves. */
  async replaceBatch(batch: Buffer): Promise<boolean> {
    const header = checkRedoBatch(batch);
    const target = Number(header.backlink);
    const file = this.#files.findLast((candidate) => candidate.firstLsn <= target);
    if (file === undefined || header.endLsn > this.#durable.lsn) return false;
    const offset = this.#findOffset(file, target);
    if (offset === undefined || offset + header.totalBytes > file.used) return false;
    // What follows must link to it, or it is another length than the batch that stood here.
    if (offset + header.totalBytes < file.used) {
      const next = Buffer.alloc(REDO_BATCH_HEADER_BYTES);
      file.readSync(next, 0, next.length, offset + header.totalBytes);
      if (decodeRedoBatchHeader(next).backlink !== header.endLsn) return false;
    }
    await file.write([batch.subarray(0, header.totalBytes)], offset, header.totalBytes);
    await file.sync();
    return true;
  }

  /** Like #offsetOf, but may step onto a damaged header: then the step before says where it must stand. */
  #findOffset(file: LogFile, lsn: number): number | undefined {
    const header = Buffer.alloc(REDO_BATCH_HEADER_BYTES);
    let offset = file.lookup(lsn);
    let expected: number | undefined;
    while (offset < file.used) {
      if (expected === lsn) return offset;
      file.readSync(header, 0, header.length, offset);
      try {
        const { backlink, endLsn, totalBytes } = decodeRedoBatchHeader(header);
        if (Number(backlink) === lsn) return offset;
        if (Number(backlink) > lsn) return undefined;
        expected = Number(endLsn);
        offset += totalBytes;
      } catch (error) {
        if (!(error instanceof RedoBatchError)) throw error;
        return expected === undefined && offset === 0 && file.firstLsn === lsn ? 0 : undefined;
      }
    }
    return undefined;
  }

  /** Drops files whose batches all end at or below `lsn`; the newest file stays. */
  async dropBelow(lsn: bigint): Promise<number> {
    let dropped = 0;
    for (let file = this.#files[0]; file !== undefined && this.#files.length > 1 && file.endLsn <= Number(lsn); file = this.#files[0]) {
      const next = this.#files[1];
      if (next === undefined || !next.isCreated) break;
      this.#startEpoch = this.#epochAt(BigInt(file.endLsn));
      this.#startLsn = file.endLsn;
      this.#files.shift();
      dropped += file.used;
      await file.remove();
    }
    if (dropped > 0) await syncDirectory(this.#directory);
    while (this.#runs.length > 1 && (this.#runs[0]?.toLsn ?? 0n) <= this.startLsn) this.#runs.shift();
    return dropped;
  }

  /** Forgets everything and starts a new chain at `start`: what was held is covered by stored pages, or a copy took its place. */
  async restart(start: ChainLink): Promise<void> {
    await this.flushed();
    for (let file = this.#files.pop(); file !== undefined; file = this.#files.pop()) await file.remove();
    await syncDirectory(this.#directory);
    this.#runs.length = 0;
    this.#cache.truncate(0);
    this.#tail = start;
    this.#durable = start;
    this.#startLsn = Number(start.lsn);
    this.#startEpoch = start.epoch;
  }

  async close(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
    for (const file of this.#files) await file.close();
  }
}
