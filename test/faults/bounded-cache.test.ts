import type { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CacheStatus } from '../../compute-node/src/cache-status.ts';
import { Cluster } from '../e2e/cluster-harness.ts';

const CACHE_MIB = 16;
const MIB = 1024 * 1024;
/** Eight to a page: twice the cache. */
const ROWS = 2 * CACHE_MIB * 128 * 8;
const LOADS = 4;
const CLIENTS = 4;

let cluster: Cluster;
beforeAll(async () => {
  cluster = await Cluster.start({ env: { AURORA_CACHE_MIB: String(CACHE_MIB) }, pgParameters: { shared_buffers: '4MB' } });
  const client = await connect();
  await client.query('create table account (id int primary key, balance int not null, filler text)');
  await client.query('alter table account alter filler set storage plain');
  for (let load = 0; load < LOADS; load++) {
    // In several transactions: what a running one has written stays.
    const ids = [Math.floor((load * ROWS) / LOADS) + 1, Math.floor(((load + 1) * ROWS) / LOADS)];
    await client.query("insert into account select g, 0, repeat('f', 930) from generate_series($1::int, $2::int) g", ids);
  }
  await client.end();
}, 300_000);

/** A busy machine may let a connection wait. */
const connect = (user = 'app'): Promise<Client> => cluster.connect(cluster.writer, { user, connectionTimeoutMillis: 30_000 });

afterAll(() => cluster?.destroy());

/** The agent of a busy machine may not answer at once. */
async function cacheNow(): Promise<CacheStatus> {
  let cache: CacheStatus | undefined;
  await cluster.until('the agent says how its cache stands', async () => {
    cache = (await cluster.writer.status())?.cache;
    return cache !== undefined;
  });
  if (cache === undefined) throw new Error('it was there');
  return cache;
}

/**
 * Moves money between random accounts until it is told to stop, or the server is gone; gives how often it was told that
 * it did.
 */
async function moveMoney(client: number, isOver: () => boolean): Promise<number> {
  const connection = await connect();
  let acknowledged = 0;
  let random = client + 1;
  const next = (): number => (random = (random * 1_103_515_245 + 12_345) % 2_147_483_648);
  try {
    while (!isOver()) {
      const [from = 1, to = 2] = [1 + (next() % ROWS), 1 + (next() % ROWS)].toSorted((a, b) => a - b);
      await connection.query('begin');
      await connection.query('update account set balance = balance - 1 where id = $1', [from]);
      await connection.query('update account set balance = balance + 1 where id = $1', [to]);
      await connection.query(acknowledged % 7 === 6 ? 'rollback' : 'commit');
      acknowledged++;
    }
  } catch (error) {
    if (isOver()) throw error;
  } finally {
    await connection.end().catch(() => undefined);
  }
  return acknowledged;
}

async function check(): Promise<void> {
  const client = await connect();
  const { rows } = await client.query('select sum(balance)::int as sum, count(*)::int as rows from account');
  await client.end();
  expect(rows).toEqual([{ sum: 0, rows: ROWS }]);
}

describe('a cache of half of the data', () => {
  it('stays inside its limit while it is written, killed and read, and nothing is wrong', async () => {
    expect((await cacheNow()).bytes).toBeLessThan(1.3 * CACHE_MIB * MIB);
    let isOver = false;
    const killed = Array.from({ length: CLIENTS }, (_, client) => moveMoney(client, () => isOver));
    // Scanned meanwhile, so that pages go all the time; the sum is always right.
    await check();
    await cluster.writer.kill();
    isOver = true;
    const counts = await Promise.allSettled(killed);
    expect(counts).toHaveLength(CLIENTS);
    cluster.writer.start();
    await cluster.writerReady(60_000);
    isOver = false;
    const moving = Array.from({ length: CLIENTS }, (_, client) => moveMoney(client + CLIENTS, () => isOver));
    await check();
    isOver = true;
    expect(Math.min(...(await Promise.all(moving)))).toBeGreaterThan(0);
    await check();
    const superuser = await connect('postgres');
    await superuser.query('create extension amcheck');
    await superuser.query("select bt_index_check('account_pkey', true)");
    const { rows } = await superuser.query("select count(*)::int as n from verify_heapam('account')");
    await superuser.end();
    expect(rows).toEqual([{ n: 0 }]);
    const cache = await cacheNow();
    expect(cache).toMatchObject({ state: 'within', limitBytes: CACHE_MIB * MIB });
    expect(cache.bytes).toBeLessThan(1.3 * CACHE_MIB * MIB);
    const metrics = await (await fetch(`http://${cluster.writer.host}:7003/metrics`)).text();
    expect(Number(/^aurora_cache_pages_evicted (\d+)/m.exec(metrics)?.[1])).toBeGreaterThan((2 * CACHE_MIB * MIB) / 8192);
  }, 300_000);

  it('says whose pages stay when it is over its limit', async () => {
    const [client, reader] = [await connect(), await connect()];
    await client.query('begin');
    await client.query(`update account set balance = balance where id <= ${ROWS / 4}`);
    let part = 0;
    await cluster.until(
      'the status says so',
      async () => {
        const from = ROWS / 2 + (part++ % 10) * 3000;
        await reader.query('select sum(length(filler)) from account where id between $1 and $2', [from, from + 2999]);
        const { state } = await cacheNow();
        return state === 'held';
      },
      120_000,
    );
    expect(await cacheNow()).toMatchObject({ message: expect.stringMatching(/transactions that still run.*spec\.compute\.cacheSize/) });
    await client.query('rollback');
    await client.end();
    await reader.end();
    await cluster.until(
      'the cache is inside its limit again',
      async () => {
        await check();
        const { state, bytes } = await cacheNow();
        return state === 'within' && bytes < 1.3 * CACHE_MIB * MIB;
      },
      120_000,
    );
  }, 300_000);
});
