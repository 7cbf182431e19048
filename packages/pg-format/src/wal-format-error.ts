import { formatLsn, type Lsn } from './lsn.ts';

/**
 * WAL bytes that do not follow PostgreSQL's format: damaged, torn, or of another version. The reader has to take the
 * bytes from another copy, or (at the tail of a log that is still being written) read them again later.
 */
export class WalFormatError extends Error {
  /** Where: start of the record or page that is wrong. */
  readonly lsn: Lsn;
  /** Which field of it. */
  readonly field: string;
  constructor(lsn: Lsn, field: string, message: string) {
    super(`WAL at ${formatLsn(lsn)}, ${field}: ${message}`);
    this.name = 'WalFormatError';
    this.lsn = lsn;
    this.field = field;
  }
}

/**
 * A stored PostgreSQL structure other than WAL (pg_control, a compressed page image) that does not follow its format.
 */
export class StructFormatError extends Error {
  readonly field: string;
  constructor(field: string, message: string) {
    super(`${field}: ${message}`);
    this.name = 'StructFormatError';
    this.field = field;
  }
}
