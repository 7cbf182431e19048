import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { encodePageKey } from '@kube-aurora/redo';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FixtureAgent, fixtureVolume, runEach, type FixtureVolume } from './fixture-agent.ts';
import type { ReadPagesRequest } from './shim-protocol.ts';

let volume: FixtureVolume;
let agent: FixtureAgent;
beforeAll(async () => {
  volume = await fixtureVolume();
  // Small buffers: pages are evicted all the time and come back from local files.
  agent = await new FixtureAgent(volume).start({ shared_buffers: '16MB', max_prepared_transactions: 4, autovacuum_naptime: '1s' });
});
afterAll(async () => {
  await agent?.stop();
  volume?.remove();
});

test('starts from holes: pages come from the volume once, several in one request', async () => {
  const client = await agent.connect();
  await client.query('select sum(length(prosrc)) from pg_proc');
  const asked = agent.reads.length;
  expect(asked).toBeGreaterThan(20);
  expect(agent.reads.some((read) => read.count > 1)).toBe(true);
  expect(agent.reads.every((read) => read.fork !== 1)).toBe(true);
  await client.query('select sum(length(prosrc)) from pg_proc');
  expect(agent.reads.length - asked).toBeLessThan(5);
  await client.end();
  expect(agent.errors).toEqual([]);
});

test('keeps a ledger right while pages are evicted and rolled back under it', async () => {
  const client = await agent.connect();
  await client.query("create table account (id int primary key, balance int, filler text default repeat('x', 300))");
  await client.query('insert into account select g, 0 from generate_series(1, 40000) g');
  await client.end();
  const worker = async (seed: number): Promise<void> => {
    const session = await agent.connect();
    let random = seed;
    for (let i = 0; i < 150; i++) {
      random = (random * 1_103_515_245 + 12_345) % 2_147_483_648;
      const [from, to] = [1 + (random % 40000), 1 + ((random >> 7) % 40000)].toSorted((a, b) => a - b);
      await session.query('begin');
      await session.query('update account set balance = balance - 1 where id = $1', [from]);
      await session.query('update account set balance = balance + 1 where id = $1', [to]);
      await session.query(i % 5 === 0 ? 'rollback' : 'commit');
    }
    await session.end();
  };
  await Promise.all([worker(1), worker(22), worker(333), worker(4444)]);
  const check = await agent.connect();
  expect((await check.query('select sum(balance)::int as sum, count(*)::int as rows from account')).rows).toEqual([
    { sum: 0, rows: 40000 },
  ]);
  await check.end();
});

test('truncate, vacuum full, drop and create bring back no page of before', async () => {
  const client = await agent.connect();
  await client.query(
    "create table t as select g as id, repeat('y', 400) as filler from generate_series(1, 3000) g; create index on t (id)",
  );
  await runEach(client, 'checkpoint; delete from t where id > 100; vacuum t; checkpoint');
  await runEach(client, "insert into t select g, 'z' from generate_series(5001, 7000) g; checkpoint; vacuum full t");
  expect((await client.query('select count(*)::int as n from t')).rows).toEqual([{ n: 2100 }]);
  await client.query('truncate t; checkpoint');
  await client.query('insert into t values (1, null)');
  expect((await client.query('select id from t')).rows).toEqual([{ id: 1 }]);
  await runEach(client, 'create unlogged table u as select g from generate_series(1, 1000) g; checkpoint');
  expect((await client.query('select count(*)::int as n from u')).rows).toEqual([{ n: 1000 }]);
  // Requests name an LSN past the truncation, or the volume might answer with what was there before it.
  const { rows } = await client.query("select pg_current_wal_flush_lsn() - '0/0' as lsn");
  await runEach(client, 'delete from t; vacuum t');
  const truncated = BigInt(rows[0].lsn);
  await runEach(client, 'insert into t select g from generate_series(1, 5000) g; checkpoint');
  await client.query('select count(*) from pg_shdescription, pg_ts_template, pg_conversion, pg_ts_parser');
  expect(agent.reads.at(-1)?.lsn).toBeGreaterThan(truncated);
  await client.end();
});

