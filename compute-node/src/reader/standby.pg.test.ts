import { afterAll, beforeAll, expect, test } from 'vitest';
import { FixtureAgent, fixtureVolume, runEach, type FixtureVolume } from '../postgres/fixture-agent.ts';
import { FixtureStandby } from './fixture-standby.ts';

/** A reader's hot standby on a real PostgreSQL's redo, started in the middle of it. */

let volume: FixtureVolume;
let writer: FixtureAgent;
let standby: FixtureStandby | undefined;

beforeAll(async () => {
  volume = await fixtureVolume();
  writer = await new FixtureAgent(volume, 1 << 30).start({ max_prepared_transactions: 5, autovacuum: 'off' });
}, 60_000);
afterAll(async () => {
  await standby?.stop();
  await writer?.stop();
  volume?.remove();
}, 20_000);

test('begins at any record, with what runs there: transactions, their subtransactions, prepared ones and locks', async () => {
  const client = await writer.connect();
  await runEach(
    client,
    `create table rows (id int primary key, who text); insert into rows select g, 'before' from generate_series(1, 1000) g;
     create table locked (id int); create sequence numbers`,
  );
  const running = await writer.connect();
  await runEach(running, "begin; insert into rows values (2001, 'running'); savepoint a; insert into rows values (2002, 'running')");
  const locker = await writer.connect();
  await runEach(locker, 'begin; lock table locked in access exclusive mode; insert into locked values (1)');
  const preparing = await writer.connect();
  await runEach(preparing, "begin; insert into rows values (3001, 'prepared'); prepare transaction 'p'");
  await client.query("insert into rows values (4001, 'after')");

  standby = await new FixtureStandby(volume, writer.redo).start();
  expect(standby.state.transactions.running.size).toBeGreaterThanOrEqual(4);
  expect(standby.state.locks.size).toBe(1);
  const reader = await standby.connect();
  expect((await reader.query('select pg_is_in_recovery() as standby')).rows).toEqual([{ standby: true }]);
  const found = await reader.query('select who, count(*)::int as rows from rows group by who order by who');
  expect(found.rows).toEqual([
    { who: 'after', rows: 1 },
    { who: 'before', rows: 1000 },
  ]);
  await reader.query("set lock_timeout = '200ms'");
  await expect(reader.query('select * from locked')).rejects.toThrow(/lock timeout/);
  await expect(reader.query('insert into rows values (5001)')).rejects.toThrow(/read-only transaction/);
  expect(standby.readsAhead).toEqual([]);
  expect(standby.errors).toEqual([]);
  await reader.end();
  for (const one of [running, locker, preparing, client]) await one.end();
}, 60_000);
