import { decodeRedoBatchHeader, REDO_BATCH_HEADER_BYTES } from '@kube-aurora/volume';
import type { BatchForm, StoredBatch } from './batch-form.ts';
import { asLogReadError, backlinkOfBatchAt, checkedAt, offsetOfBatch } from './find-batch.ts';
import { describeLink, linkTo, type ChainLink, type LogChain } from './log-chain.ts';
import { LogGoneError, LogReadError } from './log-errors.ts';
import type { LogFile } from './log-file.ts';
import { SealedStretch } from './sealed-stretch.ts';
import type { TailCache } from './tail-cache.ts';

const NONE = Buffer.alloc(0);

/** Reads redo back from a log, from memory where it is new. Whatever comes from disk is checked again. */
export class LogReader {
  readonly #chain: LogChain;
  readonly #cache: TailCache;
  readonly #form: BatchForm;
  /** Where they are sealed. */
  readonly #sealed: SealedStretch | undefined;
  /** Is a record as its engine wrote it? */
  readonly isRecordSound: (raw: Buffer) => boolean;

  constructor(chain: LogChain, cache: TailCache, form: BatchForm, isRecordSound: (raw: Buffer) => boolean) {
    this.#chain = chain;
    this.#cache = cache;
    this.#form = form;
    this.#sealed = form.extraBytes === 0 ? undefined : new SealedStretch(form);
    this.isRecordSound = isRecordSound;
  }

  /**
   * The log from a record's LSN field on, with the record and as much of what follows it, up to `reach`, as the newest redo has in memory. A
   * view, valid until something is appended.
   */
  recent(position: number, recordBytes: number, reach = 0): Buffer | undefined {
    return this.#cache.view(position, 8 + recordBytes, reach);
  }

  /** A whole batch, where the newest redo has it in memory. A view, valid until something is appended. */
  recentBatch(position: number, totalBytes: number): Buffer | undefined {
    return this.#cache.view(position, totalBytes, totalBytes);
  }

  /**
   * One record by the position of its LSN field; its LSN and its own CRC are checked. Throws LogReadError,
   * LogGoneError.
   */
  record(position: number, recordBytes: number, lsn: bigint): Buffer {
    const recent = this.recent(position, recordBytes);
    if (recent !== undefined) return Buffer.from(recent.subarray(8, 8 + recordBytes));
    const file = this.#chain.fileAt(position);
    if (file === undefined) throw new LogGoneError(lsn, this.#chain.start.lsn);
    const bytes = Buffer.allocUnsafe(8 + recordBytes);
    const got = this.#fill(file, bytes, position, () => position + bytes.length, lsn);
    const raw = bytes.subarray(8);
    if (got < bytes.length || bytes.readBigUInt64LE(0) !== lsn || raw.readUInt32LE(0) !== recordBytes || !this.isRecordSound(raw)) {
      throw new LogReadError(lsn, 'the stored record fails its CRC');
    }
    return raw;
  }

