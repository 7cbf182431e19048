import { chownSync, existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FixtureAgent, fixtureVolume, type FixtureVolume, volumeAfter } from './fixture-agent.ts';
import { readRelationTable } from './fixture-relation-table.ts';

/** Tables of the volume that no test names before it says so. */
const TABLES = ['looked', 'dropped', 'cut', 'sized', 'raced', 'moved', 'emptied', 'kept'];
/** Blocks of a relation file of 1 GiB. */
const BLOCKS_PER_FILE = 131_072;

let volume: FixtureVolume;
let agent: FixtureAgent;
/** Relation files within the data directory by table, as the volume has them. */
const paths = new Map<string, string>();
let database = '';

beforeAll(async () => {
  const empty = await fixtureVolume();
  const first = await new FixtureAgent(empty).start();
  const client = await first.connect();
  for (const table of TABLES) {
    await client.query(`create table ${table} as select g as id, repeat('x', 300) as body from generate_series(1, 2000) g`);
    await client.query(`vacuum ${table}`);
    const { rows } = await client.query('select pg_relation_filepath($1::regclass) as path', [table]);
    paths.set(table, rows[0].path);
  }
  await client.query(`create unlogged table fast (id int primary key, words text[]); create index on fast using gin (words);
    create unlogged sequence counter; insert into fast values (1, '{a}'); select nextval('counter')`);
  await client.query('create database never_opened');
  await client.query('create database never_copied');
  database = (paths.get('kept') ?? '').split('/')[1] ?? '';
  await client.end();
  await first.postgres.stop('fast');
  volume = volumeAfter(empty, first.dataDir);
  // A table of 3 GiB and a bit, of which nothing was written but its size.
  volume.state.relations.setBlocks(
    { spcOid: 1663, dbOid: Number(database), relNumber: relNumber('sized'), fork: 0 },
    3 * BLOCKS_PER_FILE + 5,
  );
  await first.stop();
  agent = await new FixtureAgent(volume).start();
}, 90_000);
afterAll(async () => {
  await agent?.stop();
  volume?.remove();
});

function relNumber(table: string): number {
  return Number((paths.get(table) ?? '').split('/')[2]);
}
const path = (table: string, suffix = ''): string => join(agent.dataDir, `${paths.get(table)}${suffix}`);
const size = (table: string, suffix = ''): number => statSync(path(table, suffix)).size;

async function withClient<T>(use: (client: Client) => Promise<T>, on = 'app'): Promise<T> {
  const client = await agent.connect(on);
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}

test('a start makes no relation files but of what it reads, and a table arrives with all its forks when it is first read', async () => {
  const entries = readRelationTable(agent.dataDir);
  expect(entries.length).toBeGreaterThan(1000);
  expect(entries.filter((entry) => entry.local === 1).length).toBeLessThan(200);
  expect(TABLES.filter((table) => existsSync(path(table)))).toEqual([]);
  await withClient(async (client) => {
    expect((await client.query('select count(*)::int as n, max(id) as last from looked')).rows).toEqual([{ n: 2000, last: 2000 }]);
  });
  expect([size('looked') > 500_000, size('looked', '_vm')]).toEqual([true, 8192]);
  expect(TABLES.filter((table) => existsSync(path(table)))).toEqual(['looked']);
});

test('a table that was never read is dropped, truncated and rewritten, and nothing of it comes back', async () => {
  await withClient(async (client) => {
    await client.query('drop table dropped');
    await client.query('truncate cut');
    await client.query("begin; delete from emptied; savepoint s; insert into emptied values (1, 'new'); commit");
    await client.query('vacuum emptied');
    await client.query('checkpoint');
    expect((await client.query('select count(*)::int as n from cut')).rows).toEqual([{ n: 0 }]);
    expect((await client.query('select id, body from emptied')).rows).toEqual([{ id: 1, body: 'new' }]);
    await expect(client.query('select from dropped')).rejects.toThrow(/does not exist/);
  });
  for (const suffix of ['', '_vm', '_fsm']) expect(existsSync(path('dropped', suffix))).toBe(false);
  expect(existsSync(path('cut'))).toBe(false);
});

test('sizes are the volume’s, of tables beyond 1 GiB too, whoever asks', async () => {
  const expected = (3 * BLOCKS_PER_FILE + 5) * 8192;
  await withClient(async (client) => {
    const { rows } = await client.query("select pg_relation_size('sized')::text as size, pg_relation_size('kept') > 0 as kept");
    expect(rows).toEqual([{ size: String(expected), kept: true }]);
  });
  expect(['', '.1', '.2', '.3'].map((suffix) => size('sized', suffix))).toEqual([2 ** 30, 2 ** 30, 2 ** 30, 5 * 8192]);
  expect(existsSync(path('sized', '.4'))).toBe(false);
  expect(statSync(path('sized')).blocks).toBe(0);
});

