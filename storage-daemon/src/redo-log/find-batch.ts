import { decodeRedoBatchHeader, REDO_BATCH_HEADER_BYTES, RedoBatchError } from '@kube-aurora/volume';
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

/** The error of a check of stored bytes as damage of the log at `lsn`; any other as it is. */
export function asLogReadError(lsn: bigint, error: unknown): unknown {
  return error instanceof RedoBatchError ? new LogReadError(lsn, error.message) : error;
}

/** Offset in `file` of the batch whose backlink is `lsn`. Throws LogReadError. */
export function offsetOfBatch(file: LogFile, lsn: bigint): number {
  const offset = findBatch(file, lsn);
  if (offset === undefined) throw new LogReadError(lsn, 'no batch starts there');
  return offset;
}

/** The same, undefined when no batch starts there. Throws LogReadError where a header on the way is damaged. */
export function findBatch(file: LogFile, lsn: bigint): number | undefined {
  const header = Buffer.allocUnsafe(REDO_BATCH_HEADER_BYTES);
  let offset = file.lookup(lsn);
  while (offset < file.used) {
    file.readHere(header, 0, header.length, offset);
    const { backlink, totalBytes } = checkedAt(lsn, () => decodeRedoBatchHeader(header));
    if (backlink === lsn) return offset;
    if (backlink > lsn) break;
    offset += totalBytes;
  }
  return undefined;
}

/**
 * The same for a batch whose own header may be damaged: then the batch before it says where it must stand. Undefined
 * when that cannot be known.
 */
export function offsetOfDamagedBatch(file: LogFile, lsn: bigint): number | undefined {
  const header = Buffer.alloc(REDO_BATCH_HEADER_BYTES);
  let offset = file.lookup(lsn);
  let expected: bigint | undefined;
  while (offset < file.used) {
    if (expected === lsn) return offset;
    file.readHere(header, 0, header.length, offset);
    try {
      const { backlink, endLsn, totalBytes } = decodeRedoBatchHeader(header);
      if (backlink === lsn) return offset;
      if (backlink > lsn) return undefined;
      expected = endLsn;
      offset += totalBytes;
    } catch (error) {
      if (!(error instanceof RedoBatchError)) throw error;
      return expected === undefined && offset === 0 && file.firstLsn === lsn ? 0 : undefined;
    }
  }
  return undefined;
}
