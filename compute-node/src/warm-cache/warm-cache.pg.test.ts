import type { Client } from 'pg';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { systemClock } from '@kube-aurora/clock';
import { silentLogger } from '@kube-aurora/process';
import { recordsIn } from '@kube-aurora/volume';
import { FixtureAgent, fixtureVolume, runEach, type FixtureVolume } from '../postgres/fixture-agent.ts';
import { LOCAL_PORT } from '../postgres/supervise.ts';
import { FixtureStandby } from '../reader/fixture-standby.ts';
import { hotPagesIn } from './hot-pages-message.ts';
import { localChunks, type LocalChunk } from './local-pages.ts';
import { pagesWanted } from './pages-wanted.ts';
import { tellHotPages } from './tell-hot-pages.ts';
import { warmCache, type Warmth } from './warm-cache.ts';

/** The next writer's cache gets what the writer has in its own, on a real PostgreSQL's redo. */

const ROWS = 20_000;
const [clock, logger] = [systemClock(), silentLogger()];

let volume: FixtureVolume;
let writer: FixtureAgent;
let client: Client;
let standby: FixtureStandby;
let over: AbortController;
let running: Promise<void>[];

beforeAll(async () => {
  volume = await fixtureVolume();
  writer = await new FixtureAgent(volume, 1 << 30).start({ autovacuum: 'off' });
  client = await writer.connect();
  await runEach(
    client,
    `create extension amcheck; create table hot (id int primary key, n int not null, filler text) with (fillfactor = 70);
     insert into hot select g, 100, repeat('f', 300) from generate_series(1, ${ROWS}) g; vacuum analyze hot; checkpoint`,
  );
}, 120_000);
afterEach(async () => {
  over.abort();
  await Promise.all(running);
  await standby.stop();
});
afterAll(async () => {
  await client?.end();
  await writer?.stop();
  volume?.remove();
});

/** The writer's lists, as they come to readers in the redo; of each piece of redo once. */
const lists: (readonly LocalChunk[])[] = [];
let seenRedo = 0;
function listsInRedo(): readonly (readonly LocalChunk[])[] {
  for (const { records } of writer.redo.redo.slice(seenRedo)) {
    seenRedo++;
    for (const { lsn, raw } of recordsIn(records)) {
      const chunks = hotPagesIn(raw, lsn);
      if (chunks !== undefined) lists.push(chunks);
    }
  }
  return lists;
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + 60_000;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error('it did not come to that within a minute');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Starts all of it: what the target's warmth is comes back when it is asked for. */
async function begin(cacheBytes?: number): Promise<() => Warmth | undefined> {
  over = new AbortController();
  const listsBefore = listsInRedo().length;
  const session = `next/${listsBefore}`;
  const toWhom = (): Promise<string> => Promise.resolve(session);
  running = [tellHotPages({ socket: { dir: writer.socketDir, port: LOCAL_PORT }, toWhom, clock, logger, lookMs: 200 }, over.signal)];
  standby = await new FixtureStandby(volume, writer.redo).start({ shared_buffers: '1MB', max_standby_streaming_delay: '-1' }, cacheBytes);
  await standby.follow();
  // Nobody commits: it is flushed by itself, once for each that would be the next writer.
  await until(() => listsInRedo().length > listsBefore);
  let warmth: Warmth | undefined;
  const options = {
    socket: { dir: standby.dir, port: LOCAL_PORT },
    list: () => ({ chunks: listsInRedo().at(-1) ?? [], atMs: 0 }),
    isNext: () => Promise.resolve(true),
    cache: () => standby.cache,
    pagesPerSecond: () => 1_000_000,
    onWarmth: (now: Warmth | undefined) => void (warmth = now),
    clock,
    logger,
    lookMs: 100,
  };
  running.push(warmCache(options, over.signal));
  return () => warmth;
}

test('what the writer has in its cache becomes local to the next writer, and its queries ask storage for none of it', async () => {
  const warmth = await begin();
  await until(() => (warmth()?.share ?? 0) > 0.99);
  expect(warmth()?.pagesFetched).toBeGreaterThan(500);
  const [{ rel, index }] = (
    await client.query<{ rel: number; index: number }>(
      "select pg_relation_filenode('hot')::int as rel, pg_relation_filenode('hot_pkey')::int as index",
    )
  ).rows as [{ rel: number; index: number }];
  const reads = (): number =>
    standby.reads.filter(({ relNumber, fork }) => (relNumber === rel || relNumber === index) && fork === 0).length;
  const before = reads();
  const reader = await standby.connect();
  expect((await reader.query('select sum(n)::int as sum from hot')).rows).toEqual([{ sum: ROWS * 100 }]);
  await runEach(reader, 'set enable_seqscan = off; set enable_bitmapscan = off');
  expect((await reader.query('select count(*)::int as rows from hot where id between 1000 and 9000')).rows).toEqual([{ rows: 8001 }]);
  await reader.end();
  expect(reads()).toBe(before);
  expect(standby.readsAhead).toEqual([]);
  expect(standby.errors).toEqual([]);
}, 120_000);

test('fetches no more than its own cache has room for', async () => {
  const warmth = await begin(4 << 20);
  await until(() => warmth() !== undefined);
  expect(standby.cache?.pagesEvicted).toBe(0);
  expect(standby.cache?.residentBytes).toBeLessThan(4 << 20);
  const own = await standby.connect();
  expect(pagesWanted(await localChunks(own), await localChunks(own), 0).ours).toBeGreaterThan(200);
  await own.end();
}, 120_000);

test('pages that are written, truncated and dropped while they are fetched are right', async () => {
  await runEach(client, `create table shrinking as select g as id, repeat('x', 500) as body from generate_series(1, 20000) g; checkpoint`);
  const warmth = await begin(64 << 20);
  for (let round = 0; round < 12; round++) {
    await runEach(
      client,
      `update hot set n = n + 1 where id % 12 = ${round}; delete from shrinking where id > ${20_000 - 1500 * (round + 1)}; vacuum shrinking;
       create table dropped_${round} as select * from hot where id < 2000; drop table dropped_${round}`,
    );
  }
  await client.query("insert into shrinking select g, 'new' from generate_series(30001, 33000) g");
  await until(() => warmth() !== undefined);
  await standby.caughtUp();
  const digest = `select (select md5(string_agg(id || ':' || n, ',' order by id)) from hot) as hot,
    (select md5(string_agg(id || ':' || body, ',' order by id)) from shrinking) as shrinking, pg_relation_size('shrinking')::int as bytes`;
  const expected = (await client.query(digest)).rows;
  const reader = await standby.connect();
  expect((await reader.query(digest)).rows).toEqual(expected);
  await reader.query("select bt_index_check('hot_pkey', true)");
  await reader.end();
  expect(standby.readsAhead).toEqual([]);
  expect(standby.errors).toEqual([]);
}, 120_000);