test('many sessions that open the same table first, and others that drop and make tables, agree on it', async () => {
  const readers = Array.from({ length: 8 }, () =>
    withClient(async (client) => (await client.query('select count(*)::int as n from raced')).rows[0].n),
  );
  const makers = Array.from({ length: 4 }, (_, i) =>
    withClient(async (client) => {
      for (let turn = 0; turn < 10; turn++)
        await client.query(`create table m${i} (id int); insert into m${i} values (1); drop table m${i}`);
    }),
  );
  expect(await Promise.all(readers)).toEqual(Array.from({ length: 8 }, () => 2000));
  await Promise.all(makers);
});

test('a file that a killed process left unfinished is finished by the next', async () => {
  writeFileSync(path('moved'), '');
  if (volume.account !== undefined) chownSync(path('moved'), volume.account.uid, volume.account.gid);
  await withClient(async (client) => {
    expect((await client.query('select count(*)::int as n from moved')).rows).toEqual([{ n: 2000 }]);
    await client.query('set allow_in_place_tablespaces = on');
    await client.query("create tablespace elsewhere location ''");
    await client.query('alter table moved set tablespace elsewhere');
    expect((await client.query('select count(*)::int as n from moved')).rows).toEqual([{ n: 2000 }]);
  });
});

test('unlogged tables and sequences begin as their init forks', async () => {
  await withClient(async (client) => {
    expect((await client.query('select count(*)::int as n from fast')).rows).toEqual([{ n: 0 }]);
    expect((await client.query("select nextval('counter')::int as n")).rows).toEqual([{ n: 1 }]);
    await client.query("insert into fast values (7, '{b}'); set enable_seqscan = off");
    expect((await client.query("select id from fast where words @> '{b}'")).rows).toEqual([{ id: 7 }]);
    expect((await client.query('select id from fast where id = 7')).rows).toEqual([{ id: 7 }]);
  });
});

test('an init fork that the volume cannot give is an error for who asks, and arrives later', async () => {
  const again = await new FixtureAgent(volume).start();
  try {
    const client = await again.connect();
    // Everything that the question itself reads.
    await client.query("select pg_relation_size('fast')");
    again.failReads = true;
    await expect(client.query("select pg_relation_size('fast_pkey')")).rejects.toThrow(/could not stat file|Input\/output error/);
    again.failReads = false;
    expect((await client.query('select count(*)::int as n from fast')).rows).toEqual([{ n: 0 }]);
    await client.end();
  } finally {
    await again.stop();
  }
});

test('databases that nobody opened are measured, copied and dropped whole', async () => {
  await withClient(async (client) => {
    const { rows } = await client.query(
      "select oid, pg_database_size('never_opened') = pg_database_size(oid) as same from pg_database where datname = 'never_opened'",
    );
    expect(rows[0].same).toBe(true);
    const directory = join(agent.dataDir, 'base', String(rows[0].oid));
    const inVolume = readRelationTable(agent.dataDir).filter((entry) => entry.dbOid === rows[0].oid);
    expect(readdirSync(directory).filter((name) => /^\d+$/.test(name)).length).toBe(inVolume.length);
    expect(inVolume.every((entry) => entry.local === 1)).toBe(true);
    await client.query('create database copied template never_copied strategy file_copy');
    await client.query('drop database never_opened');
    await client.query('drop database never_copied');
    expect(existsSync(directory)).toBe(false);
  });
  await withClient(async (client) => {
    expect((await client.query('select count(*) > 100 as catalog from pg_proc')).rows).toEqual([{ catalog: true }]);
  }, 'copied');
});

test('no new table gets the number of files that a dead transaction left and nobody has opened', async () => {
  const orphans = volume;
  const next = volume.state.control.checkPointCopy.nextOid;
  for (let i = 0; i < 3; i++) orphans.state.relations.setBlocks({ spcOid: 1663, dbOid: Number(database), relNumber: next + i, fork: 0 }, 0);
  const last = await new FixtureAgent(orphans).start();
  try {
    const client = await last.connect();
    await client.query('create table fresh (id int)');
    const { rows } = await client.query("select pg_relation_filenode('fresh')::int as number");
    expect(rows[0].number).toBeGreaterThanOrEqual(next + 3);
    await client.end();
  } finally {
    await last.stop();
  }
});
