import { spawn, type ChildProcess } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cluster } from '../e2e/cluster-harness.ts';
import { metric } from './observe.ts';

/** Processes that do nothing but compute, beside a cluster of eight on a machine of two cores or a few more. */
const BURNERS = 20;
const CLIENTS = 4;
const LOAD_MS = 12_000;

let cluster: Cluster;

beforeAll(async () => {
  cluster = await Cluster.start();
  await cluster.query('create table committed (id bigint generated always as identity primary key, client int)');
}, 120_000);
afterAll(() => cluster?.destroy());

/** Streams that broke since the epoch began, of all six. */
const streamErrors = async (): Promise<number> =>
  (await metric(`http://${cluster.writer.host}:7003/metrics`, 'aurora_segment_stream_errors')) ?? Number.NaN;

describe('a machine that is short of CPU', () => {
  it('makes commits slower and nothing else: no process ends, no stream breaks, no peer is taken for dead, no epoch begins', async () => {
    const before = { errors: await streamErrors(), status: await cluster.writer.status() };
    const pids = [cluster.writer, ...cluster.daemons].map(({ pid }) => pid);
    const logs = cluster.daemons.map((daemon) => daemon.logTail(100_000).length);
    const burners: ChildProcess[] = Array.from({ length: BURNERS }, () =>
      spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' }),
    );
    let acknowledged = 0;
    try {
      let isOver = false;
      const clients = Array.from({ length: CLIENTS }, async (_, client) => {
        const session = await cluster.connect();
        try {
          while (!isOver) {
            await session.query('insert into committed (client) values ($1)', [client]);
            acknowledged++;
          }
        } finally {
          await session.end();
        }
      });
      await delay(LOAD_MS);
      isOver = true;
      await Promise.all(clients);
    } finally {
      for (const burner of burners) burner.kill('SIGKILL');
    }
    const after = await cluster.writer.status();
    expect(acknowledged).toBeGreaterThan(CLIENTS);
    expect((await cluster.query('select count(*)::int n from committed')).rows).toEqual([{ n: acknowledged }]);
    expect([cluster.writer, ...cluster.daemons].map(({ pid }) => pid)).toEqual(pids);
    expect(after?.epoch).toBe(before.status?.epoch);
    expect(after?.postgres.pid).toBe(before.status?.postgres.pid);
    expect(await streamErrors()).toBe(before.errors);
    expect(after?.segments.map(({ state }) => state)).toEqual(after?.segments.map(() => 'streaming'));
    for (const [index, daemon] of cluster.daemons.entries())
      expect(daemon.logTail(100_000).slice(logs[index])).not.toContain('a peer does not answer');
  }, 150_000);
});
