import type { Client } from 'pg';
import { decodeSlotList, encodeSlotList, SLOT_COLUMNS, SLOT_LIST_OID, type SlotRow } from './slot-list.ts';

/** BOOTSTRAP_SUPERUSERID */
const SUPERUSER_OID = 10;
/** Whoever may connect can make a large object of any number: one that others may write, or have written, is none of ours. */
const OURS = `from pg_largeobject_metadata where oid = ${SLOT_LIST_OID} and lomowner = ${SUPERUSER_OID} and lomacl is null`;

/** The list as bytes, for a query of more; null when there is none. */
export const SLOT_LIST_QUERY = `(select lo_get(oid) ${OURS})`;

/** The list that the volume has; undefined when it has none. Throws RangeError when it is damaged. */
export async function readSlotList(client: Client): Promise<readonly SlotRow[] | undefined> {
  const { rows } = await client.query<{ list: Buffer | null }>(`select ${SLOT_LIST_QUERY} as list`);
  const list = rows[0]?.list ?? null;
  return list === null ? undefined : decodeSlotList(list);
}

/** The slots that this PostgreSQL has, and that outlive it, by name. */
export async function presentSlots(client: Client): Promise<readonly SlotRow[]> {
  const columns = SLOT_COLUMNS.map((column) => `${column}::text`).join(', ');
  const { rows } = await client.query<SlotRow>(`select ${columns} from pg_replication_slots where not temporary order by slot_name`);
  return rows;
}

/** Where the WAL ends at present. */
export async function walEnd(client: Client): Promise<bigint> {
  const { rows } = await client.query<{ at: string }>(`select (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::text as at`);
  return BigInt(rows[0]?.at ?? 0);
}

/** Writes the list. Nobody waits until it is durable: a list that is lost was of use to nobody. */
export async function writeSlotList(client: Client, rows: readonly SlotRow[]): Promise<void> {
  const list = encodeSlotList(rows);
  await client.query('begin');
  await client.query('set local synchronous_commit = off');
  const { rows: found } = await client.query<{ bytes: number }>(`select length(lo_get(oid)) as bytes ${OURS}`);
  const bytes = found[0]?.bytes;
  if (bytes === undefined) {
    await client.query(`select lo_unlink(oid) from pg_largeobject_metadata where oid = ${SLOT_LIST_OID}`);
    await client.query('select lo_from_bytea($1, $2)', [SLOT_LIST_OID, list]);
  } else {
    // Blanks behind it take the place of what is longer there.
    const blanks = Buffer.alloc(Math.max(0, bytes - list.length), ' ');
    await client.query('select lo_put($1, 0, $2)', [SLOT_LIST_OID, Buffer.concat([list, blanks])]);
  }
  await client.query('commit');
}
