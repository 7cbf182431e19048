import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cluster } from '../e2e/cluster-harness.ts';
import type { AgentStatus } from '../e2e/compute-process.ts';

const ROWS = 5000;
/** A moment of the load at which nothing in particular happens. */
const LOADED_MS = 1500;

let cluster: Cluster;
const acknowledged = new Set<number>();
const seen = new Set<number>();
let sent = 0;

beforeAll(async () => {
  // Little room for WAL in memory: most of it is written long before anybody asks for a flush.
  cluster = await Cluster.start({
    readyWithinMs: 90_000,
    pgParameters: { shared_buffers: '64MB', wal_buffers: '256kB', wal_writer_delay: '1s' },
  });
  await cluster.query('create table loaded (load int, i int, filler text, primary key (load, i))');
}, 120_000);
afterAll(() => cluster?.destroy());

/** One load after another, each a transaction of a megabyte of redo, until the server is gone or `signal` aborts. */
async function load(signal: AbortSignal): Promise<void> {
  const client = await cluster.connect();
  try {
    while (!signal.aborted) {
      const number = ++sent;
      await client.query("insert into loaded select $1, g, repeat('f', 100) from generate_series(1, $2::int) g", [number, ROWS]);
      acknowledged.add(number);
    }
  } catch (error) {
    if (!(error instanceof Error)) throw error;
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** Every load that is there must be there whole; what was shown or acknowledged must be there. */
async function audit(): Promise<void> {
  const before = [...acknowledged];
  const { rows } = await cluster.query<{ load: number; n: number }>('select load, count(*)::int n from loaded group by load');
  expect(rows.filter(({ n }) => n !== ROWS)).toEqual([]);
  const found = new Set(rows.map((row) => row.load));
  expect([...before, ...seen].filter((number) => !found.has(number))).toEqual([]);
  for (const number of found) seen.add(number);
}

/** What the agent says of itself: a busy machine may keep it from answering for a while. */
async function statusOfAgent(): Promise<AgentStatus> {
  const answers: AgentStatus[] = [];
  const ask = async (): Promise<boolean> => {
    const status = await cluster.writer.status();
    return status !== undefined && answers.push(status) > 0;
  };
  await cluster.until('the agent answers', ask, 60_000);
  const [status] = answers;
  if (status === undefined) throw new Error('the agent did not answer');
  return status;
}

/** Loads from two sides, and in the middle of it `harm`. */
async function loadThrough(harm: () => Promise<void>): Promise<void> {
  const over = new AbortController();
  const from = acknowledged.size;
  const loads = [load(over.signal), load(over.signal)];
  await cluster.until('loads are acknowledged', () => acknowledged.size > from + 1, 60_000);
  await audit();
  await harm();
  over.abort();
  await cluster.writerReady(60_000);
  await Promise.all(loads);
  await audit();
}

describe('in the middle of a bulk load', () => {
  it.each(['PostgreSQL', 'agent'])(
    '%s is killed: what was acknowledged or shown is there, and no load in part',
    async (victim) => {
      await loadThrough(async () => {
        await delay(LOADED_MS);
        const status = await statusOfAgent();
        if (victim === 'PostgreSQL') process.kill(status.postgres.pid ?? Number.NaN, 'SIGKILL');
        else await cluster.writer.restart();
        await cluster.until(
          'the volume was opened anew',
          async () => ((await cluster.writer.status())?.epoch ?? status.epoch) !== status.epoch,
          60_000,
        );
        await cluster.until('it runs', async () => (await cluster.writer.status())?.phase === 'running', 60_000);
      });
    },
    240_000,
  );

  it('the agent stands still while PostgreSQL writes: the load waits, and goes on', async () => {
    await loadThrough(async () => {
      cluster.writer.pause();
      await delay(LOADED_MS);
      cluster.writer.resume();
      const from = acknowledged.size;
      await cluster.until('loads are acknowledged again', () => acknowledged.size > from + 2, 60_000);
    });
  }, 240_000);

  it('three daemons are away: the load waits, and nothing is lost', async () => {
    await loadThrough(async () => {
      for (const daemon of cluster.daemons.slice(0, 3)) await daemon.kill();
      await delay(LOADED_MS);
      for (const daemon of cluster.daemons.slice(0, 3)) daemon.start();
      const from = acknowledged.size;
      await cluster.until('loads are acknowledged again', () => acknowledged.size > from + 2, 60_000);
    });
  }, 240_000);
});
