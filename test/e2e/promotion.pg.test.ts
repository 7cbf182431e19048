import { join } from 'node:path';
import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import type { ReaderSession } from '../../compute-node/src/reader/reader-session.ts';
import { Cluster } from './cluster-harness.ts';
import type { Writer } from './compute-process.ts';
import { InProcessCompute } from './in-process-compute.ts';

/** A reader's PostgreSQL that becomes the volume's writer while it runs: real daemons, real agents, stock PostgreSQL. */

const ACCOUNTS = 8000;
/** Short, for what waits until it is over; long enough to be renewed on a busy machine. */
const LEASE_MS = 2000;
/** Until a busy machine has let somebody in. */
const CONNECT_MS = 30_000;
const SUMS = 'select sum(balance)::int as sum, count(*)::int as rows from accounts';
const WHOLE = [{ sum: ACCOUNTS * 100, rows: ACCOUNTS }];

let cluster: Cluster;
/** Reads all the time, as an agent of its own. */
let other: Writer;
let compute: InProcessCompute;
const computes: InProcessCompute[] = [];
let open: Client[] = [];

beforeAll(async () => {
  const pgParameters = {
    shared_buffers: '4MB',
    max_prepared_transactions: '5',
    max_standby_streaming_delay: '-1',
    hot_standby_feedback: 'off',
  };
  cluster = await Cluster.start({ pgParameters, env: { AURORA_LEASE_MS: String(LEASE_MS) } });
  const admin = await cluster.connect(cluster.writer, { user: 'postgres' });
  await admin.query('create extension amcheck; create table notes (id int primary key, note text); grant all on notes to app');
  await admin.end();
  await cluster.query(
    `create table accounts (id int primary key, balance int not null, filler text) with (fillfactor = 70);
     insert into accounts select g, 100, repeat('f', 400) from generate_series(1, ${ACCOUNTS}) g; create index on accounts (balance);
     create unlogged table scratch (id int); insert into scratch values (1); create sequence numbers; create table locked (id int)`,
  );
  other = cluster.addReader('zone-c');
  other.start();
  await cluster.writerReady(60_000, other);
}, 240_000);
afterEach(async () => {
  for (const one of open) await one.end().catch(() => undefined);
  open = [];
});
afterAll(async () => {
  for (const one of computes) await one.destroy();
  await cluster?.destroy();
});

async function startReader(): Promise<ReaderSession> {
  compute = await InProcessCompute.create(cluster, cluster.addReader('zone-b'));
  computes.push(compute);
  return compute.read();
}

/** On the agent's own socket, where nothing is held back. */
async function local(): Promise<Client> {
  const client = new Client({ host: join(compute.writer.dataDir, 'run'), user: 'postgres', database: 'app' });
  client.on('error', () => undefined);
  await client.connect();
  open.push(client);
  return client;
}

async function session(on: Writer, overrides = {}): Promise<Client> {
  const client = await cluster.connect(on, { connectionTimeoutMillis: CONNECT_MS, ...overrides });
  open.push(client);
  return client;
}

/** The process id of its PostgreSQL. */
async function postgresOf(compute: Writer): Promise<number> {
  let pid: number | undefined;
  await cluster.until('it says so', async () => (pid = (await compute.status())?.postgres.pid) !== undefined);
  return pid ?? 0;
}

/** On the agent of its own that writes. */
async function onWriter(text: string): Promise<void> {
  await (await session(cluster.writer)).query(text);
}

