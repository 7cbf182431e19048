import { formatLsn } from '@kube-aurora/pg-format';

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

/** The log was closed: its daemon stops, or a copy takes its place. No damage. */
export class LogClosedError extends Error {
  constructor() {
    super('the redo log is closed');
    this.name = 'LogClosedError';
  }
}
