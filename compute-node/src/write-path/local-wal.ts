import { closeSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { WAL_PAGE_BYTES, WAL_SEGMENT_BYTES, offsetInSegment, segmentStart, walSegmentFileName, type Lsn } from '@kube-aurora/pg-format';

/** A WAL segment file that is shorter than PostgreSQL said it wrote. */
export class LocalWalError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'LocalWalError';
  }
}

/**
 * Reads the WAL that our PostgreSQL has just written to its pg_wal. The bytes are in the page cache, so reads are
 * synchronous: a hop through the thread pool would cost more than the read, on the path of every commit.
 */
export class LocalWal {
  readonly volumeTimeline: number | undefined;
  readonly #directory: string;
  readonly #timeline: number;
  /** Read into again and again: an allocation for each read would cost more than the read. */
  #buffer = Buffer.alloc(0);
  #file: { readonly start: Lsn; readonly descriptor: number } | undefined;

  /** @param timeline that PostgreSQL writes on */
  constructor(directory: string, timeline: number, volumeTimeline: number = timeline) {
    this.#directory = directory;
    this.#timeline = timeline;
    this.volumeTimeline = volumeTimeline === timeline ? undefined : volumeTimeline;
  }

  /**
   * Bytes [from, min(to, from + bytesMax, end of the segment file)); at least one, and up to a page's end when `to` is
   * one. They hold until the next call. Throws LocalWalError, or the file system's error.
   */
  read(from: Lsn, to: bigint, bytesMax: number): Buffer {
    const offset = offsetInSegment(from);
    // No page header lies in two reads.
    const wholePages = Math.floor((offset + bytesMax) / WAL_PAGE_BYTES) * WAL_PAGE_BYTES - offset;
    const length = Math.min(Number(to - from), wholePages > 0 ? wholePages : bytesMax, WAL_SEGMENT_BYTES - offset);
    if (this.#buffer.length < length) this.#buffer = Buffer.allocUnsafeSlow(bytesMax);
    const bytes = this.#buffer.subarray(0, length);
    const descriptor = this.#open(from);
    let at = 0;
    while (at < length) {
      const taken = readSync(descriptor, bytes, at, length - at, offset + at);
      if (taken === 0)
        throw new LocalWalError(
          `${walSegmentFileName(this.#timeline, from)} ends at ${offset + at}; PostgreSQL wrote up to ${offset + length}`,
        );
      at += taken;
    }
    return bytes;
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file.descriptor);
    this.#file = undefined;
  }

  #open(position: Lsn): number {
    const start = segmentStart(position);
    if (this.#file?.start === start) return this.#file.descriptor;
    this.close();
    const descriptor = openSync(join(this.#directory, walSegmentFileName(this.#timeline, position)), 'r');
    this.#file = { start, descriptor };
    return descriptor;
  }
}
