import { readFileSync } from 'node:fs';
import { Client } from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Cluster } from '../e2e/cluster-harness.ts';

let cluster: Cluster;

beforeAll(async () => {
  // Nothing but a commit that waits brings WAL out: what follows the last one dies with the server.
  cluster = await Cluster.start({ readyWithinMs: 90_000, pgParameters: { wal_writer_delay: '10s', autovacuum: 'off' } });
  await running();
}, 400_000);
afterAll(() => cluster?.destroy());

/** As superuser, one statement after another. */
async function run(statements: readonly string[], database = 'postgres'): Promise<Record<string, unknown>[]> {
  const client = new Client({ ...cluster.connection(), user: 'postgres', database, connectionTimeoutMillis: 60_000 });
  client.on('error', () => undefined);
  await client.connect();
  try {
    let rows: Record<string, unknown>[] = [];
    for (const statement of statements) rows = (await client.query<Record<string, unknown>>(statement)).rows;
    return rows;
  } finally {
    await client.end();
  }
}

async function killAndReopen(): Promise<void> {
  await cluster.writer.kill();
  cluster.writer.killPostgres();
  cluster.writer.start();
  await running();
}

/** The superuser has its password by then. */
function running(): Promise<void> {
  return cluster.until('the writer runs', async () => (await cluster.writer.status())?.phase === 'running', 90_000);
}

it('a database moved to another tablespace just before a kill -9 can move back, and its tablespace be dropped', async () => {
  await run(['set allow_in_place_tablespaces = on', "create tablespace elsewhere location ''", 'create database moving']);
  await run(['create table t as select g as id from generate_series(1, 1000) g'], 'moving');

  await run(['alter database moving set tablespace elsewhere']);
  await killAndReopen();
  expect(await run(['select count(*)::int as n from t'], 'moving')).toEqual([{ n: 1000 }]);
  expect(readFileSync(cluster.writer.logFile, 'utf8')).toMatch(/dropped what an interrupted move of a database left/);

  await run(['alter database moving set tablespace pg_default']);
  await killAndReopen();
  expect(await run(['select count(*)::int as n from t'], 'moving')).toEqual([{ n: 1000 }]);
  await run(['drop tablespace elsewhere']);

  // And what was dropped stays so, for whoever opens the volume next.
  await killAndReopen();
  expect(await run(["select array_agg(spcname::text order by 1) as names from pg_tablespace where spcname !~ '^pg_'"])).toEqual([
    { names: null },
  ]);
  expect(await run(['select count(*)::int as n from t'], 'moving')).toEqual([{ n: 1000 }]);
}, 400_000);