  /**
   * Fills `into`, unchecked, with a record and what is cheap to have of what stands behind it, to `until()` at most; gives how many bytes
   * that are. Throws LogGoneError at `lsn`, the record's, and LogReadError where a sealed batch does not open.
   */
  readInto(into: Buffer, position: number, until: () => number, lsn: bigint): number {
    const file = this.#chain.fileAt(position);
    if (file === undefined) throw new LogGoneError(lsn, this.#chain.start.lsn);
    return this.#fill(file, into, position, until, lsn);
  }

  /** Of sealed batches the rest of the one that the record is in: what is opened is paid for, and the next record may be far off. */
  #fill(file: LogFile, into: Buffer, position: number, until: () => number, lsn: bigint): number {
    if (this.#sealed === undefined) return file.readHere(into, 0, Math.min(into.length, until() - position), position - file.base);
    const { position: from, stored } = this.#sealed.around(file, position, lsn, until);
    return stored.batch.copy(into, 0, position - from);
  }

  /** What stands at a position is another from now on. */
  forget(): void {
    this.#sealed?.forget();
  }

  /** A whole batch of `totalBytes` by its position, checked. Throws LogReadError. */
  batch(position: number, totalBytes: number): Buffer {
    const file = this.#chain.fileAt(position);
    const bytes = Buffer.allocUnsafe(totalBytes + this.#form.extraBytes);
    if (file === undefined || file.readHere(bytes, 0, bytes.length, position - file.base) < bytes.length) {
      throw new LogReadError(this.#chain.tail.lsn, `no batch at byte ${position}`);
    }
    return checkedAt(this.#chain.tail.lsn, () => this.#form.fromDisk(bytes, 0)).batch;
  }

  /**
   * Whole, checked batches from the one whose backlink is `lsn` on, about `maxBytes` of them (at least one), durable
   * ones only that end at or below `toLsn`, and where the last of them ends. Empty at the end. Throws LogGoneError
   * before the log's start, LogReadError on damage.
   */
  batchesFrom(lsn: bigint, maxBytes: number, toLsn?: bigint): { readonly batches: Buffer; readonly end: ChainLink } {
    const { start, durable } = this.#chain;
    if (lsn < start.lsn) throw new LogGoneError(lsn, start.lsn);
    let end: ChainLink = { lsn, epoch: this.#chain.epochOf(lsn) };
    const to = toLsn === undefined || toLsn > durable.lsn ? durable.lsn : toLsn;
    if (lsn >= to) return { batches: NONE, end };
    const file = this.#chain.fileFrom(lsn);
    if (file === undefined) throw new LogGoneError(lsn, start.lsn);
    const bytes = readStretch(file, offsetOfBatch(file, lsn), maxBytes, lsn);
    const found: Buffer[] = [];
    let whole = 0;
    try {
      for (const { header, batch } of storedBatchesIn(bytes, this.#form)) {
        if (linkTo(end, header) !== 'next') throw new LogReadError(end.lsn, describeLink(end, header));
        if (header.endLsn > to) break;
        end = { lsn: header.endLsn, epoch: header.epoch };
        whole += header.totalBytes;
        found.push(batch);
        if (end.lsn >= to) break;
      }
    } catch (error) {
      throw asLogReadError(end.lsn, error);
    }
    return { batches: this.#form.extraBytes === 0 ? bytes.subarray(0, whole) : Buffer.concat(found, whole), end };
  }

  /** The same, from memory where the first of them is there still, which needs no check. */
  recentFrom(lsn: bigint, maxBytes: number, toLsn: bigint): { readonly batches: Buffer; readonly endLsn: bigint } {
    const { start, durable } = this.#chain;
    const to = toLsn > durable.lsn ? durable.lsn : toLsn;
    const recent = lsn < start.lsn ? undefined : this.#cache.batchesFrom(lsn, to, maxBytes);
    if (recent !== undefined) return recent;
    const { batches, end } = this.batchesFrom(lsn, maxBytes, to);
    return { batches, endLsn: end.lsn };
  }

  /**
   * Backlink of the batch that has redo right after `lsn`; `lsn` itself where one ends. Undefined past the end of what
   * is on disk. Throws LogGoneError before the log's start, LogReadError on damage.
   */
  batchAt(lsn: bigint): bigint | undefined {
    const { start, durable } = this.#chain;
    if (lsn < start.lsn) throw new LogGoneError(lsn, start.lsn);
    if (lsn >= durable.lsn) return lsn === durable.lsn ? lsn : undefined;
    const file = this.#chain.fileFrom(lsn);
    if (file === undefined) throw new LogGoneError(lsn, start.lsn);
    return backlinkOfBatchAt(file, lsn);
  }

  /** A batch boundary at or before `lsn` that is known without reading the log; undefined outside it. */
  boundaryBefore(lsn: bigint): ChainLink | undefined {
    const boundary = this.#chain.fileFrom(lsn)?.lookupLsn(lsn);
    return boundary === undefined ? undefined : { lsn: boundary, epoch: this.#chain.epochOf(boundary) };
  }
}

/** The batches that stand back to back in bytes of a file, up to the last that is whole. Throws RedoBatchError, KeyUnusableError. */
function* storedBatchesIn(bytes: Buffer, form: BatchForm): Generator<StoredBatch> {
  for (let at = 0; bytes.length - at >= REDO_BATCH_HEADER_BYTES && decodeRedoBatchHeader(bytes, at).totalBytes <= bytes.length - at;) {
    const stored = form.fromDisk(bytes, at);
    yield stored;
    at += stored.header.totalBytes + form.extraBytes;
  }
}

/** About `maxBytes` from a batch on, and that batch whole. */
function readStretch(file: LogFile, offset: number, maxBytes: number, lsn: bigint): Buffer {
  let bytes = Buffer.allocUnsafe(Math.min(Math.max(maxBytes, REDO_BATCH_HEADER_BYTES), file.used - offset));
  let got = file.readHere(bytes, 0, bytes.length, offset);
  const first = checkedAt(lsn, () => decodeRedoBatchHeader(bytes));
  if (first.totalBytes > bytes.length) {
    bytes = Buffer.allocUnsafe(first.totalBytes);
    got = file.readHere(bytes, 0, bytes.length, offset);
  }
  return bytes.subarray(0, got);
}
