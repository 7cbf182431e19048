import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cluster } from '../e2e/cluster-harness.ts';
import { daemonMetrics, metric, residentMib } from './observe.ts';

const RING_MIB = 4;
const MIB = 1024 * 1024;
/** Of a daemon by default, and a tenth more: V8 looks for garbage later where it is kept waiting for a processor. */
const DAEMON_MEMORY_MIB = 220;
/** Buffers of a daemon's caches once they are filled, and a little that was not looked for yet. */
const IN_USE_MIB = 24;
/** One 512-byte row each: 4 MiB of data, and as much redo again for its pages' first images and its index. */
const BIG_INSERT = `insert into bulk select g, repeat('x', 480) from generate_series(1, 8000) g`;

let cluster: Cluster;

beforeAll(async () => {
  cluster = await Cluster.start({ env: { AURORA_RING_MIB: String(RING_MIB) } });
  await cluster.query('create table bulk (id int, filler text)');
}, 90_000);
afterAll(() => cluster?.destroy());

const ringBytes = async (): Promise<number> => (await metric(`http://${cluster.writer.host}:7003/metrics`, 'aurora_redo_ring_bytes')) ?? 0;

/** The highest value that `read` gives while `work` is under way. */
async function highest(read: () => Promise<number>, work: Promise<unknown>): Promise<number> {
  let most = 0;
  let over = false;
  const done = work.finally(() => (over = true));
  while (!over) {
    most = Math.max(most, await read());
    await delay(20);
  }
  await done;
  return most;
}

const allLevel = async (): Promise<boolean> =>
  (await cluster.writer.status())?.segments.every((segment) => segment.state === 'streaming' && segment.behindBytes === 0) ?? false;

const daemonMemory = (): number => Math.max(...cluster.daemons.map(residentMib));
/** Of buffers, used or not, of the daemon that has most. */
async function daemonBufferMib(): Promise<number> {
  const each = await Promise.all(
    cluster.daemons.map((_daemon, index) => metric(daemonMetrics(cluster, index), 'nodejs_external_memory_bytes')),
  );
  return Math.max(...each.map((bytes) => bytes ?? Number.POSITIVE_INFINITY)) / MIB;
}

/** Of all daemons: times that one gave unused buffers back. */
async function idleCollections(): Promise<number> {
  const each = await Promise.all(
    cluster.daemons.map((_daemon, index) => metric(daemonMetrics(cluster, index), 'aurora_storage_idle_collections_total')),
  );
  return each.reduce<number>((sum, count) => sum + (count ?? 0), 0);
}

describe('memory under load', () => {
  it('of every daemon stays within what it was given while rows come in, and its buffers go when it has nothing to do', async () => {
    const before = await daemonBufferMib();
    const most = await highest(
      () => Promise.resolve(daemonMemory()),
      cluster.query(`insert into bulk select g, repeat('x', 60) from generate_series(1, 250000) g`),
    );
    expect(most).toBeLessThanOrEqual(DAEMON_MEMORY_MIB);
    await cluster.until('some give buffers back', async () => (await idleCollections()) > 0, 60_000);
    await cluster.until('none keeps more than it uses', async () => (await daemonBufferMib()) < before + IN_USE_MIB, 60_000);
    expect(daemonMemory()).toBeLessThanOrEqual(DAEMON_MEMORY_MIB);
  }, 150_000);

  it('stays within the ring while a segment is down for longer than that; its peers bring it back', async () => {
    const gone = cluster.daemons[5];
    if (gone === undefined) throw new Error('no daemon');
    await gone.kill();
    const before = (await cluster.writer.status())?.vdl ?? '0';
    const most = await highest(
      ringBytes,
      (async () => {
        for (let times = 0; times < 5; times++) await cluster.query(BIG_INSERT);
      })(),
    );
    const redo = Number(BigInt((await cluster.writer.status())?.vdl ?? '0') - BigInt(before));
    expect(redo).toBeGreaterThan(3 * RING_MIB * MIB);
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThanOrEqual(RING_MIB * MIB);
    gone.start();
    await cluster.until('it is fed again and level', allLevel, 30_000);
    expect(gone.logTail(200)).toMatch(/fetched missing redo|copied the segment from a peer/);
  }, 90_000);

  it.each([
    ['three', 3],
    ['all six', 6],
  ])(
    'does not grow with %s paused: nothing is acknowledged, and everything goes on after',
    async (_name, paused) => {
      const daemons = cluster.daemons.slice(0, paused);
      const memory = (): number => residentMib(cluster.writer);
      for (const daemon of daemons) daemon.pause();
      const before = memory();
      let acknowledged = 0;
      const inserts = Array.from({ length: 4 }, async () => {
        await cluster.query(BIG_INSERT, [], cluster.writer, { connectionTimeoutMillis: 2000 });
        acknowledged++;
      });
      // New sessions may need a page: with all six paused they do not even get in.
      const settled = Promise.allSettled(inserts);
      await delay(2500);
      expect(acknowledged).toBe(0);
      expect(await ringBytes()).toBeLessThanOrEqual(RING_MIB * MIB);
      expect(memory() - before).toBeLessThan(32);
      await delay(1500);
      expect(acknowledged).toBe(0);
      expect(memory() - before).toBeLessThan(32);
      for (const daemon of daemons) daemon.resume();
      await settled;
      await cluster.query('insert into bulk values (0, null)');
      await cluster.until('all six are level', allLevel, 30_000);
      expect(await ringBytes()).toBeLessThanOrEqual(RING_MIB * MIB);
    },
    90_000,
  );
});
