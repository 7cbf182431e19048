import type { Checkpoint } from '../pages/stored-pages.ts';

/**
 * When a checkpoint is due. Daemons of a volume hold the same redo, so if only its amount counted they would all make
 * theirs at the same moment, and every write to the volume would wait for four busy ones. Each has its own places in
 * the log instead: one in every stretch of `bytes`, moved by its `stagger`.
 */
export interface CheckpointLimits {
  /** Redo between two checkpoints. */
  readonly bytes: number;
  /** References in memory that start one wherever the log stands. */
  readonly refs: number;
  /** 0 to 1: which part of a stretch comes before this daemon's place. */
  readonly stagger: number;
}

export interface SinceCheckpoint {
  readonly checkpoint: Checkpoint;
  readonly appliedLsn: bigint;
  /** Of log. */
  readonly bytes: number;
  readonly refs: number;
}

/** Redo below this part of a stretch is not worth a checkpoint: WAL was skipped, or references have just forced one. */
const LEAST = 0.25;
/** The log has more bytes than LSNs, and need not move through a place for long. */
const MOST = 1.5;

export function isCheckpointDue(limits: CheckpointLimits, { checkpoint, appliedLsn, bytes, refs }: SinceCheckpoint): boolean {
  if (appliedLsn <= checkpoint.lsn) return false;
  if (refs > limits.refs || bytes > limits.bytes * MOST) return true;
  const stretch = (lsn: bigint): number => Math.floor((Number(lsn) - limits.stagger * limits.bytes) / limits.bytes);
  return bytes > limits.bytes * LEAST && stretch(appliedLsn) > stretch(checkpoint.lsn);
}

/**
 * So many times what starts a checkpoint may be past the last one while a writer has much to write: what merging takes
 * is taken from it, on a machine or a disk that both use, and a load is over sooner than so much has gathered.
 */
const BACKLOG_MAY = 3;
/** When nothing else may be done before it is made. It bounds memory, and what is read again after a crash. */
const BACKLOG_FULL = 4;

/** How far behind checkpoints are: 0 or less for what may wait, 1 when one must be made with all there is. */
export function backlogOf(limits: CheckpointLimits, { bytes, refs }: Pick<SinceCheckpoint, 'bytes' | 'refs'>): number {
  return (Math.max(bytes / limits.bytes, refs / limits.refs) - BACKLOG_MAY) / (BACKLOG_FULL - BACKLOG_MAY);
}