test('says since when no file has lost blocks, and what it is going to read', async () => {
  const client = await agent.connect();
  // What is not in the buffers or files of anybody yet: a request for it says what the shim knows now.
  const holesSince = async (catalog: string): Promise<bigint> => {
    const asked = agent.reads.length;
    await client.query(`select count(*) from ${catalog}`);
    expect(agent.reads.length).toBeGreaterThan(asked);
    return agent.reads.at(-1)?.holesSince ?? 0n;
  };
  const before = await holesSince('pg_ts_config_map');
  await runEach(
    client,
    "create table h as select g, repeat('x', 300) as filler from generate_series(1, 3000) g; checkpoint; update h set g = g + 1; checkpoint",
  );
  expect(await holesSince('pg_ts_dict')).toBe(before);
  await runEach(client, 'truncate h');
  const truncated = await holesSince('pg_foreign_data_wrapper, pg_collation');
  expect(truncated).toBeGreaterThan(before);
  await runEach(client, "insert into h select g, repeat('x', 300) from generate_series(1, 3000) g; delete from h where g > 10; vacuum h");
  expect(await holesSince('pg_range')).toBeGreaterThan(truncated);
  await runEach(client, "create extension pg_prewarm; select pg_prewarm('information_schema.sql_features', 'prefetch')");
  const { rows } = await client.query("select pg_relation_filenode('information_schema.sql_features')::int as rel");
  const expected = agent.expected.filter(({ relNumber }) => relNumber === rows[0].rel);
  expect(
    expected
      .map(({ block, count }) => block + count)
      .toSorted((a, b) => a - b)
      .at(-1),
  ).toBeGreaterThan(3);
  // It is here now: nothing to be expected any more.
  await client.query('select count(*) from information_schema.sql_features');
  agent.expected.length = 0;
  await client.query("select pg_prewarm('information_schema.sql_features', 'prefetch')");
  expect(agent.expected).toEqual([]);
  await client.end();
});

test('keeps pages that come along where its file has holes, and nowhere else', async () => {
  const client = await agent.connect('postgres');
  const { rows } = await client.query(
    "select oid::int db, pg_relation_filenode('pg_description')::int rel, pg_relation_filepath('pg_description') path, pg_relation_size('pg_description') from pg_database where datname = 'postgres'",
  );
  const [{ db, rel, path }] = rows;
  const file = join(agent.dataDir, path);
  const fork = { spcOid: 1663, dbOid: db, relNumber: rel, fork: 0 };
  const ofVolume = (block: number): Buffer => volume.pages.get(encodePageKey({ ...fork, block }).toString('hex')) ?? Buffer.alloc(8192);
  const inFile = (block: number): Buffer => readFileSync(file).subarray(block * 8192, (block + 1) * 8192);
  const { size } = statSync(file);
  const end = size / 8192;
  const read = (block: number) => client.query(`select objoid from pg_description where ctid = '(${block},1)'`);
  const isHole = (block: number): boolean => inFile(block).equals(Buffer.alloc(8192));
  const holes = Array.from({ length: end }, (_, block) => block).filter(isHole);
  const [first = 0, second = 0, third = 0] = holes;
  const last = end - 1;
  expect(holes.length).toBeGreaterThan(20);
  expect(isHole(last)).toBe(true);

  const asked: ReadPagesRequest[] = [];
  const comesAlong = (block: number, pages: readonly Buffer[]): void => {
    agent.along = (request) => {
      if (request.relNumber !== rel || request.dbOid !== db) return undefined;
      asked.push(request);
      agent.along = undefined;
      return { block, count: pages.length, pages };
    };
  };
  // To the last block and past it: that is not there.
  comesAlong(last - 1, [ofVolume(last - 1), ofVolume(last), Buffer.alloc(8192, 0xee)]);
  await read(first);
  expect(asked.at(-1)).toMatchObject({ block: first, room: 127 });
  expect([inFile(first), inFile(last - 1), inFile(last)]).toEqual([ofVolume(first), ofVolume(last - 1), ofVolume(last)]);
  expect(statSync(file).size).toBe(size);
  // What is there already stays, and zeros are nothing.
  comesAlong(last - 2, [Buffer.alloc(8192), Buffer.alloc(8192, 0xee)]);
  await read(second);
  expect(isHole(last - 2)).toBe(true);
  expect(inFile(last - 1)).toEqual(ofVolume(last - 1));
  // What is not further on than what was asked for is no answer: it is asked again.
  comesAlong(third, [Buffer.alloc(8192, 0xee)]);
  await read(third);
  expect(inFile(third)).toEqual(ofVolume(third));
  expect(agent.along).toBeUndefined();
  agent.reads.length = 0;
  await read(last);
  expect(agent.reads.filter(({ relNumber, dbOid }) => relNumber === rel && dbOid === db)).toEqual([]);
  await client.end();
});

