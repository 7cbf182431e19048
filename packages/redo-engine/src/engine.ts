import type { PageKey } from './page-key.ts';

/**
 * A database engine as storage sees it: which pages a record of its redo changes and how, and what a volume has beside
 * its pages. Storage keeps records, pages and states without understanding any of them. LSNs are of the engine's log,
 * ends of records exclusive.
 */

/**
 * Which engine, and which major version of it: layouts of records, pages and state are one engine's and one major
 * version's.
 */
export interface EngineId {
  readonly engine: string;
  readonly major: number;
}

/** 'postgres 18' */
export function formatEngine({ engine, major }: EngineId): string {
  return `${engine} ${major}`;
}

/** A decoded record. What else it has is its engine's. */
export interface RedoRecord {
  readonly lsn: bigint;
  readonly endLsn: bigint;
  /** As it stands in the log. Its first four bytes are its length (u32, little-endian), whatever the engine. */
  readonly raw: Buffer;
}

/** A page that a record changes. */
export interface TouchedPage extends PageKey {
  /** The result does not depend on what the page held before. */
  readonly replaces: boolean;
}

/**
 * What becomes of pages beyond what the record does to those that it touches. Pages that come into being need nothing.
 */
export type PageEffect =
  /** Every page of the spaces that begin with `spaces` is gone. */
  | { readonly kind: 'drop-spaces'; readonly spaces: string }
  /** Blocks of a space are gone, from `from` up to, not including, `before`. */
  | { readonly kind: 'drop-blocks'; readonly space: string; readonly from: number; readonly before: number }
  /**
   * Every page of the spaces that begin with `from` exists, as of this record, in the space that begins with `to`
   * instead as well.
   */
  | { readonly kind: 'copy-spaces'; readonly from: string; readonly to: string };

/**
 * Thrown when a record cannot be applied: unknown type, or a page that does not fit. Stops the segment; never skipped.
 */
export class RedoError extends Error {
  readonly lsn: bigint;
  readonly record: string;
  readonly page: string | undefined;
  constructor(what: string, where: { lsn: bigint; record: string; page: string | undefined }) {
    super(what);
    this.name = 'RedoError';
    this.lsn = where.lsn;
    this.record = where.record;
    this.page = where.page;
  }
}

/** A state that cannot be read: damaged, incomplete, or of a version that this program does not know. */
export class EngineStateError extends Error {
  readonly field: string;
  constructor(field: string, message: string) {
    super(`volume state, ${field}: ${message}`);
    this.name = 'EngineStateError';
    this.field = field;
  }
}

/** Is told of a page that a record changes; `replaces` as in {@link TouchedPage}. */
export type TouchPage = (space: string, block: number, replaces: boolean) => void;

/** Where records that are taken in many at once are noted: `count` places of each array, from `first` on. */
export interface RecordPlaces {
  readonly lsns: BigUint64Array;
  /** Of a record's LSN in the log. */
  readonly positions: Float64Array;
  readonly lengths: Uint32Array;
  readonly first: number;
  readonly count: number;
}

/** A redo batch, of which records are taken in many at once. */
export interface RecordsOf {
  /** Each record stands behind its LSN (u64, little-endian), at a multiple of 8. */
  readonly batch: Buffer;
  /** Its first byte's in the log. */
  readonly position: number;
  /** The first of them, of its LSN, and where the last one ends. */
  readonly at: number;
  readonly end: number;
  /** Records at or past it are not taken. */
  readonly limit: number;
}

/**
 * Is told of a page that records change which were taken in together. `refs` has, from `from` up to `to` and rising, which of them do: its number among them
 * times two, and 1 more where it replaces the page, as in {@link TouchedPage}. Of use during the call.
 */
export type TouchMany = (space: string, block: number, refs: Uint32Array, from: number, to: number) => void;

/** What a volume has beside its pages, as of one LSN. */
export interface EngineState {
  /** End of the last record that it was brought forward by. */
  readonly endLsn: bigint;
  /**
   * Takes in the record of `length` bytes that stands at byte `at`, and begins at `lsn`: tells of every page that it changes, under the settings
   * that the records before it made, and brings the state forward by it. Records come in order, each once. Gives what becomes of pages beyond
   * that. Throws when it is no record of this engine's, and RedoError; the state is of no use then.
   *
   * LSNs are numbers here, since this is what a daemon does for each record, and a bigint is made anew for each: exact up to 2^53.
   */
  take(bytes: Buffer, at: number, length: number, lsn: number, touch: TouchPage): readonly PageEffect[];
  /**
   * Takes in records as `take` does, of those that change pages alone: the first one, and all that follow up to one that is another, which `take` is to be asked
   * for. Notes where they are, tells of each page once, and gives how many they are.
   */
  takeMany(of: RecordsOf, places: RecordPlaces, touch: TouchMany): number;
  /** Equal states give equal bytes. */
  encode(): Buffer;
  /** The pages that a compute is given with it, before it starts. */
  imagePages(): PageKey[];
}

/** Which record changes which page, in the log's order: one place in each array for each of them. */
export interface RedoSteps {
  /** Of eight bytes in the log that are the record's LSN (u64, little-endian); the record follows them. */
  readonly positions: Float64Array;
  readonly lengths: Uint32Array;
  readonly lsns: BigUint64Array;
  /** Which of the pages it is. */
  readonly pages: Uint32Array;
}

/** The pages of a run: one place in each for each of them. */
export interface RedoPages {
  readonly keys: readonly PageKey[];
  /** Changed in place; all zero where it did not exist. Undefined where it is not to be changed. */
  readonly bytes: readonly (Buffer | undefined)[];
  /** Steps whose record begins below it are passed over. */
  readonly from: BigUint64Array;
  /** Counts the records that were applied. */
  readonly applied: Uint32Array;
}

/** Applies many records in one call, of those that are frequent. */
export interface RedoRunner {
  /**
   * Applies the steps from `first` on, before `end`, as far as their records stand in `log`, which begins at byte `position` of the log. Gives
   * the first step that was not applied, whose page is as it was: its record is not all in `log`, or not sound, or does not fit its page, or
   * is not one for a run. `redo` is asked then.
   */
  apply(log: Buffer, position: number, first: number, end: number): number;
}

export interface RedoEngine {
  readonly id: EngineId;
  /** Bytes of every page. */
  readonly pageBytes: number;
  /** Is a record, with what it carries, as its engine wrote it? */
  isRecordSound(raw: Buffer): boolean;
  /** Throws when it is no record of this engine's. */
  decode(raw: Buffer, lsn: bigint): RedoRecord;
  /** Every page that a record changes, whatever the settings were when it was written. */
  touched(record: RedoRecord): readonly TouchedPage[];
  /**
   * Applies a record to one of the pages that it touches, given as `touched` gave it. `page` is undefined or all zero
   * when it did not exist; it is changed in place and returned. Throws RedoError.
   */
  redo(page: Buffer | undefined, record: RedoRecord, touched: TouchedPage): Buffer;
  /** What applies runs of records, to the same result as `redo` one by one; undefined where an engine has no such thing. */
  readonly runner?: (steps: RedoSteps, pages: RedoPages) => RedoRunner;
  /** Throws EngineStateError. */
  decodeState(bytes: Buffer): EngineState;
  /** What is wrong with a key that somebody sent; undefined when it can name a page. */
  keyProblem(page: PageKey): string | undefined;
  /** What kind of record it is, for people. */
  describeRecord(record: RedoRecord): string;
  /** A page's name, for people. */
  describePage(page: PageKey): string;
}