/** Reads all accounts, again and again, until it is told to end; gives how often. Each time they must add up. */
function readsOn(client: Client): { stop(): Promise<number> } {
  let going = true;
  const run = async (): Promise<number> => {
    let rounds = 0;
    for (; going; rounds++) expect((await client.query(SUMS)).rows).toEqual(WHOLE);
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

async function ids(on: Client): Promise<string> {
  return (
    (await on.query<{ ids: string }>("select coalesce(string_agg(id::text, ' ' order by id), '') as ids from notes")).rows[0]?.ids ?? ''
  );
}

it('becomes the writer with its sessions and its buffers; all that was committed is there, and what it commits stays', async () => {
  // What stands in the middle of something when the writer dies.
  const running = await session(cluster.writer);
  await running.query("begin; insert into notes values (900, 'dies'); lock table locked in access exclusive mode");
  const preparing = await session(cluster.writer);
  await preparing.query("begin; insert into notes values (2, 'prepared before'); prepare transaction 'before'");

  const reader = await startReader();
  const looking = await session(compute.writer);
  const inTransaction = await session(compute.writer);
  await preparing.query("begin; insert into notes values (3, 'prepared after'); prepare transaction 'after'");
  await onWriter("insert into notes values (1, 'committed'); select nextval('numbers') from generate_series(1, 40)");
  await onWriter('update accounts set balance = balance - 1 where id = 1; update accounts set balance = balance + 1 where id = 2');
  await cluster.until('it is replayed', async () => (await ids(looking)) === '1');
  const pids = 'select pg_backend_pid() as pid, pg_is_in_recovery() as reads';
  const before = (await looking.query<{ pid: number; reads: boolean }>(pids)).rows[0];
  expect(before?.reads).toBe(true);
  expect((await looking.query(SUMS)).rows).toEqual(WHOLE);
  await inTransaction.query('begin isolation level repeatable read; select count(*) from accounts');
  await onWriter("insert into notes values (4, 'the last')");
  const otherPid = await postgresOf(other);

  const busy = [readsOn(await session(compute.writer)), readsOn(await session(compute.writer))];

  await cluster.writer.kill();
  cluster.writer.killPostgres();
  const standby = reader.handOver();
  const writer = await compute.write(standby);
  expect([writer.ready, await reader.ended]).toEqual([true, { kind: 'handedOver' }]);

  // Whoever was in the midst of something has only waited.
  for (const one of busy) expect(await one.stop()).toBeGreaterThan(0);
  // The same sessions, and they write now.
  expect((await looking.query(pids)).rows[0]).toEqual({ pid: before?.pid, reads: false });
  expect(await ids(looking)).toBe('1 4');
  // A snapshot is what it was.
  expect(await ids(inTransaction)).toBe('1');
  await inTransaction.query('commit');
  await inTransaction.query("insert into notes values (5, 'by a session of before')");
  await looking.query("insert into notes values (6, 'written')");
  await looking.query("commit prepared 'before'");
  await looking.query("rollback prepared 'after'");
  expect(await ids(looking)).toBe('1 2 4 5 6');
  await looking.query('begin; lock table locked in access exclusive mode nowait; commit');
  await looking.query('insert into locked values (1)');
  expect((await looking.query<{ n: string }>("select nextval('numbers') as n")).rows[0]?.n).toMatch(/^(4[1-9]|[5-9][0-9])$/);
  expect((await looking.query('select * from scratch')).rows).toEqual([]);
  await looking.query('insert into scratch values (2)');
  await looking.query(
    'update accounts set balance = balance - 5 where id <= 1000; update accounts set balance = balance + 5 where id > 7000',
  );
  expect((await looking.query(SUMS)).rows).toEqual(WHOLE);
  const admin = await session(compute.writer, { user: 'postgres' });
  await admin.query('vacuum (freeze) accounts');
  await admin.query('checkpoint');
  await admin.query("select bt_index_check(indexrelid, true) from pg_index where indrelid in ('accounts'::regclass, 'notes'::regclass)");

  // Whoever reads goes on, through the promotion and the checkpoints after it.
  const elsewhere = await session(other);
  await cluster.until('another reader follows', async () => (await ids(elsewhere)) === '1 2 4 5 6');
  expect((await elsewhere.query(SUMS)).rows).toEqual(WHOLE);
  expect(await postgresOf(other)).toBe(otherPid);

  // In the volume, not in its files: a PostgreSQL that knows nothing of them finds all of it.
  await writer.kill();
  const next = await compute.write();
  expect(next.ready).toBe(true);
  const after = await session(compute.writer, { user: 'postgres' });
  expect(await ids(after)).toBe('1 2 4 5 6');
  expect((await after.query(SUMS)).rows).toEqual(WHOLE);
  expect((await after.query('select * from scratch')).rows).toEqual([]);
  await after.query("select bt_index_check(indexrelid, true) from pg_index where indrelid in ('accounts'::regclass, 'notes'::regclass)");
  await cluster.until('another reader follows still', async () => (await ids(elsewhere)) === '1 2 4 5 6');
}, 120_000);

it('answers nobody while the lease of the writer before may be live; a query that is in the way of its replay is cancelled', async () => {
  cluster.writer.start();
  await cluster.writerReady();
  const reader = await startReader();
  const looking = await session(compute.writer);
  const slow = await session(compute.writer);
  const inside = await local();
  const cancelled = slow.query('select count(*), pg_sleep(600) from notes').then(
    () => 'answered',
    (error: unknown) => error,
  );
  const waitsFor = async (kind: string): Promise<string | undefined> =>
    (await inside.query<{ on: string }>(`select wait_event as on from pg_stat_activity where backend_type = $1`, [kind])).rows[0]?.on;
  await cluster.until(
    'it sleeps',
    async () => (await inside.query("select from pg_stat_activity where wait_event = 'PgSleep'")).rowCount === 1,
  );
  await onWriter('delete from notes where id = 1');
  await onWriter('vacuum notes');
  await onWriter("insert into notes values (7, 'behind what replay waits for')");
  await cluster.until('replay waits', async () => (await waitsFor('startup')) === 'RecoveryConflictSnapshot');

  // Its PostgreSQL goes on, and may answer for as long as it has its lease.
  cluster.writer.pause();
  const writing = compute.write(reader.handOver());
  await cluster.until('it is promoted', async () => {
    const { rows } = await inside.query<{ reads: boolean }>('select pg_is_in_recovery() as reads');
    return rows[0]?.reads === false;
  });
  const reply = await looking.query<{ ids: string }>("select string_agg(id::text, ' ' order by id) as ids from notes");
  expect(compute.session.lease?.remainingMs).toBeGreaterThan(0);
  expect(reply.rows).toEqual([{ ids: '2 4 5 6 7' }]);
  expect((await writing).ready).toBe(true);
  expect(await cancelled).toMatchObject({ message: expect.stringMatching(/^canceling statement due to/) });
  await slow.query("insert into notes values (8, 'by the session that lost its query')");
  expect((await looking.query('show max_standby_streaming_delay')).rows).toEqual([{ max_standby_streaming_delay: '-1' }]);
  cluster.writer.resume();
  await cluster.until('the one before is fenced', async () => (await cluster.writer.status())?.phase === 'fenced');
  // It ends in order, as any writer.
  await compute.session.stop();
  expect(await compute.session.ended).toEqual({ kind: 'stopped' });
}, 90_000);

it('is lost when it ends on the way: nothing of it remains, and the volume is opened as ever', async () => {
  await cluster.writer.kill();
  cluster.writer.start();
  await cluster.writerReady();
  const reader = await startReader();
  const looking = await session(compute.writer);
  await onWriter("insert into notes values (9, 'before')");
  await cluster.writer.kill();
  cluster.writer.killPostgres();
  const pid = reader.postgresPid;
  const writing = compute.write(reader.handOver());
  if (pid !== undefined) process.kill(pid, 'SIGKILL');
  const writer = await writing;
  expect(writer.ready).toBe(false);
  expect(await writer.ended).toMatchObject({ kind: 'failed', reason: 'postgresFailed' });
  await expect(looking.query('select 1')).rejects.toThrow();
  expect((await compute.write()).ready).toBe(true);
  expect(await ids(await session(compute.writer))).toBe('2 4 5 6 7 8 9');
}, 90_000);
