import type { Lsn } from '@kube-aurora/pg-format';

/**
 * Redo that is durable on a write quorum, and so will never be annulled: whole records, in order. What follows it
 * begins with its `endLsn`.
 */
export interface DurableRedo {
  /** End of the record before the first one. */
  readonly startLsn: Lsn;
  /** End of the last record. */
  readonly endLsn: Lsn;
  /**
   * As a redo batch's payload has them: each record, as in WAL, after its LSN, and filled up to a multiple of 8.
   * `recordsIn` (packages/volume) reads them.
   */
  readonly records: Buffer;
}