test.each(['wal_log', 'file_copy'])('creates a database by %s from pages that are not local yet', async (strategy) => {
  const client = await agent.connect();
  await client.query(`create database copy_${strategy} template template0 strategy ${strategy}`);
  await client.query('checkpoint');
  await client.end();
  const copy = await agent.connect(`copy_${strategy}`);
  await copy.query('create table t (id int); insert into t values (7)');
  expect((await copy.query('select id, (select count(*) > 100 from pg_proc) as catalog from t')).rows).toEqual([{ id: 7, catalog: true }]);
  await copy.end();
});

test('clones a database through the volume (copy_file_range would copy holes)', async () => {
  const client = await agent.connect('postgres');
  await client.query("set file_copy_method = 'clone'");
  const asked = agent.reads.length;
  await client.query('create database cloned template template1 strategy file_copy').catch((error: Error) => {
    // A kernel or build without cloning refuses; then there is nothing to get wrong.
    expect(error.message).toMatch(/clone|not supported/i);
  });
  const exists = (await client.query("select from pg_database where datname = 'cloned'")).rowCount === 1;
  await client.end();
  if (!exists) return;
  expect(agent.reads.length).toBeGreaterThan(asked);
  const cloned = await agent.connect('cloned');
  expect((await cloned.query('select count(*) > 100 as catalog from pg_proc')).rows).toEqual([{ catalog: true }]);
  await cloned.end();
});

test('all six kinds of index hold, and amcheck finds nothing', async () => {
  const client = await agent.connect();
  await client.query('create extension amcheck');
  await runEach(
    client,
    `create table six (id int, words text[], place point, span int4range, name text);
    insert into six select g, array['w' || g % 50, 'v' || g % 7], point(g, g % 100), int4range(g, g + 5), md5(g::text) from generate_series(1, 4000) g;
    create index six_btree on six (id); create index six_hash on six using hash (name); create index six_gin on six using gin (words);
    create index six_gist on six using gist (place); create index six_spgist on six using spgist (span); create index six_brin on six using brin (id);
    insert into six select id + 4000, words, place, span, name from six where id % 2 = 0; delete from six where id % 3 = 0; checkpoint; vacuum six`,
  );
  const { rows } = await client.query(`select count(*)::int as corruptions from pg_class c, lateral verify_heapam(c.oid)
    where c.relkind in ('r', 't', 'm') and c.relpersistence = 'p'`);
  expect(rows).toEqual([{ corruptions: 0 }]);
  await client.query(
    `select bt_index_check(c.oid, true) from pg_class c join pg_am a on a.oid = relam where amname = 'btree' and relkind = 'i' and relpersistence = 'p'`,
  );
  await client.query("select gin_index_check('six_gin')");
  await client.query('set enable_seqscan = off');
  const found = await client.query(`select (select count(*)::int from six where name = md5('4')) as hash,
    (select count(*)::int from six where words @> array['w1']) as gin, (select count(*)::int from six where place <@ box '(0,0),(50,50)') as gist,
    (select count(*)::int from six where span @> 11) as spgist, (select count(*)::int from six where id between 10 and 20) as brin`);
  await client.query('set enable_seqscan = on; set enable_indexscan = off; set enable_bitmapscan = off; set enable_indexonlyscan = off');
  const scanned = await client.query(`select (select count(*)::int from six where name = md5('4')) as hash,
    (select count(*)::int from six where words @> array['w1']) as gin, (select count(*)::int from six where place <@ box '(0,0),(50,50)') as gist,
    (select count(*)::int from six where span @> 11) as spgist, (select count(*)::int from six where id between 10 and 20) as brin`);
  expect(found.rows).toEqual(scanned.rows);
  expect(found.rows[0].gin).toBeGreaterThan(10);
  await client.end();
});

test('a page that the volume cannot give is an error for its reader alone', async () => {
  const client = await agent.connect('postgres');
  agent.failReads = true;
  await expect(client.query('select count(*) from information_schema.sql_features')).rejects.toThrow(
    /could not read blocks|Input\/output error/,
  );
  agent.failReads = false;
  expect((await client.query('select count(*) > 0 as read from information_schema.sql_features')).rows).toEqual([{ read: true }]);
  await client.end();
  expect(agent.errors.every((error) => error.message === 'reads are switched off')).toBe(true);
});
