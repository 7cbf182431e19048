import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { startPostgres, type TestPostgres } from '@kube-aurora/test-postgres';
import type { Client } from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Cluster } from './cluster-harness.ts';
import type { AgentStatus, Writer } from './compute-process.ts';

/**
 * Logical replication from the cluster to a stock PostgreSQL and from one to the cluster, and statistics, while the cluster's
 * PostgreSQL is restarted in place, dies, and has another one in its place. Both sides log nothing but rows, so each row must come once.
 */

const LONG_MS = 120_000;
const SETTINGS = { wal_level: 'logical', shared_preload_libraries: 'pg_stat_statements', autovacuum: 'off' };

let cluster: Cluster;
/** Who is meant to be the writer now. */
let writer: Writer;
let reader: Writer;
let stock: TestPostgres;
let there: Client;

beforeAll(async () => {
  [cluster, stock] = await Promise.all([
    Cluster.start({ role: 'auto', pgParameters: SETTINGS, readyWithinMs: 240_000 }),
    startPostgres({ settings: { wal_level: 'logical', wal_retrieve_retry_interval: '200ms' } }),
  ]);
  there = await stock.connect();
  writer = cluster.writer;
  reader = cluster.addInstance('zone-b');
}, 270_000);
afterAll(async () => {
  await there?.end();
  await Promise.all([cluster?.destroy(), stock?.remove()]);
});

const admin = <T>(use: (client: Client) => Promise<T>): Promise<T> => using(writer, use);

async function using<T>(writer: Writer, use: (client: Client) => Promise<T>): Promise<T> {
  const client = await cluster.connect(writer, { user: 'postgres', connectionTimeoutMillis: LONG_MS });
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}

const text = (query: string, client: Client): Promise<string> =>
  client.query<{ text: string }>(query).then(({ rows }) => rows[0]?.text ?? '');
const IDS = "select coalesce(string_agg(id::text, ' ' order by id), '') as text from";

async function status(): Promise<AgentStatus | undefined> {
  return writer.status();
}

/** Does it, and waits until another epoch of the same agent answers. */
async function afterRestart(restart: () => unknown): Promise<void> {
  const before = (await status())?.epoch;
  await restart();
  await cluster.until(
    'another epoch runs',
    async () => {
      const now = await status();
      return now?.phase === 'running' && now.epoch !== before;
    },
    LONG_MS,
  );
  await cluster.writerReady(LONG_MS, writer);
}

const untilThere = (ids: string): Promise<void> =>
  cluster.until('the rows are there', async () => (await text(`${IDS} sent`, there)) === ids, LONG_MS);
const untilHere = (ids: string): Promise<void> =>
  cluster.until('the rows are here', async () => (await admin((client) => text(`${IDS} got`, client))) === ids, LONG_MS);
const slots = (): Promise<string> =>
  admin((client) =>
    text("select coalesce(string_agg(slot_name, ' ' order by 1), '') as text from pg_replication_slots where not temporary", client),
  );

it('goes both ways, and on after a crash and an ordered restart of PostgreSQL, each row once', async () => {
  await there.query(
    'create table sent (id int primary key, note text); create table got (id int, note text); create publication theirs for table got',
  );
  await there.query("select pg_create_logical_replication_slot('theirs', 'pgoutput')");
  await admin(async (client) => {
    await client.query(
      'create table sent (id int primary key, note text); create table got (id int, note text); create publication ours for table sent',
    );
    await client.query("select pg_create_physical_replication_slot('physical', true)");
    await client.query(
      `create subscription from_there connection 'host=127.0.0.1 port=${stock.port} user=postgres dbname=postgres'
         publication theirs with (create_slot = false, slot_name = theirs, copy_data = false)`,
    );
  });
  await there.query(
    `create subscription to_here connection 'host=${cluster.writer.host} user=postgres password=e2e-password dbname=app' publication ours with (failover = true)`,
  );
  await there.query("insert into got select g, 'a' from generate_series(1, 3) g");
  await admin((client) => client.query("insert into sent select g, 'a' from generate_series(1, 3) g"));
  await untilThere('1 2 3');
  await untilHere('1 2 3');

  // A crash, with rows that nobody has got yet.
  await there.query('alter subscription to_here disable');
  await cluster.until(
    'it is let go',
    async () =>
      (await admin((client) =>
        text("select count(active_pid)::text as text from pg_replication_slots where slot_name = 'to_here'", client),
      )) === '0',
  );
  await admin((client) =>
    client.query("insert into sent values (4, repeat('b', 20000)); alter table sent add more text; insert into sent (id) values (5)"),
  );
  await afterRestart(() => writer.killPostgres());
  expect(await slots()).toBe('physical to_here');
  await admin((client) => client.query('alter table sent drop more; insert into sent values (6)'));
  await there.query('insert into got values (4)');
  await there.query('alter table sent add more text; alter subscription to_here enable');
  await untilThere('1 2 3 4 5 6');
  await untilHere('1 2 3 4');

  // A setting that only a restart changes; over a segment's end.
  await admin((client) => client.query('insert into sent values (7); select pg_switch_wal(); insert into sent values (8)'));
  await afterRestart(() => cluster.setParameters({ ...SETTINGS, max_connections: '70' }));
  expect(await slots()).toBe('physical to_here');
  await admin((client) => client.query('insert into sent values (9)'));
  await there.query('insert into got values (5)');
  await untilThere('1 2 3 4 5 6 7 8 9');
  await untilHere('1 2 3 4 5');
  expect((await status())?.lostReplicationSlots).toBeUndefined();
}, 270_000);

