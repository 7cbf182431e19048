import type { Client } from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Cluster } from './cluster-harness.ts';
import type { AgentStatus, Writer } from './compute-process.ts';

/** What clients of a writer meet whose place is taken on purpose. Times are bounds: a busy machine is slow. */
const WITHIN_MS = 60_000;
/** Long enough for a commit on a busy machine, which comes within it. */
const DRAIN_MS = 3000;

let cluster: Cluster;
let computes: readonly [Writer, Writer];

beforeAll(async () => {
  cluster = await Cluster.start({
    role: 'auto',
    findable: true,
    readyWithinMs: 120_000,
    env: { AURORA_SWITCHOVER_DRAIN_MS: String(DRAIN_MS) },
  });
  await cluster.query('create table entries (id int primary key)');
  computes = [cluster.writer, cluster.addInstance('zone-b')];
  computes[1].start();
  await cluster.writerReady(100_000, computes[1]);
}, 240_000);
afterAll(() => cluster?.destroy());

/** It is the writer, and no reader that has not heard yet. */
async function isWriter(compute: Writer): Promise<AgentStatus> {
  let status: AgentStatus | undefined;
  await cluster.until(
    `${compute.host} is the writer`,
    async () => {
      status = await compute.status();
      return status?.role === 'writer' && status.phase === 'running';
    },
    WITHIN_MS,
  );
  if (status === undefined) throw new Error('no status');
  return status;
}

/** How a statement ended: by itself, or with an SQLSTATE. */
function ended(statement: Promise<unknown>): Promise<string> {
  return statement.then(
    () => 'done',
    (error: unknown) => (error instanceof Error && 'code' in error ? String(error.code) : String(error)),
  );
}

async function insert(client: Client, id: number): Promise<void> {
  await client.query('insert into entries values ($1)', [id]);
}

it('a transaction under way commits, one that takes too long does not, and who asks for more meanwhile waits and is told', async () => {
  const [old, next] = computes;
  const [short, long, idle, late] = await Promise.all([1, 2, 3, 4].map(() => cluster.connect(old)));
  if (short === undefined || long === undefined || idle === undefined || late === undefined) throw new Error('no clients');
  const notices: (string | undefined)[] = [];
  const told = new Promise<string>((resolve) =>
    idle.once('error', (error: Error & { code?: string }) => resolve(error.code ?? error.message)),
  );
  for (const client of [short, long]) await client.query('begin');
  await insert(short, 1);
  await insert(long, 2);
  const cut = ended(long.query(`select pg_sleep(60)`));
  expect(await next.promote()).toMatchObject({ code: 202 });
  // Not before sessions are paused: from then on a new transaction waits, and this one goes on.
  await cluster.until('the writer’s sessions are paused', () => old.logTail().includes('sessions begin no transaction'));
  const waits = ended(insert(late, 3)).then((how) => notices.push(how));
  await short.query('select pg_sleep(0.2)');
  expect(await ended(short.query('commit'))).toBe('done');
  expect(notices).toEqual([]);
  expect(await cut).toBe('57P01');
  await waits;
  expect(notices).toEqual(['57P01']);
  expect(await told).toBe('57P01');
  const { failover } = await isWriter(next);
  expect(failover).toMatchObject({ reason: 'switchover', fromInstance: old.host, transactions: { finished: 1, cutOff: 1 } });
  expect(failover?.phases.drainedMs).toBeGreaterThanOrEqual(DRAIN_MS - 10);
  const { rows } = await cluster.query<{ id: number }>('select id from entries', [], next);
  expect(rows).toEqual([{ id: 1 }]);
}, 90_000);

it('with nothing under way nobody waits for the end of the time', async () => {
  const [next, old] = computes;
  await cluster.until('the old writer is a reader', async () => (await next.status())?.role === 'reader', WITHIN_MS);
  await cluster.writerReady(WITHIN_MS, next);
  const client = await cluster.connect(old);
  await insert(client, 4);
  expect(await next.promote()).toMatchObject({ code: 202 });
  const { failover } = await isWriter(next);
  expect(failover).toMatchObject({ reason: 'switchover', fromInstance: old.host, transactions: { finished: 0, cutOff: 0 } });
  expect(await ended(client.query('select 1'))).not.toBe('done');
  expect((await cluster.query('select id from entries', [], next)).rowCount).toBe(2);
}, 90_000);

it('a writer that stands still in the midst of it holds nobody up for longer', async () => {
  const [old, next] = computes;
  await cluster.until('the old writer is a reader', async () => (await next.status())?.role === 'reader', WITHIN_MS);
  await cluster.writerReady(WITHIN_MS, next);
  old.pause();
  expect(await next.promote()).toMatchObject({ code: 202 });
  const { failover } = await isWriter(next);
  expect(failover).toMatchObject({ reason: 'switchover', fromInstance: old.host });
  expect(failover).not.toHaveProperty('transactions');
  expect((await cluster.query('select id from entries', [], next)).rowCount).toBe(2);
  old.resume();
}, 90_000);

it('a writer that is stopped in order gives its place away like that', async () => {
  const [next, old] = computes;
  await cluster.until('the old writer is a reader', async () => (await next.status())?.role === 'reader', WITHIN_MS);
  await cluster.writerReady(WITHIN_MS, next);
  const [short, late] = [await cluster.connect(old), await cluster.connect(old)];
  await short.query('begin');
  await insert(short, 5);
  const drains = (): number => old.logTail(100_000).split('sessions begin no transaction').length;
  const before = drains();
  const gone = old.kill('SIGTERM');
  await cluster.until('the writer’s sessions are paused', () => drains() > before);
  const waits = ended(insert(late, 6));
  await short.query('select pg_sleep(0.2)');
  expect(await ended(short.query('commit'))).toBe('done');
  expect(await waits).toBe('57P01');
  await gone;
  expect(old.exitCode).toBe(0);
  const { failover } = await isWriter(next);
  // It has said that it is gone, and nobody waited for its silence.
  expect(failover).toMatchObject({ reason: 'postgresDied', fromInstance: old.host, inPlace: true });
  const { rows } = await cluster.query<{ id: number }>('select id from entries order by id', [], next);
  expect(rows.map(({ id }) => id)).toEqual([1, 4, 5]);
}, 90_000);
