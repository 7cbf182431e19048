import type { Client } from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Cluster } from './cluster-harness.ts';
import type { AgentStatus, Writer } from './compute-process.ts';

/** Readers on the volume of a writer: real agents, real daemons, stock PostgreSQL. */

const ACCOUNTS = 12_000;

let cluster: Cluster;
let reader: Writer;
let open: Client[] = [];

beforeAll(async () => {
  cluster = await Cluster.start({
    pgParameters: { shared_buffers: '2MB', max_prepared_transactions: '5' },
    env: { AURORA_CACHE_MIB: '16' },
  });
  await cluster.query(`create table accounts (id int primary key, balance int not null, filler text) with (fillfactor = 70)`);
  await cluster.query(`insert into accounts select g, 100, repeat('f', 1000) from generate_series(1, ${ACCOUNTS}) g`);
  await cluster.query('create index on accounts (balance)');
  await cluster.query('create table notes (id int primary key, note text)');
  const admin = await cluster.connect(cluster.writer, { user: 'postgres' });
  await admin.query('create extension amcheck');
  await admin.end();
}, 240_000);
afterEach(async () => {
  for (const one of open) await one.end().catch(() => undefined);
  open = [];
});
afterAll(() => cluster?.destroy());

async function session(on: Writer, overrides = {}): Promise<Client> {
  const client = await cluster.connect(on, overrides);
  open.push(client);
  return client;
}

async function caughtUp(one = reader): Promise<void> {
  const vdl = BigInt((await cluster.writer.status())?.vdl ?? 0);
  await cluster.until('the reader has replayed what is durable', async () => BigInt((await one.status())?.replayLsn ?? 0) >= vdl, 30_000);
}

/** Moves money until it is told to end. Gives how often it did; a writer that is away is waited for. */
function transfers(seed: number): { stop(): Promise<number> } {
  let going = true;
  const run = async (): Promise<number> => {
    let moves = 0;
    let client: Client | undefined;
    for (let i = seed; going; i += 7919) {
      const [from, to] = [1 + (i % ACCOUNTS), 1 + ((i * 31) % ACCOUNTS)];
      try {
        client ??= await cluster.connect();
        await client.query(
          `begin; update accounts set balance = balance - 1 where id = ${from}; update accounts set balance = balance + 1 where id = ${to}; commit`,
        );
        moves++;
      } catch (error) {
        if (!(error instanceof Error)) throw error;
        await client?.end().catch(() => undefined);
        client = undefined;
      }
    }
    await client?.end();
    return moves;
  };
  const done = run();
  return {
    stop: () => {
      going = false;
      return done;
    },
  };
}

const SUMS = 'select sum(balance)::int as sum, count(*)::int as rows from accounts';
const WHOLE = [{ sum: ACCOUNTS * 100, rows: ACCOUNTS }];