it('has its statistics after an ordered restart, and none after a crash', async () => {
  const counted = (): Promise<string> =>
    admin((client) =>
      text("select n_tup_ins || ' ' || n_mod_since_analyze as text from pg_stat_user_tables where relname = 'counted'", client),
    );
  const calls = (): Promise<string> =>
    admin((client) =>
      text("select coalesce(sum(calls), 0)::text as text from pg_stat_statements where query like 'insert into counted%'", client),
    );
  await admin((client) =>
    client
      .query('create extension pg_stat_statements; create table counted (id int)')
      .then(() => client.query('insert into counted select generate_series(1, 500)')),
  );
  await cluster.until('it is counted', async () => (await counted()) === '500 500');
  await afterRestart(() => cluster.setParameters({ ...SETTINGS, max_connections: '80' }));
  expect([await counted(), await calls()]).toEqual(['500 500', '1']);
  await afterRestart(() => writer.killPostgres());
  expect([await counted(), await calls()]).toEqual(['0 0', '0']);
}, 120_000);

/** What a reader keeps that a slot of the writer is like; it is of use from the moment on at which it is not temporary any more. */
async function readerKeeps(slot: string): Promise<void> {
  const query = `select count(*)::text as text from pg_replication_slots where slot_name = '${slot}' and synced and not temporary`;
  await cluster.until(
    `the reader has ${slot}`,
    async () => {
      // Slots go on at such a snapshot, which PostgreSQL logs every 15 s where something is written.
      await admin((client) => client.query('select pg_log_standby_snapshot()'));
      return (await using(reader, (client) => text(query, client))) === '1';
    },
    LONG_MS,
  );
}

/** Another is the writer now; what it takes from `there` and gives there goes on. */
async function takesOver(next: Writer, before: Writer): Promise<void> {
  await cluster.until(
    `${next.name} writes`,
    async () => {
      const now = await next.status();
      return now?.role === 'writer' && now.phase === 'running';
    },
    LONG_MS,
  );
  [writer, reader] = [next, before];
  await there.query(`alter subscription to_here connection 'host=${next.host} user=postgres password=e2e-password dbname=app'`);
}

it('goes on with a reader that takes the place of the writer, lost or asked to, and when that one is restarted: each row once', async () => {
  reader.start();
  await cluster.writerReady(LONG_MS, reader);
  await readerKeeps('to_here');
  await admin((client) => client.query('insert into sent values (10)'));
  await writer.kill();
  writer.killPostgres();
  await takesOver(reader, writer);
  await admin((client) => client.query('insert into sent values (11)'));
  await there.query('insert into got values (6)');
  await untilThere('1 2 3 4 5 6 7 8 9 10 11');
  await untilHere('1 2 3 4 5 6');
  expect(await slots()).toBe('to_here');
  await cluster.until('it says what is lost', async () => (await status())?.lostReplicationSlots !== undefined, LONG_MS);
  expect((await status())?.lostReplicationSlots).toMatchObject([{ name: 'physical', why: expect.stringContaining('physical') as string }]);

  reader.start();
  await cluster.until('the old writer reads', async () => (await reader.status())?.role === 'reader', LONG_MS);
  await cluster.writerReady(LONG_MS, reader);
  // Whether the other one is lost is not its to say.
  expect((await reader.status())?.lostReplicationSlots?.map(({ name }) => name)).toEqual(['physical']);
  await readerKeeps('to_here');
  await admin((client) => client.query('insert into sent values (12)'));
  // It has looked which slots it keeps: none is lost by it.
  expect(await reader.promote()).toMatchObject({ code: 202, message: expect.stringMatching(/says how it went$/) as string });
  expect(reader.logTail(100_000)).not.toContain('nobody could look which replication slots');
  await takesOver(reader, writer);
  await admin((client) => client.query('insert into sent values (13)'));
  await untilThere('1 2 3 4 5 6 7 8 9 10 11 12 13');

  // Nobody is there to take its place, and rows wait on either side of its promotion.
  await reader.kill();
  await there.query('alter subscription to_here disable');
  await admin((client) => client.query('insert into sent values (14); select pg_switch_wal(); insert into sent values (15)'));
  await afterRestart(() => cluster.setParameters({ ...SETTINGS, max_connections: '90' }));
  expect(await slots()).toBe('to_here');
  await admin((client) => client.query('insert into sent values (16)'));
  await there.query('alter subscription to_here enable');
  await untilThere('1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16');
}, 400_000);

it('names the slots that are lost with the pod that knew them', async () => {
  await writer.kill();
  writer.killPostgres();
  rmSync(join(writer.dataDir, 'pgdata'), { recursive: true });
  writer.start();
  await cluster.writerReady(LONG_MS, writer);
  expect(await slots()).toBe('');
  await cluster.until('it says so', async () => (await status())?.lostReplicationSlots !== undefined, LONG_MS);
  const lost = (await status())?.lostReplicationSlots ?? [];
  expect(lost.map(({ name }) => name)).toEqual(['to_here']);
  expect(lost[0]?.why).toContain('without the files');
  // The subscriber hears that there is no such slot.
  await cluster.until(
    'the subscriber says so',
    async () => (await stock.log()).includes('replication slot "to_here" does not exist'),
    LONG_MS,
  );
  // Made anew it is lost no more.
  await admin((client) => client.query(`select pg_create_physical_replication_slot('to_here')`));
  await cluster.until('it is told of no more', async () => (await status())?.lostReplicationSlots === undefined, LONG_MS);
}, 120_000);
