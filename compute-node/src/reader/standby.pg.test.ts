import type { Client } from 'pg';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { FixtureAgent, fixtureVolume, runEach, type FixtureVolume } from '../postgres/fixture-agent.ts';
import { FixtureStandby } from './fixture-standby.ts';

/** A reader's hot standby on a real PostgreSQL's redo, started in the middle of it. */

let volume: FixtureVolume;
let writer: FixtureAgent;
let standby: FixtureStandby;
let client: Client;
let open: Client[] = [];

beforeAll(async () => {
  volume = await fixtureVolume();
  writer = await new FixtureAgent(volume, 1 << 30).start({ max_prepared_transactions: 5, autovacuum: 'off' });
  client = await writer.connect();
  await client.query('create extension amcheck');
});
afterEach(async () => {
  for (const one of open) await one.end();
  open = [];
  await standby.stop();
});
afterAll(async () => {
  await client?.end();
  await writer?.stop();
  volume?.remove();
});

async function session(on: { connect(): Promise<Client> }): Promise<Client> {
  const one = await on.connect();
  open.push(one);
  return one;
}

/** What must hold whatever a test did. */
function expectOnlyRead(): void {
  expect(standby.readsAhead).toEqual([]);
  expect(standby.errors).toEqual([]);
}

test('begins at any record, with what runs there: transactions, their subtransactions, prepared ones and locks', async () => {
  await runEach(
    client,
    `create table rows (id int primary key, who text); insert into rows select g, 'before' from generate_series(1, 1000) g;
     create table locked (id int)`,
  );
  const running = await session(writer);
  await runEach(running, "begin; insert into rows values (2001, 'running'); savepoint a; insert into rows values (2002, 'rolled back')");
  const locker = await session(writer);
  await runEach(locker, 'begin; lock table locked in access exclusive mode; insert into locked values (1)');
  const preparing = await session(writer);
  await runEach(preparing, "begin; insert into rows values (3001, 'prepared'); prepare transaction 'p'");
  await client.query("insert into rows values (4001, 'after')");

  standby = await new FixtureStandby(volume, writer.redo).start();
  expect(standby.state.transactions.running.size).toBeGreaterThanOrEqual(4);
  expect(standby.state.locks.size).toBe(1);
  const reader = await session(standby);
  expect((await reader.query('select pg_is_in_recovery() as standby')).rows).toEqual([{ standby: true }]);
  const found = async (): Promise<unknown> =>
    (await reader.query("select string_agg(id::text, ' ' order by id) as ids from rows where id > 1000")).rows[0]?.ids;
  // Looking at them must leave no mark in their rows: they are committed below.
  expect(await found()).toBe('4001');
  await reader.query("set lock_timeout = '200ms'");
  await expect(reader.query('select * from locked')).rejects.toThrow(/lock timeout/);
  await expect(reader.query('insert into rows values (5001)')).rejects.toThrow(/read-only transaction/);

  await standby.follow();
  await runEach(running, "rollback to a; insert into rows values (2003, 'again'); commit");
  await locker.query('commit');
  await client.query("commit prepared 'p'");
  await standby.caughtUp();
  expect(await found()).toBe('2001 2003 3001 4001');
  expect((await reader.query('select * from locked')).rows).toEqual([{ id: 1 }]);
  expectOnlyRead();
});

