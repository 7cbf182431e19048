import { formatLsn } from '@kube-aurora/pg-format/lsn';
import type { ChainLink } from './log-chain.ts';

/** Why redo cannot be read from a log, or not be appended to it. */

/** Stored log bytes that fail their check when they are read back. */
export class LogReadError extends Error {
  readonly lsn: bigint;
  constructor(lsn: bigint, message: string) {
    super(`redo log at ${formatLsn(lsn)}: ${message}`);
    this.name = 'LogReadError';
    this.lsn = lsn;
  }
}

/** Asked for redo that the log has dropped. */
export class LogGoneError extends Error {
  constructor(lsn: bigint, startLsn: bigint) {
    super(`redo from ${formatLsn(lsn)} was dropped; the log starts at ${formatLsn(startLsn)}`);
    this.name = 'LogGoneError';
  }
}

/** Asked for redo that the log does not have yet. */
export class LogAheadError extends Error {
  constructor(lsn: bigint, endLsn: bigint) {
    super(`redo is here up to ${formatLsn(endLsn)}, not to ${formatLsn(lsn)}`);
    this.name = 'LogAheadError';
  }
}

/**
 * Asked for the redo that follows a batch which this log does not have. `here`: the epoch of the one that it has there.
 */
export class LogForkedError extends Error {
  constructor({ lsn, epoch }: ChainLink, here: bigint | undefined) {
    super(`redo that ends at ${formatLsn(lsn)} is of epoch ${here ?? 'none'} here, not of ${epoch}`);
    this.name = 'LogForkedError';
  }
}

/** The log was closed: its daemon stops, or a copy takes its place. No damage. */
export class LogClosedError extends Error {
  constructor() {
    super('the redo log is closed');
    this.name = 'LogClosedError';
  }
}
