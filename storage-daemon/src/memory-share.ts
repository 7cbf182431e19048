import type { SegmentLimits } from './segment/limits.ts';

/**
 * How the memory that a daemon is given is shared out. What the program itself takes (its code, V8's heap of a segment
 * with its indexes) is a constant; caches and queues share the rest, and so does what the garbage collector has yet to
 * find. Sizes are for one segment, which is what a daemon of one volume holds.
 */

const MIB = 1024 * 1024;

/** Of a daemon that has nothing to do, and of the index of the redo between two checkpoints. */
const PROGRAM_MIB = 136;
/** Below it the shares are too small to work with. */
export const MEMORY_MIB_MIN = 160;
export const MEMORY_MIB_DEFAULT = 200;

export interface MemoryShare {
  readonly limits: Pick<
    SegmentLimits,
    'tailCacheBytes' | 'pageCacheBytes' | 'levelCacheBytes' | 'levelWriteBufferBytes' | 'queueBytes' | 'unappliedBytes'
  >;
  /** Buffers that may be garbage are collected from here on, once the daemon has nothing to do. */
  readonly garbageBytes: number;
}

/** Whole pages of `part` of `bytes`, at most `max`. */
function share(bytes: number, part: number, max = Infinity): number {
  return Math.min(max, Math.floor((bytes * part) / 4096) * 4096);
}

export function memoryShare(memoryMib: number): MemoryShare {
  const rest = (memoryMib - PROGRAM_MIB) * MIB;
  return {
    limits: {
      tailCacheBytes: share(rest, 1 / 8, 64 * MIB),
      pageCacheBytes: share(rest, 1 / 8),
      levelCacheBytes: share(rest, 1 / 16),
      // LevelDB has two of them at a time.
      levelWriteBufferBytes: share(rest, 1 / 32, 16 * MIB),
      queueBytes: share(rest, 1 / 4, 64 * MIB),
      unappliedBytes: share(rest, 1 / 2, 128 * MIB),
    },
    garbageBytes: share(rest, 1 / 4, 64 * MIB),
  };
}
