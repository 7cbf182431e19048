import { SLOT_COLUMNS, type SlotColumn, type SlotRow } from './slot-list.ts';

export type SlotSyncAnswer =
  | { readonly kind: 'rows'; readonly columns: readonly string[]; readonly rows: readonly (readonly (string | null)[])[] }
  | { readonly kind: 'refused'; readonly why: string };

const SEARCH_PATH = /^\s*SELECT\s+pg_catalog\.set_config\('search_path',\s*'',\s*false\)\s*;?\s*$/iu;
const IS_PRIMARY = /^\s*SELECT\s+pg_is_in_recovery\(\),\s*count\(\*\)\s*=\s*1\s+FROM\s+pg_catalog\.pg_replication_slots\s+WHERE\s/iu;
const SLOTS = /^\s*SELECT\s+([a-z_,\s]+?)\s+FROM\s+pg_catalog\.pg_replication_slots\s+WHERE\s+failover\s+and\s+NOT\s+temporary\s*;?\s*$/iu;

/**
 * What the writer would answer to a standby's slot synchronization worker (replication/logical/slotsync.c), which asks three things and
 * no other: an empty search path; whether this is a primary that has the standby's physical slot, which it is, in that the feed itself
 * keeps what the standby needs; and which slots there are.
 *
 * @param slots that a reader may keep up with
 */
export function answerSlotSync(text: string, slots: readonly SlotRow[]): SlotSyncAnswer {
  if (SEARCH_PATH.test(text)) return { kind: 'rows', columns: ['set_config'], rows: [['']] };
  if (IS_PRIMARY.test(text)) return { kind: 'rows', columns: ['pg_is_in_recovery', '?column?'], rows: [['f', 't']] };
  const columns = SLOTS.exec(text)?.[1]
    ?.split(',')
    .map((name) => name.trim());
  if (columns === undefined) return { kind: 'refused', why: `${JSON.stringify(text.slice(0, 200))} is not answered here` };
  const unknown = columns.find((name) => !isColumn(name));
  if (unknown !== undefined) return { kind: 'refused', why: `the column ${unknown} of pg_replication_slots is not known here` };
  const known = columns.filter(isColumn);
  return { kind: 'rows', columns: known, rows: slots.map((slot) => known.map((name) => slot[name])) };
}

const isColumn = (name: string): name is SlotColumn => SLOT_COLUMNS.some((column) => column === name);
