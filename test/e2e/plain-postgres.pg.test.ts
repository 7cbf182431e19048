/**
 * What a client sees is a plain PostgreSQL, and all of it is there again after kill -9 of the writer, which takes the
 * data directory with it: everything below is then read from the six segments.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cluster } from './cluster-harness.ts';
import { catalogFeatures } from './plain-postgres/catalog-features.ts';
import { dataFeatures } from './plain-postgres/data-features.ts';
import { DATABASE, run, Server } from './plain-postgres/feature.ts';
import { sessionFeatures } from './plain-postgres/session-features.ts';

// Sessions' first: the locks of prepared transactions would stop VACUUM FULL.
const features = [...sessionFeatures, ...catalogFeatures, ...dataFeatures];
/** For a machine that is busy with other tests; a quiet one takes a second. */
const START_WITHIN_MS = 90_000;
let cluster: Cluster;
let server: Server;

beforeAll(async () => {
  cluster = await Cluster.start({
    readyWithinMs: START_WITHIN_MS,
    pgParameters: { shared_preload_libraries: 'pg_stat_statements', max_prepared_transactions: '10', track_commit_timestamp: 'on' },
  });
  server = new Server(cluster);
  await server.within('postgres', (db) => run(db, `create database ${DATABASE}`));
  await server.connect();
}, 2 * START_WITHIN_MS);
afterAll(async () => {
  await server?.close();
  await cluster?.destroy();
});

async function killAndStart(): Promise<void> {
  await cluster.writer.kill();
  cluster.writer.start();
  await cluster.writerReady(START_WITHIN_MS);
}

/** Where amcheck is pointed: tables, their TOAST, and indexes with the heap they must agree with. */
const CHECKS = [
  ["c.relkind in ('r', 't', 'm', 'S')", '(select string_agg(msg, $$; $$) from verify_heapam(c.oid, check_toast => true))'],
  ["c.relkind = 'i' and a.amname = 'btree'", 'bt_index_parent_check(c.oid, heapallindexed => true, rootdescend => true)::text'],
  ["c.relkind = 'i' and a.amname = 'gin'", 'gin_index_check(c.oid)::text'],
] as const;

/** What amcheck finds wrong in one database. Throws amcheck's own error for a damaged index. */
async function damage(database: string): Promise<string[]> {
  return server.within(database, async (db) => {
    await run(db, 'create extension if not exists amcheck');
    const found: string[] = [];
    for (const [which, check] of CHECKS) {
      const { rows } = await db.query<{ name: string; finding: string | null }>(
        `select c.oid::regclass::text as name, ${check} as finding from pg_class c left join pg_am a on a.oid = c.relam
         where c.relpersistence <> 't' and ${which}`,
      );
      if (check.startsWith('(') && rows.length < 60) found.push(`amcheck looked at ${rows.length} tables only`);
      found.push(...rows.filter((row) => (row.finding ?? '') !== '').map((row) => `${row.name}: ${row.finding}`));
    }
    return found;
  });
}

describe('a plain PostgreSQL', () => {
  describe('before the kill', () => {
    for (const { name, make, check } of features) {
      it(name, async () => {
        await make(server);
        await check(server);
      });
    }
  });

  it(
    'is killed and answers again without replay',
    async () => {
      await killAndStart();
      await server.connect();
      expect(cluster.writer.logTail(2000)).not.toMatch(/redo starts at|automatic recovery in progress/);
    },
    2 * START_WITHIN_MS,
  );

  describe('after the kill', () => {
    for (const { name, check } of features) it(name, () => check(server));
    for (const { name, after } of features) if (after !== undefined) it(`can change: ${name}`, () => after(server));
  });

  describe('is whole', () => {
    it('after all changes', async () => {
      expect(await damage(DATABASE)).toEqual([]);
    });
    it(
      'after another kill, in copied databases too',
      async () => {
        await killAndStart();
        for (const database of ['copy_wal', 'copy_clone', 'again', DATABASE]) expect(await damage(database), database).toEqual([]);
      },
      2 * START_WITHIN_MS,
    );
  });
});
