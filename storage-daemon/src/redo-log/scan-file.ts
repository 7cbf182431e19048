import type { Clock } from '@kube-aurora/clock';
import { decodeRedoBatchHeader, REDO_BATCH_HEADER_BYTES, RedoBatchError, type RedoBatchHeader } from '@kube-aurora/volume';
import type { BatchForm } from './batch-form.ts';
import { describeLink, linkTo, type ChainLink } from './log-chain.ts';
import type { LogFile } from './log-file.ts';

/** Reads a log file from the start and says where its sound batches end, and why. */

const READ_BYTES = 1024 * 1024;
const MAGIC_BYTES = Buffer.from('RDB1', 'latin1');
const ZERO_HEADER = Buffer.alloc(REDO_BATCH_HEADER_BYTES);

export interface ScannedBatch {
  readonly header: RedoBatchHeader;
  /** Valid until the next step of the scan. */
  readonly bytes: Buffer;
  /** That it takes in the file. */
  readonly storedBytes: number;
  readonly offset: number;
}

export interface ScanEnd {
  readonly offset: number;
  /** Undefined: only zeros follow, or nothing. Otherwise what is wrong with the bytes at `offset`. */
  readonly damage: string | undefined;
}

/** Bytes that are read at once. */
function stretchOf(file: LogFile): number {
  return Math.min(READ_BYTES, Math.max(2 * REDO_BATCH_HEADER_BYTES, file.capacity));
}

/**
 * Steps through sound, chained batches. `link` is where the chain stands before the file; undefined takes the first
 * batch's word. Throws KeyUnusableError at a batch that is as somebody wrote it and does not open: what is behind it is not to be cut off.
 */
export async function* scanFile(
  file: LogFile,
  form: BatchForm,
  link: ChainLink | undefined,
  clock: Clock,
): AsyncGenerator<ScannedBatch, ScanEnd> {
  let buffer = Buffer.allocUnsafe(stretchOf(file));
  let start = 0;
  let length = 0;
  let last = link;
  const fill = (want: number): number => {
    // Keeps file[start .. start+length) in the buffer, grown to `want` bytes where the file has them.
    if (want > buffer.length) {
      const bigger = Buffer.allocUnsafe(want);
      buffer.copy(bigger, 0, 0, length);
      buffer = bigger;
    }
    length += file.readHere(buffer, length, buffer.length - length, start + length);
    return length;
  };
  let within = 0;
  for (;;) {
    const offset = start + within;
    if (length - within < REDO_BATCH_HEADER_BYTES) {
      buffer.copyWithin(0, within, length);
      length -= within;
      start = offset;
      within = 0;
      fill(buffer.length);
      await clock.turn();
    }
    if (length - within < REDO_BATCH_HEADER_BYTES) {
      const rest = buffer.subarray(within, length);
      return { offset, damage: rest.every((byte) => byte === 0) ? undefined : `${rest.length} bytes are no batch` };
    }
    if (buffer.compare(ZERO_HEADER, 0, REDO_BATCH_HEADER_BYTES, within, within + REDO_BATCH_HEADER_BYTES) === 0)
      return { offset, damage: undefined };
    try {
      const { totalBytes } = decodeRedoBatchHeader(buffer, within);
      if (length - within < totalBytes) {
        buffer.copyWithin(0, within, length);
        length -= within;
        start = offset;
        within = 0;
        if (offset + totalBytes > file.capacity) return { offset, damage: `a batch of ${totalBytes} bytes runs past the end of the file` };
        fill(Math.max(buffer.length, totalBytes));
        await clock.turn();
      }
      const { header, batch } = form.fromDisk(buffer, within);
      if (last !== undefined && linkTo(last, header) !== 'next') return { offset, damage: describeLink(last, header) };
      last = { lsn: header.endLsn, epoch: header.epoch };
      yield { header, bytes: batch, storedBytes: totalBytes, offset };
      within += totalBytes;
    } catch (error) {
      if (error instanceof RedoBatchError) return { offset, damage: error.message };
      throw error;
    }
  }
}

/**
 * Headers of batches that are sound by themselves, wherever they stand in a stretch of a log file that begins at `at`:
 * behind damage too, and of batches that were annulled.
 */
export function* soundHeaders(bytes: Buffer, at: number): Generator<{ readonly header: RedoBatchHeader; readonly offset: number }> {
  for (let hit = bytes.indexOf(MAGIC_BYTES); hit >= 0 && hit + REDO_BATCH_HEADER_BYTES <= bytes.length;) {
    const offset = at + hit;
    const header = offset % 8 === 0 ? headerAt(bytes, hit) : undefined;
    if (header !== undefined) yield { header, offset };
    hit = bytes.indexOf(MAGIC_BYTES, hit + MAGIC_BYTES.length);
  }
}

function headerAt(bytes: Buffer, offset: number): RedoBatchHeader | undefined {
  try {
    return decodeRedoBatchHeader(bytes, offset);
  } catch (error) {
    if (error instanceof RedoBatchError) return undefined;
    throw error;
  }
}

/**
 * Highest end LSN of any batch whose header is sound, at or after `offset` and not before `lsn`; undefined when there
 * is none.
 */
export function findLaterBatch(file: LogFile, offset: number, lsn: bigint): bigint | undefined {
  let highest: bigint | undefined;
  const overlap = REDO_BATCH_HEADER_BYTES;
  const buffer = Buffer.allocUnsafe(stretchOf(file));
  for (let at = offset; at < file.capacity; at += buffer.length - overlap) {
    const got = file.readHere(buffer, 0, buffer.length, at);
    for (const { header, offset: found } of soundHeaders(buffer.subarray(0, got), at)) {
      if (header.backlink >= lsn && header.endLsn > (highest ?? 0n) && (header.backlink > lsn || found > offset)) highest = header.endLsn;
    }
    if (got < buffer.length) break;
  }
  return highest;
}