describe('a reader beside the writer', () => {
  it('starts in the middle of transactions, and shows each when, and only when, it has committed', async () => {
    const running = await session(cluster.writer);
    await running.query("begin; insert into notes values (1, 'running'); savepoint a; insert into notes values (2, 'rolled back')");
    const preparing = await session(cluster.writer);
    await preparing.query("begin; insert into notes values (3, 'prepared'); prepare transaction 'p'");
    await cluster.query("insert into notes values (4, 'before')");
    reader = cluster.addReader('zone-b');
    reader.start();
    await cluster.writerReady(60_000, reader);
    const looking = await session(reader);
    const ids = async (): Promise<number[]> =>
      (await looking.query<{ id: number }>('select id from notes order by id')).rows.map(({ id }) => id);
    expect(await ids()).toEqual([4]);
    expect((await looking.query('select pg_is_in_recovery() as standby')).rows).toEqual([{ standby: true }]);
    await expect(looking.query("insert into notes values (9, 'of a reader')")).rejects.toThrow(/read-only transaction/);
    await running.query('rollback to a; commit');
    await preparing.query("commit prepared 'p'");
    await cluster.until('both are shown', async () => (await ids()).join() === '1,3,4');
    expect((await looking.query(SUMS)).rows).toEqual(WHOLE);
  }, 90_000);

  it('says what it is, how far behind it is, and where its redo comes from; and is ready', async () => {
    await caughtUp();
    let status: AgentStatus | undefined;
    // Something is always written: it is behind again a moment later.
    await cluster.until('it has caught up', async () => (status = await reader.status())?.lagMs === 0);
    expect(status).toMatchObject({ role: 'reader', phase: 'running', lagMs: 0, epoch: '0', source: expect.stringMatching(/^d[0-5]$/) });
    expect((await fetch(`http://${reader.host}:7003/readyz`)).status).toBe(200);
    await cluster.until('its metrics say so', async () =>
      /^aurora_reader_lag_seconds 0$/m.test(await (await fetch(`http://${reader.host}:7003/metrics`)).text()),
    );
    expect((await cluster.writer.status())?.phase).toBe('running');
  });

  it('shows in every snapshot sums that add up, and indexes that agree, while the writer is busy, dies and comes back', async () => {
    const moving = [transfers(1), transfers(500)];
    const looking = await session(reader);
    const pid = (await looking.query('select pg_backend_pid() as pid')).rows;
    const checking = await session(reader, { user: 'postgres' });
    const look = async (): Promise<void> => {
      expect((await looking.query(SUMS)).rows).toEqual(WHOLE);
      await checking.query("select bt_index_check(indexrelid, true) from pg_index where indrelid = 'accounts'::regclass");
    };
    await look();
    await cluster.writer.kill();
    cluster.writer.killPostgres();
    await look();
    cluster.writer.start();
    await cluster.writerReady();
    await cluster.query("insert into notes values (10, 'after the kill')");
    await cluster.until('the reader shows what came after it', async () => {
      await look();
      return (await looking.query('select from notes where id = 10')).rowCount === 1;
    });
    const moves = await Promise.all(moving.map((one) => one.stop()));
    expect(moves.every((count) => count > 0)).toBe(true);
    await caughtUp();
    const digest = "select md5(string_agg(id || ':' || balance, ',' order by id)) as digest from accounts";
    expect((await looking.query(digest)).rows).toEqual((await cluster.query(digest)).rows);
    // The same session all the time.
    expect((await looking.query('select pg_backend_pid() as pid')).rows).toEqual(pid);
  }, 90_000);

  it('slows nobody when it is stopped, and catches up', async () => {
    reader.pause();
    for (let id = 100; id < 200; id++) await cluster.query('insert into notes values ($1, $2)', [id, 'the reader is stopped']);
    reader.resume();
    await cluster.until('it has caught up', async () => {
      const found = await cluster.query<{ n: number }>('select count(*)::int as n from notes where id between 100 and 199', [], reader);
      return found.rows[0]?.n === 100;
    });
  });

  it('keeps what a long query may see from being vacuumed, and its redo goes on; dead, it holds up nothing', async () => {
    const other = cluster.addReader('zone-c');
    other.start();
    await cluster.writerReady(60_000, other);
    const admin = await session(cluster.writer, { user: 'postgres' });
    const heldXmin = async (): Promise<number | undefined> => {
      const { rows } = await admin.query<{ xmin: string }>("select xmin from pg_replication_slots where slot_name = 'kube_aurora_readers'");
      return rows[0] === undefined ? undefined : Number(rows[0].xmin);
    };
    await admin.query('create table parted as select g from generate_series(1, 1000) g');
    await cluster.until('the writer has heard of readers', async () => (await heldXmin()) !== undefined);
    const looking = await session(other, { user: 'postgres' });
    await cluster.until('it is there', async () => (await looking.query("select to_regclass('parted') as it")).rows[0].it !== null);
    await looking.query('begin isolation level repeatable read');
    const seen = await looking.query<{ xmin: string }>('select pg_snapshot_xmin(pg_current_snapshot()) as xmin, count(*) from parted');
    await admin.query('delete from parted where g <= 999');
    await admin.query('vacuum parted');
    await caughtUp(other);
    expect((await looking.query('select count(*)::int as n from parted')).rows).toEqual([{ n: 1000 }]);
    await looking.query('commit');
    const conflicts = await looking.query('select sum(confl_snapshot)::int as n from pg_stat_database_conflicts');
    expect(conflicts.rows).toEqual([{ n: 0 }]);
    // Its snapshot goes on being needed, as far as the writer knows, until storage takes it for dead.
    await looking.query('begin isolation level repeatable read');
    await looking.query('select count(*) from parted');
    other.killPostgres();
    await other.kill();
    const after = Number(seen.rows[0]?.xmin);
    await admin.query('insert into parted select 1');
    await cluster.until('its hold is over', async () => ((await heldXmin()) ?? Infinity) > after + 1, 40_000);
  }, 90_000);

  it('keeps its sessions when another writer takes over', async () => {
    const looking = await session(reader);
    const second = cluster.addWriter('zone-c');
    second.start();
    await cluster.writerReady(60_000, second);
    await cluster.query("insert into notes values (300, 'of the second writer')", [], second);
    await cluster.until('the reader shows it', async () => (await looking.query('select from notes where id = 300')).rowCount === 1);
    expect((await looking.query(SUMS)).rows).toEqual(WHOLE);
    await second.kill('SIGTERM');
  });

  it('comes back when its PostgreSQL is killed, and ends in order', async () => {
    const pid = (await reader.status())?.postgres.pid;
    if (pid === undefined) throw new Error('no PostgreSQL');
    process.kill(pid, 'SIGKILL');
    await cluster.until('the old PostgreSQL is gone', async () => (await reader.status())?.postgres.pid !== pid);
    await cluster.writerReady(60_000, reader);
    expect((await cluster.query(SUMS, [], reader)).rows).toEqual(WHOLE);
    await reader.kill('SIGTERM');
    expect(reader.logTail(4000)).toMatch(/database system is shut down/);
  });
});