test('in every snapshot what was moved adds up, and every index agrees, with buffers and a cache that hold little of it', async () => {
  const accounts = 20_000;
  await runEach(
    client,
    `create table accounts (id int primary key, balance int not null, filler text) with (fillfactor = 60);
     insert into accounts select g, 100, repeat('f', 400) from generate_series(1, ${accounts}) g; create index on accounts (balance)`,
  );
  standby = await new FixtureStandby(volume, writer.redo).start({ shared_buffers: '1MB', max_standby_streaming_delay: '-1' }, 4 << 20);
  await standby.follow();
  let writing = true;
  const moves = async (seed: number): Promise<void> => {
    const one = await session(writer);
    for (let i = seed; writing; i += 7919) {
      const [from, to] = [1 + (i % accounts), 1 + ((i * 31) % accounts)];
      await runEach(
        one,
        `begin; update accounts set balance = balance - 1 where id = ${from}; update accounts set balance = balance + 1 where id = ${to}; commit`,
      );
    }
  };
  const writes = [moves(1), moves(50), moves(777)];
  const reader = await session(standby);
  const other = await session(standby);
  const readWhileWriting = async (): Promise<void> => {
    for (let round = 0; round < 6; round++) {
      const [whole, byId] = await Promise.all([
        reader.query('select sum(balance)::int as sum, count(*)::int as rows from accounts'),
        other.query('select count(*)::int as rows from accounts where id between 5000 and 9000 and filler is not null'),
      ]);
      expect(whole.rows).toEqual([{ sum: accounts * 100, rows: accounts }]);
      expect(byId.rows).toEqual([{ rows: 4001 }]);
      await client.query('vacuum accounts');
    }
    await reader.query("select bt_index_check(indexrelid, true) from pg_index where indrelid = 'accounts'::regclass");
  };
  try {
    await readWhileWriting();
  } finally {
    writing = false;
    await Promise.all(writes);
  }
  await standby.caughtUp();
  await reader.query("select bt_index_check(indexrelid, true) from pg_index where indrelid = 'accounts'::regclass");
  const digest = "select md5(string_agg(id || ':' || balance, ',' order by id)) as digest from accounts";
  expect((await reader.query(digest)).rows).toEqual((await client.query(digest)).rows);
  expect(standby.cache?.pagesEvicted).toBeGreaterThan(0);
  expectOnlyRead();
}, 120_000);

test('follows what changes files: truncations, drops, rewrites, new databases, and gives no page of before', async () => {
  await runEach(
    client,
    `create table shrinking (id int, body text); insert into shrinking select g, repeat('x', 500) from generate_series(1, 5000) g;
     create table dropped as select g from generate_series(1, 1000) g; create table rewritten (id int primary key, n int);
     insert into rewritten select g, g from generate_series(1, 3000) g; create unlogged table unlogged (id int); insert into unlogged values (1)`,
  );
  standby = await new FixtureStandby(volume, writer.redo).start({ shared_buffers: '1MB' }, 4 << 20);
  await standby.follow();
  const reader = await session(standby);
  expect((await reader.query('select count(*)::int as n from shrinking')).rows).toEqual([{ n: 5000 }]);
  await expect(reader.query('select * from unlogged')).rejects.toThrow(/unlogged/);
  await runEach(
    client,
    `delete from shrinking where id > 100; vacuum shrinking; insert into shrinking select g, 'new' from generate_series(6001, 9000) g;
     drop table dropped; alter table rewritten alter n type bigint; vacuum full rewritten;
     create database by_wal template app strategy wal_log; create database by_files template app strategy file_copy`,
  );
  const elsewhere = await writer.connect('by_files');
  await elsewhere.query('update rewritten set n = n + 1 where id <= 10');
  await elsewhere.end();
  await standby.caughtUp();
  const shrunk = 'select count(*)::int as n, sum(id)::int as ids, min(body) as body from shrinking';
  expect((await reader.query(shrunk)).rows).toEqual((await client.query(shrunk)).rows);
  expect((await reader.query("select to_regclass('dropped') as dropped")).rows).toEqual([{ dropped: null }]);
  expect((await reader.query('select sum(n)::int as sum from rewritten')).rows).toEqual([{ sum: (3000 * 3001) / 2 }]);
  for (const [database, sum] of [
    ['by_wal', (3000 * 3001) / 2],
    ['by_files', (3000 * 3001) / 2 + 10],
  ] as const) {
    const copy = await standby.connect(database);
    expect((await copy.query('select sum(n)::int as sum from rewritten')).rows).toEqual([{ sum }]);
    await copy.end();
  }
  await reader.query("select bt_index_check(indexrelid, true) from pg_index where indrelid = 'rewritten'::regclass");
  expectOnlyRead();
});

test('a promotion by hand ends it before anything could be acknowledged', async () => {
  standby = await new FixtureStandby(volume, writer.redo).start();
  await standby.follow();
  const reader = await session(standby);
  const end = standby.postgres.exited;
  await reader.query('select pg_promote(false)');
  await end;
  expect(standby.postgres.lastFatal()).toContain('this server is a reader');
  await expect(standby.connect()).rejects.toThrow();
  expectOnlyRead();
});
