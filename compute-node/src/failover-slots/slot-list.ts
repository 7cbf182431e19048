/**
 * The replication slots of the volume's writer, as the volume keeps a list of them: what PostgreSQL's own view says of each, so that
 * a reader's PostgreSQL can keep slots of its own up with them, and a later writer knows which there were.
 *
 * It stands in a large object of the database `postgres`: pages of the volume like any other, so it is durable, comes to readers with
 * the redo that it speaks of, and what an overtaken writer says of it counts for nothing. Only superusers write it, and no publication
 * ever has it in it, as it would a table.
 */
import { lsn, parseLsn, type Lsn } from '@kube-aurora/pg-format';

/** Below those that PostgreSQL gives by itself (FirstNormalObjectId). */
export const SLOT_LIST_OID = 7518;

/** Of pg_replication_slots; each as text. */
export const SLOT_COLUMNS = [
  'slot_name',
  'slot_type',
  'plugin',
  'database',
  'confirmed_flush_lsn',
  'restart_lsn',
  'catalog_xmin',
  'two_phase',
  'two_phase_at',
  'failover',
  'invalidation_reason',
] as const;

export type SlotColumn = (typeof SLOT_COLUMNS)[number];
export type SlotRow = Readonly<Record<SlotColumn, string | null>> & { readonly slot_name: string };

/** The columns that go forward by themselves while a slot is used. */
const POSITIONS: readonly SlotColumn[] = ['confirmed_flush_lsn', 'restart_lsn', 'catalog_xmin'];

export const encodeSlotList = (rows: readonly SlotRow[]): Buffer => Buffer.from(JSON.stringify(rows));

/** Throws RangeError where it is no list. */
export function decodeSlotList(bytes: Buffer): readonly SlotRow[] {
  let rows: unknown;
  try {
    rows = JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw new RangeError('the list of replication slots is no JSON', { cause: error });
  }
  if (!Array.isArray(rows)) throw new RangeError('the list of replication slots is no array');
  return rows.map(slotRow);
}

function slotRow(value: unknown): SlotRow {
  if (typeof value !== 'object' || value === null) throw new RangeError('the list of replication slots has an entry that is no object');
  const given: Readonly<Record<string, unknown>> = { ...value };
  const entries = SLOT_COLUMNS.map((column) => {
    const text = given[column];
    if (text !== null && typeof text !== 'string') throw new RangeError(`the list of replication slots has no text as ${column}`);
    return [column, text] as const;
  });
  if (typeof given['slot_name'] !== 'string') throw new RangeError('the list of replication slots has an entry without a name');
  // Every column is among the entries.
  return Object.fromEntries(entries) as SlotRow;
}

/**
 * Those that a reader may keep up with, which begins at X: its PostgreSQL has the volume's WAL from there on, and before that something else
 * (reader/private-chain.ts).
 *
 * Invariant: no slot of a reader ever needs WAL before X. A slot at the writer comes past X as its consumer goes on.
 */
export function syncable(rows: readonly SlotRow[], startLsn: Lsn): readonly SlotRow[] {
  return rows.filter(
    ({ failover, restart_lsn: restart, invalidation_reason: invalid }) =>
      failover === 'true' && (restart === null ? invalid !== null : parseLsn(restart) >= startLsn),
  );
}

/** Names of those that every reader is to keep one like. */
export function wantedOf(rows: readonly SlotRow[]): readonly string[] {
  return rows
    .filter(({ failover, invalidation_reason: invalid }) => failover === 'true' && invalid === null)
    .map(({ slot_name: name }) => name);
}

/** Why a slot that the volume's list has is not in the PostgreSQL that writes now. `isPromoted`: that was a reader's. */
export function whyMissing({ failover, slot_type: type }: SlotRow, isPromoted: boolean): string {
  if (!isPromoted) return 'the compute that writes now began without the files of the one that had it';
  if (type === 'physical') return 'it is a physical one, which readers keep no like of';
  if (failover !== 'true') return 'it was made without failover = true, so no reader kept one like it';
  return 'the reader that writes now had none like it yet: it has one once the consumer has gone on since that reader began';
}

export interface Telling {
  readonly rows: readonly SlotRow[];
  /** Where the WAL ended when the list was written. */
  readonly endLsn: Lsn;
  /** How many in a row had little WAL between them and the one before. */
  readonly small: number;
  /** Other slots than before, or of another kind. */
  readonly isOther: boolean;
}

/** What PostgreSQL logs by itself where nobody writes: the running transactions, after a list was written, and a checkpoint. */
const LITTLE_WAL_BYTES = 512n;
/** Enough for a slot to come past the list that first told of it. */
const SMALL_MAX = 3;

/**
 * The list to write now; undefined when the one before will do. What changes of a slot beside its positions is always worth it. A list is
 * a transaction, after which PostgreSQL logs the running ones, by which slots go forward again: in a database where nothing else is
 * written that must come to an end.
 */
export function nextTelling(told: Telling, rows: readonly SlotRow[], endLsn: bigint): Telling | undefined {
  const small = endLsn - told.endLsn <= LITTLE_WAL_BYTES ? told.small + 1 : 0;
  const next = { rows, endLsn: lsn(endLsn), small, isOther: false };
  if (shape(rows) !== shape(told.rows)) return { ...next, small: 0, isOther: true };
  const isNews = encodeSlotList(rows).compare(encodeSlotList(told.rows)) !== 0;
  return isNews && small <= SMALL_MAX ? next : undefined;
}

const shape = (rows: readonly SlotRow[]): string =>
  JSON.stringify(rows.map((row) => SLOT_COLUMNS.map((column) => (POSITIONS.includes(column) ? null : row[column]))));
