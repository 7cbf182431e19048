/** Every bound of one segment's memory and disk, in bytes unless the name says otherwise. */
export interface SegmentLimits {
  readonly logFileBytes: number;
  /** Newest redo kept in memory. */
  readonly tailCacheBytes: number;
  readonly pageCacheBytes: number;
  /** Stored versions whose places are in memory alone. */
  readonly flushPages: number;
  readonly levelCacheBytes: number;
  readonly levelWriteBufferBytes: number;
  /** Redo past the last checkpoint that starts the next: bytes of it, or page references. */
  readonly checkpointBytes: number;
  readonly checkpointRefs: number;
  /**
   * 0 to 1: where in each stretch of `checkpointBytes` this daemon makes its checkpoint, so that daemons of a volume
   * take turns.
   */
  readonly checkpointStagger: number;
  /** Milliseconds that work in the background may hold up appends and reads for. */
  readonly sliceMs: number;
  /** References to one page after which it is written in the background. */
  readonly chainMax: number;
  /** Log that is kept for peers that are behind; beyond it they copy the whole segment. */
  readonly logRetainBytes: number;
  /** Bytes that may wait for the disk before a stream is paused. */
  readonly queueBytes: number;
  /**
   * Durable redo that may wait to be applied; what is past it counts as queued. Without it a writer may run far ahead:
   * page reads would wait for as long as that takes to apply, and its references would fill the memory.
   */
  readonly unappliedBytes: number;
  /** Free bytes of the disk below which no redo is taken; a tenth of the disk where that is less. */
  readonly diskReserveBytes: number;
}

const MIB = 1024 * 1024;

export const DEFAULT_LIMITS: SegmentLimits = {
  logFileBytes: 64 * MIB,
  tailCacheBytes: 8 * MIB,
  pageCacheBytes: 8 * MIB,
  flushPages: 2048,
  levelCacheBytes: 4 * MIB,
  levelWriteBufferBytes: 2 * MIB,
  checkpointBytes: 48 * MIB,
  checkpointRefs: 300_000,
  checkpointStagger: 0,
  sliceMs: 2,
  chainMax: 256,
  logRetainBytes: 1024 * MIB,
  queueBytes: 16 * MIB,
  unappliedBytes: 32 * MIB,
  diskReserveBytes: 256 * MIB,
};
