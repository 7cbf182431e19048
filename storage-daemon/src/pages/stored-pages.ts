import type { StoredValueError } from './stored-value.ts';

/** What a page store holds, as those see it who read and write it. */

export interface PageVersion {
  readonly lsn: bigint;
  readonly page: Buffer;
}

/** Versions of pages, in the order asked for; a damaged one is its error. */
export type StoredPages = readonly (PageVersion | StoredValueError | undefined)[];

export interface Checkpoint {
  readonly lsn: bigint;
  readonly epoch: bigint;
}
