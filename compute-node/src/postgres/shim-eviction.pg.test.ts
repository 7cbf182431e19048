import { statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FixtureAgent, fixtureVolume, runEach, type FixtureVolume } from './fixture-agent.ts';

/**
 * A local cache of a quarter of the data, on a volume that gives each page exactly as of the LSN that the shim names:
 * what is let go of too early, or asked for too far back, is seen here.
 */
const CACHE_BYTES = 8 << 20;
const ROWS = 30_000;
/** Many times what the scans take whose pages nothing holds back. */
const HELD_MS = 10_000;

let volume: FixtureVolume;
let agent: FixtureAgent;
beforeAll(async () => {
  volume = await fixtureVolume();
  agent = await new FixtureAgent(volume, CACHE_BYTES).start({
    shared_buffers: '2MB',
    wal_buffers: '16MB',
    max_prepared_transactions: 4,
    autovacuum: 'off',
  });
  const client = await agent.connect();
  await runEach(
    client,
    `create extension amcheck; create extension pg_visibility;
    create table account (id int primary key, balance int, filler text default repeat('x', 400));
    create index on account (balance)`,
  );
  for (let from = 1; from <= ROWS; from += 5000) {
    await client.query('insert into account select g, 0 from generate_series($1::int, $2::int) g', [from, from + 4999]);
  }
  await client.end();
}, 120_000);
afterAll(async () => {
  await agent?.stop();
  volume?.remove();
});

/** Reads so much that what was local before goes, where it may. */
async function pressOut(client: Client): Promise<void> {
  const { pagesEvicted } = agent.cache;
  for (let i = 0; i < 4 && (agent.cache.pagesEvicted - pagesEvicted) * 8192 < 2 * CACHE_BYTES; i++) {
    await client.query('select sum(length(filler)) from account');
  }
}

/** Blocks of a table's main fork that have room on the disk. */
async function localBlocks(client: Client, table: string): Promise<number> {
  const { rows } = await client.query<{ path: string }>('select pg_relation_filepath($1::regclass) path', [table]);
  return statSync(join(agent.dataDir, rows[0]?.path ?? '')).blocks / 16;
}

/** Are most pages marked all visible in the table's map, and how many of these do not say so themselves? */
async function visibilityOf(client: Client, table: string): Promise<unknown[]> {
  const { rows } = await client.query(
    `select count(*) filter (where all_visible)::int > 500 as marked,
      count(*) filter (where all_visible and not pd_all_visible)::int as wrong from pg_visibility($1::regclass)`,
    [table],
  );
  return rows;
}

/** Everything that can be read is right, and the cache is within its limit. */
async function check(): Promise<void> {
  const client = await agent.connect();
  const { rows } = await client.query('select sum(balance)::int as sum, count(*)::int as rows from account');
  expect(rows).toEqual([{ sum: 0, rows: ROWS }]);
  await runEach(client, 'set enable_seqscan = off; set enable_bitmapscan = off');
  expect((await client.query('select count(*)::int as rows from account where id between 1 and 1000000')).rows).toEqual([{ rows: ROWS }]);
  expect((await client.query("select count(*)::int as n from verify_heapam('account', check_toast => true)")).rows).toEqual([{ n: 0 }]);
  await client.query("select bt_index_check(c, true) from unnest('{account_pkey,account_balance_idx}'::regclass[]) c");
  expect((await client.query("select count(*)::int as n from pg_check_visible('account')")).rows).toEqual([{ n: 0 }]);
  await client.end();
  expect(agent.errors).toEqual([]);
}

test('keeps a ledger right while pages are written, let go of and read again', async () => {
  const worker = async (seed: number): Promise<void> => {
    const session = await agent.connect();
    let random = seed;
    for (let i = 0; i < 60; i++) {
      random = (random * 1_103_515_245 + 12_345) % 2_147_483_648;
      const [from, to] = [1 + (random % ROWS), 1 + ((random >> 7) % ROWS)].toSorted((a, b) => a - b);
      await session.query('begin');
      await session.query('update account set balance = balance - 1 where id = $1', [from]);
      await session.query('savepoint s');
      await session.query('update account set balance = balance + 7 where id = $1', [to]);
      await session.query('rollback to s');
      await session.query('update account set balance = balance + 1 where id = $1', [to]);
      await session.query(i % 5 === 0 ? 'rollback' : 'commit');
    }
    await session.end();
  };
  const scanner = async (): Promise<void> => {
    const session = await agent.connect();
    for (let i = 0; i < 3; i++) {
      expect((await session.query('select sum(balance)::int as sum from account')).rows).toEqual([{ sum: 0 }]);
    }
    await runEach(session, 'vacuum account; vacuum (freeze) account');
    await session.end();
  };
  await Promise.all([worker(1), worker(22), worker(333), scanner()]);
  await check();
  const { pagesEvicted, residentBytes, punchErrno } = agent.cache;
  expect(punchErrno).toBe(0);
  expect(pagesEvicted * 8192).toBeGreaterThan(2 * CACHE_BYTES);
  expect(residentBytes).toBeLessThan(1.5 * CACHE_BYTES);
}, 120_000);

