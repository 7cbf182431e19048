/** amcheck, as a client of an instance has it look: on readers too, while the writer goes on. */
import pg from 'pg';

/** Blocks of a table that are looked at in one go: of a table that is larger than every cache a part that was let go of, mostly. */
const BLOCKS = 400;
/** An index is held against all rows of its table up to so many blocks; of a larger one in one of so many checks, as that fetches all of it. */
const WHOLE_BLOCKS = 1000;
const WHOLE_LARGE = 0.1;
/** data_corrupted, index_corrupted */
const DAMAGE = new Set(['XX001', 'XX002']);

/** What is wrong with a table: nothing, of one that is whole. Throws whatever else befalls the connection. `chance`: in [0, 1), twice. */
export async function wrongIn(connection: pg.Client, table: string, chance: () => number): Promise<string[]> {
  const { rows } = await connection.query<{ blocks: number }>(
    `SELECT (pg_relation_size($1::regclass) / current_setting('block_size')::int)::int AS blocks`,
    [table],
  );
  const blocks = rows[0]?.blocks ?? 0;
  // An empty table has no block that could be named.
  if (blocks === 0) return [];
  const first = Math.floor(chance() * Math.max(1, blocks - BLOCKS));
  const heap = await connection.query<{ wrong: string }>(
    `SELECT format('block %s, item %s: %s', blkno, offnum, msg) AS wrong
     FROM verify_heapam($1::regclass, startblock => $2, endblock => $3) LIMIT 5`,
    [table, first, Math.min(blocks, first + BLOCKS) - 1],
  );
  const wrong = heap.rows.map((row) => row.wrong);
  const isWhole = chance() < WHOLE_LARGE || blocks <= WHOLE_BLOCKS;
  try {
    await connection.query('SELECT bt_index_check(indexrelid, $2) FROM pg_index WHERE indrelid = $1::regclass', [table, isWhole]);
  } catch (error) {
    if (!(error instanceof pg.DatabaseError) || !DAMAGE.has(error.code ?? '')) throw error;
    wrong.push(error.message);
  }
  return wrong;
}
