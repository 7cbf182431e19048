import { decodeVolumeState } from '@kube-aurora/redo';
import type { Client } from 'pg';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { FixtureStandby } from '../reader/fixture-standby.ts';
import { readRelationTable } from './fixture-relation-table.ts';
import { FixtureAgent, fixtureVolume, runEach, type FixtureVolume } from './fixture-agent.ts';

/**
 * A reader that becomes the writer, on a volume that gives each page exactly as of the LSN that the shim names, with a cache
 * that holds a part of the data: what a reader left behind that a writer must not find shows here.
 */
const CACHE_BYTES = 4 << 20;
const ROWS = 12_000;
const SUMS = 'select sum(balance)::int as sum, count(*)::int as rows from account';
const WHOLE = [{ sum: 0, rows: ROWS }];

let volume: FixtureVolume;
let writer: FixtureAgent;
let standby: FixtureStandby;
let open: Client[] = [];

beforeAll(async () => {
  volume = await fixtureVolume();
  writer = await new FixtureAgent(volume, 1 << 30).start({ max_prepared_transactions: 5, autovacuum: 'off' });
  const client = await session(writer);
  await runEach(
    client,
    `create extension amcheck; create table account (id int primary key, balance int, filler text default repeat('x', 400));
     insert into account select g, 0 from generate_series(1, ${ROWS}) g; create index on account (balance); create sequence numbers;
     create table gone as select g from generate_series(1, 500) g; create unlogged table scratch (id int primary key); insert into scratch values (1)`,
  );
}, 120_000);
afterEach(async () => {
  for (const one of open) await one.end();
  open = [];
});
afterAll(async () => {
  await standby?.stop();
  await writer?.stop();
  volume?.remove();
});

async function session(on: { connect(): Promise<Client> }): Promise<Client> {
  const one = await on.connect();
  open.push(one);
  return one;
}

/** Reads everything, again and again, until it is told to end; gives how often. Each time it must add up. */
async function readsOn(): Promise<{ stop(): Promise<number> }> {
  const client = await session(standby);
  let going = true;
  const run = async (): Promise<number> => {
    let rounds = 0;
    for (; going; rounds++) {
      expect((await client.query(SUMS)).rows).toEqual(WHOLE);
      expect((await client.query('select count(*)::int as n from account where balance > -1000')).rows).toEqual([{ n: ROWS }]);
    }
    return rounds;
  };
  const done = run();
  done.catch(() => undefined);
  return {
    stop: () => {
      going = false;
      return done;
    },
  };
}

test('reads, writes, lets go of pages and reads them again as a writer that was never anything else', async () => {
  standby = await new FixtureStandby(volume, writer.redo).start(
    { shared_buffers: '1MB', max_prepared_transactions: 5, autovacuum: 'off' },
    CACHE_BYTES,
  );
  await standby.follow();
  const client = await session(writer);
  await runEach(
    client,
    `update account set balance = balance - 1 where id % 7 = 0; update account set balance = balance + 1 where id % 7 = 1;
     update account set balance = 0 where id > ${ROWS - 20}; select nextval('numbers') from generate_series(1, 5)`,
  );
  const [{ sum } = { sum: 0 }] = (await client.query<{ sum: number }>(SUMS)).rows;
  await runEach(client, `update account set balance = balance - ${sum} where id = 1; create unlogged table later (id int); truncate gone`);
  const reader = await session(standby);
  await standby.caughtUp();
  expect((await reader.query(SUMS)).rows).toEqual(WHOLE);
  await writer.postgres.kill();

  const here = (): number => readRelationTable(standby.dataDir).filter(({ local }) => local === 1).length;
  const all = readRelationTable(standby.dataDir).length;
  const before = here();
  expect(before).toBeLessThan(all / 2);
  const busy = await Promise.all([readsOn(), readsOn()]);
  await standby.promote();
  // PostgreSQL looks for unlogged relations in every database; the files of all the others need not be made for that.
  expect(here()).toBeLessThan(before + 10);
  // Whoever was in the midst of something has seen nothing of it.
  for (const one of busy) expect(await one.stop()).toBeGreaterThan(0);
  // The session of before; what it had open is what it was.
  expect((await reader.query(SUMS)).rows).toEqual(WHOLE);
  expect((await reader.query("select nextval('numbers')::int as n, (select count(*)::int from gone) as gone")).rows[0]).toMatchObject({
    gone: 0,
  });
  await runEach(reader, 'insert into scratch values (1); insert into scratch values (2); insert into later values (1)');
  expect((await reader.query('select count(*)::int as n from scratch')).rows).toEqual([{ n: 2 }]);

  // A transaction sees its own changes as it left them, whatever is let go of meanwhile.
  await reader.query('begin');
  await reader.query('update account set balance = balance + 1 where id % 3 = 0');
  await reader.query(`declare before cursor for select id from account where balance > 0 order by id`);
  await reader.query('update account set balance = balance - 1 where id % 3 = 0');
  const presser = await session(standby);
  for (let i = 0; i < 3; i++) expect((await presser.query(SUMS)).rows).toEqual(WHOLE);
  expect((await reader.query(SUMS)).rows).toEqual(WHOLE);
  expect((await reader.query('fetch all before')).rowCount).toBeGreaterThan(ROWS / 3);
  await reader.query('commit');

  // What loses blocks, and gets others.
  await runEach(
    reader,
    `insert into gone select g from generate_series(1001, 3000) g; create table fresh as select * from account where id <= 2000;
     delete from fresh where id > 100; vacuum fresh; insert into fresh select * from account where id between 3001 and 5000; vacuum account`,
  );
  const { pagesEvicted = 0 } = standby.cache ?? {};
  // Whoever writes lets go of as much; what went is read again.
  for (let rounds = 0; rounds < 200 && (standby.cache?.pagesEvicted ?? 0) < pagesEvicted + 1000; rounds++) {
    await runEach(reader, 'update account set balance = balance where id <= 50; checkpoint');
    expect((await presser.query(SUMS)).rows).toEqual(WHOLE);
  }
  expect(standby.cache?.pagesEvicted).toBeGreaterThan(pagesEvicted);
  expect((await presser.query('select count(*)::int as n, min(g) as low from gone')).rows).toEqual([{ n: 2000, low: 1001 }]);
  expect((await presser.query('select count(*)::int as n from fresh')).rows).toEqual([{ n: 2100 }]);
  await runEach(presser, 'checkpoint; set enable_seqscan = off');
  expect((await presser.query('select count(*)::int as n from account where id > 0')).rows).toEqual([{ n: ROWS }]);
  expect((await presser.query("select count(*)::int as n from verify_heapam('account')")).rows).toEqual([{ n: 0 }]);
  await presser.query("select bt_index_check(indexrelid, true) from pg_index where indrelid in ('account'::regclass, 'scratch'::regclass)");
  // The volume has it all on the timeline that it always had.
  expect(standby.errors).toEqual([]);
  expect(standby.readsAhead).toEqual([]);
  const { control } = decodeVolumeState(writer.redo.encodedState());
  expect([control.checkPointCopy.timeline, control.checkPointCopy.prevTimeline]).toEqual([1, 1]);
}, 120_000);
