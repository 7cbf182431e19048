/**
 * The file that the shim and the agent share about the local cache of relation pages (compute-node/native/cache.c): the
 * agent sets the limit, the shim counts. It lives and goes with the data directory.
 *
 * Little-endian; blocks are pages of 8 KiB:
 *
 * | offset | type | field                                                                                      |
 * | ------ | ---- | ------------------------------------------------------------------------------------------ |
 * | 0      | u32  | magic 'CACH'                                                                               |
 * | 4      | u32  | bytes of all of this, 80                                                                   |
 * | 8      | u32  | limit, in blocks                                                                           |
 * | 12     | i32  | errno of a hole that could not be made in a file; 0 while they can                         |
 * | 16     | u64  | blocks of relation files that are local and can be let go of, now or later                 |
 * | 24     | u64  | blocks that PostgreSQL read and found here                                                 |
 * | 32     | u64  | blocks that it read and that came from the volume                                          |
 * | 40     | u64  | blocks that were let go of                                                                 |
 * | 48     | u64  | blocks that came from the volume and found no room                                         |
 * | 56     | u64  | of what could not be let go of when the cache was last over its limit: what a running      |
 * |        |      | transaction may have changed; 0 in this and the next two when it is within                 |
 * | 64     | u64  | … what was not durable yet                                                                 |
 * | 72     | u64  | … what storage could not give back: sequences, indexes being built                         |
 */
import { openSync, readSync, closeSync } from 'node:fs';
import { join } from 'node:path';
import { PAGE_BYTES } from '@kube-aurora/pg-format';

/** Its name in the data directory. */
export const CACHE_FILE = 'volume_cache';

const MAGIC = 0x48434143;
const FILE_BYTES = 80;
const BLOCKS_MAX = 0xffff_ffff;

/** As the agent writes it before PostgreSQL starts. */
export function encodeCacheFile(limitBytes: number): Buffer {
  const file = Buffer.alloc(FILE_BYTES);
  file.writeUInt32LE(MAGIC, 0);
  file.writeUInt32LE(FILE_BYTES, 4);
  file.writeUInt32LE(Math.min(BLOCKS_MAX, Math.floor(limitBytes / PAGE_BYTES)), 8);
  return file;
}

/** What the shim counted since PostgreSQL started. */
export interface CacheCounters {
  readonly limitBytes: number;
  readonly residentBytes: number;
  readonly pagesReadHere: number;
  readonly pagesFetched: number;
  readonly pagesEvicted: number;
  readonly pagesNotKept: number;
  /** All 0 while the cache is within its limit, or can be brought there. */
  readonly heldBytes: { readonly byTransactions: number; readonly undurable: number; readonly forGood: number };
  /** Why nothing can be let go of on this file system, as an errno; 0 when it can. */
  readonly punchErrno: number;
}

/** Undefined where no PostgreSQL was started. */
export function readCacheFile(dataDir: string): CacheCounters | undefined {
  const file = Buffer.alloc(FILE_BYTES);
  try {
    const descriptor = openSync(join(dataDir, CACHE_FILE), 'r');
    try {
      if (readSync(descriptor, file, 0, FILE_BYTES, 0) !== FILE_BYTES || file.readUInt32LE(0) !== MAGIC) return undefined;
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
  const count = (at: number): number => Number(file.readBigUInt64LE(at));
  return {
    limitBytes: file.readUInt32LE(8) * PAGE_BYTES,
    residentBytes: count(16) * PAGE_BYTES,
    pagesReadHere: count(24),
    pagesFetched: count(32),
    pagesEvicted: count(40),
    pagesNotKept: count(48),
    heldBytes: { byTransactions: count(56) * PAGE_BYTES, undurable: count(64) * PAGE_BYTES, forGood: count(72) * PAGE_BYTES },
    punchErrno: file.readInt32LE(12),
  };
}
