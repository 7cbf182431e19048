import { closeSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { WAL_SEGMENT_BYTES, offsetInSegment, segmentStart, walSegmentFileName, type Lsn } from '@kube-aurora/pg-format';

/** Reads are cut from slabs of this size: an allocation for each would cost more than the read. */
const SLAB_BYTES = 256 * 1024;

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
  readonly #directory: string;
  readonly #timeline: number;
  #slab = Buffer.alloc(0);
  #slabUsed = 0;
  #file: { readonly start: Lsn; readonly descriptor: number } | undefined;

  constructor(directory: string, timeline: number) {
    this.#directory = directory;
    this.#timeline = timeline;
  }

  /** Bytes [from, min(to, from + bytesMax, end of the segment file)); at least one. Throws LocalWalError, or the file system's error. */
  read(from: Lsn, to: bigint, bytesMax: number): Buffer {
    const offset = offsetInSegment(from);
    const length = Math.min(Number(to - from), bytesMax, WAL_SEGMENT_BYTES - offset);
    const bytes = this.#take(length);
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

  #take(length: number): Buffer {
    if (length > SLAB_BYTES / 2) return Buffer.allocUnsafeSlow(length);
    if (this.#slabUsed + length > this.#slab.length) {
      this.#slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
      this.#slabUsed = 0;
    }
    const bytes = this.#slab.subarray(this.#slabUsed, this.#slabUsed + length);
    this.#slabUsed += length;
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
