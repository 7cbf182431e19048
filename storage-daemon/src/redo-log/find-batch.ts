import { decodeRedoBatchHeader, REDO_BATCH_HEADER_BYTES, RedoBatchError, type RedoBatchHeader } from '@kube-aurora/volume';
import { KeyUnusableError } from '../disk/key-unusable-error.ts';
import { LogReadError } from './log-errors.ts';
import type { LogFile } from './log-file.ts';

/** Finds where a batch starts in a log file, by its backlink: from the nearest look-up point on, header by header. */

/** Runs a check of stored bytes. Throws LogReadError at `lsn` where it finds a batch unsound. */
export function checkedAt<T>(lsn: bigint, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw asLogReadError(lsn, error);
  }
}

/**
 * The error of a check of stored bytes as damage of the log at `lsn`; any other as it is. In a log that was opened, what fails its seal
 * was changed since: a peer's copy mends that.
 */
export function asLogReadError(lsn: bigint, error: unknown): unknown {
  return error instanceof RedoBatchError || error instanceof KeyUnusableError ? new LogReadError(lsn, error.message) : error;
}

/** Offset in `file` of the batch whose backlink is `lsn`. Throws LogReadError. */
export function offsetOfBatch(file: LogFile, lsn: bigint): number {
  const offset = findBatch(file, lsn);
  if (offset === undefined) throw new LogReadError(lsn, 'no batch starts there');
  return offset;
}

/** The same, undefined when no batch starts there. Throws LogReadError where a header on the way is damaged. */
export function findBatch(file: LogFile, lsn: bigint): number | undefined {
  for (const { offset, header } of headersTo(file, lsn)) {
    if (header instanceof RedoBatchError) throw asLogReadError(lsn, header);
    if (header.backlink === lsn) return offset;
  }
  return undefined;
}

/**
 * Backlink of the batch that has redo right after `lsn`, which is before the file's end. Throws LogReadError where a
 * header on the way is damaged.
 */
export function backlinkOfBatchAt(file: LogFile, lsn: bigint): bigint {
  for (const { header } of headersTo(file, lsn)) {
    if (header instanceof RedoBatchError) throw asLogReadError(lsn, header);
    if (header.endLsn > lsn) return header.backlink;
  }
  throw new LogReadError(lsn, 'no batch has redo after it');
}

/**
 * The same for a batch whose own header may be damaged: then the batch before it says where it must stand. Undefined
 * when that cannot be known.
 */
export function offsetOfDamagedBatch(file: LogFile, lsn: bigint): number | undefined {
  let before = file.lookup(lsn) === 0 ? file.firstLsn : undefined;
  for (const { offset, header } of headersTo(file, lsn)) {
    if (before === lsn) return offset;
    if (header instanceof RedoBatchError) return undefined;
    if (header.backlink === lsn) return offset;
    before = header.endLsn;
  }
  return undefined;
}

/**
 * Headers one after the other, from the nearest look-up point at or before the batch whose backlink is `lsn` to that
 * batch, or to the first that cannot be read.
 */
function* headersTo(file: LogFile, lsn: bigint): Generator<{ readonly offset: number; readonly header: RedoBatchHeader | RedoBatchError }> {
  const bytes = Buffer.alloc(REDO_BATCH_HEADER_BYTES);
  for (let offset = file.lookup(lsn); offset < file.used;) {
    file.readHere(bytes, 0, bytes.length, offset);
    const header = headerOf(bytes);
    yield { offset, header };
    if (header instanceof RedoBatchError || header.backlink >= lsn) return;
    offset += header.totalBytes;
  }
}

function headerOf(bytes: Buffer): RedoBatchHeader | RedoBatchError {
  try {
    return decodeRedoBatchHeader(bytes);
  } catch (error) {
    if (error instanceof RedoBatchError) return error;
    throw error;
  }
}
