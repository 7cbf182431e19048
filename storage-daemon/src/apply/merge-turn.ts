import type { Mark } from '../page-store/page-store.ts';

/**
 * When a merge is due. Daemons of a volume hold the same redo, so if only its amount counted they would all merge at the same moment, and every write
 * to the volume would wait for four busy ones. Each has its own places in the log instead: one in every stretch of
 * `bytes`, moved by its `phase`.
 */
export interface MergeLimits {
  /** Un-merged redo between two merges. */
  readonly bytes: number;
  /** References in memory that start one wherever the log stands. */
  readonly refs: number;
  /** 0 to 1: which part of a stretch comes before this daemon's place. */
  readonly phase: number;
}

export interface Unmerged {
  readonly mark: Mark;
  readonly appliedLsn: number;
  /** Of log. */
  readonly bytes: number;
  readonly refs: number;
}

/** Redo below this part of a stretch is not worth a merge: WAL was skipped, or references have just forced one. */
const LEAST = 0.25;
/** The log has more bytes than LSNs, and need not move through a place for long. */
const MOST = 1.5;

export function isMergeDue(limits: MergeLimits, { mark, appliedLsn, bytes, refs }: Unmerged): boolean {
  if (appliedLsn <= Number(mark.lsn)) return false;
  if (refs > limits.refs || bytes > limits.bytes * MOST) return true;
  const stretch = (lsn: number): number => Math.floor((lsn - limits.phase * limits.bytes) / limits.bytes);
  return bytes > limits.bytes * LEAST && stretch(appliedLsn) > stretch(Number(mark.lsn));
}