test('a transaction that runs finds its own changes as it left them', async () => {
  const [client, presser] = [await agent.connect(), await agent.connect()];
  await client.query("create table own as select g as id, 0 as seen, repeat('y', 300) as filler from generate_series(1, 4000) g");
  await client.query('begin');
  await client.query('update own set seen = 1 where id % 2 = 0');
  // It must not see what the transaction does after this.
  await client.query('declare before_more cursor for select count(*)::int as n, sum(seen)::int as seen from own');
  await client.query("insert into own select g, 100, repeat('z', 300) from generate_series(4001, 6000) g");
  await client.query('update own set seen = 7 where id % 4 = 0');
  await client.query('delete from own where id % 10 = 0');
  const local = await localBlocks(presser, 'own');
  await pressOut(presser);
  expect((await client.query('fetch all from before_more')).rows).toEqual([{ n: 4000, seen: 2000 }]);
  expect((await client.query('select count(*)::int as n from own')).rows).toEqual([{ n: 5400 }]);
  await client.query('commit');
  // PostgreSQL writes the pages it still has in its buffers, and then they go as well.
  for (let round = 0; (await localBlocks(presser, 'own')) > local / 2; round++) {
    expect(round).toBeLessThan(20);
    await pressOut(presser);
  }
  expect((await client.query('select count(*)::int as n from own')).rows).toEqual([{ n: 5400 }]);
  await client.end();
  await presser.end();
}, 120_000);

test('nothing goes before it is durable, also where the page does not say that it changed', async () => {
  const [client, presser] = [await agent.connect(), await agent.connect()];
  await client.query("create table seen as select g as id, repeat('v', 300) as filler from generate_series(1, 20000) g");
  await runEach(client, 'select count(*) from seen; checkpoint');
  // Hints are set and everything is clean: reading it below needs no flush.
  for (let i = 0; i < 2; i++) await pressOut(presser);
  const held = Promise.withResolvers<void>();
  agent.heldUntil = held.promise;
  // Marks each page all visible, which is in the WAL and not in the page's LSN.
  const vacuum = client.query('vacuum (freeze false, buffer_usage_limit 128) seen').catch((error: Error) => error);
  // What of it was written and let go of is read again before its log is durable.
  const scans = (async () => {
    for (const table of ['account', 'seen', 'account', 'seen']) await presser.query(`select sum(length(filler)) from ${table}`);
  })();
  // A scan that is given a buffer which VACUUM changed writes it, and waits for its log like VACUUM itself.
  await Promise.race([scans, setTimeout(HELD_MS)]);
  agent.heldUntil = undefined;
  held.resolve();
  await scans;
  expect(await vacuum).not.toBeInstanceOf(Error);
  const marks = (): Promise<unknown[]> => visibilityOf(presser, 'seen');
  expect(await marks()).toEqual([{ marked: true, wrong: 0 }]);
  // Now it goes, and comes back with the marks: the map, which has a later LSN, was not written since.
  for (let i = 0; i < 2; i++) await pressOut(presser);
  expect(await marks()).toEqual([{ marked: true, wrong: 0 }]);
  await client.end();
  await presser.end();
}, 120_000);

test('what storage cannot give back stays: a sequence, an unlogged table; indexes that are built meanwhile hold', async () => {
  const [client, presser] = [await agent.connect(), await agent.connect()];
  await runEach(
    client,
    `create sequence s; create unlogged table u as select g as id, repeat('u', 300) as filler from generate_series(1, 3000) g;
    create table words (id int, words text[], place point, span int4range);
    insert into words select g, array['w' || g % 50, 'v' || g % 7], point(g, g % 100), int4range(g, g + 5) from generate_series(1, 20000) g`,
  );
  expect((await client.query("select nextval('s')::int as n")).rows).toEqual([{ n: 1 }]);
  await runEach(client, 'checkpoint; create index u_id on u (id); checkpoint');
  const pressing = (async () => {
    for (let i = 0; i < 3; i++) await pressOut(presser);
  })();
  await runEach(
    client,
    'create index w_gin on words using gin (words); create index w_gist on words using gist (place); create index w_spgist on words using spgist (span)',
  );
  await pressing;
  await pressOut(presser);
  expect((await client.query("select nextval('s')::int as n, (select count(*)::int from u) as unlogged")).rows).toEqual([
    { n: 2, unlogged: 3000 },
  ]);
  await client.query("select bt_index_check('u_id', true), gin_index_check('w_gin')");
  await runEach(client, 'set enable_seqscan = off');
  const { rows } = await client.query(`select (select count(*)::int from words where words @> array['w1']) as gin,
    (select count(*)::int from words where place <@ box '(0,0),(50,50)') as gist, (select count(*)::int from words where span @> 11) as spgist`);
  expect(rows).toEqual([{ gin: 400, gist: 50, spgist: 5 }]);
  await client.end();
  await presser.end();
  await check();
}, 120_000);
