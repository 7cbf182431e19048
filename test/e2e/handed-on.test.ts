import { afterAll, beforeAll, expect, it } from 'vitest';
import { Cluster } from './cluster-harness.ts';
import type { Writer } from './compute-process.ts';

/**
 * What needs no silence: storage is told that the writer's PostgreSQL is dead, by whoever knows. Silence would take longer than
 * any of these may.
 */
const SILENCE_MS = 60_000;
const WITHIN_MS = 30_000;

let cluster: Cluster;
let other: Writer;

beforeAll(async () => {
  cluster = await Cluster.start({ role: 'auto', env: { AURORA_FAILOVER_AFTER_MS: String(SILENCE_MS) } });
  await cluster.query('create table entries (id int primary key)');
  await cluster.query('insert into entries values (1)');
  other = cluster.addInstance('zone-b');
  other.start();
  await cluster.writerReady(60_000, other);
}, 120_000);
afterAll(() => cluster?.destroy());

async function isIn(compute: Writer, role: 'writer' | 'reader'): Promise<void> {
  const holds = async (): Promise<boolean> => {
    const status = await compute.status();
    return status?.role === role && status.phase === 'running';
  };
  await cluster.until(`${compute.name} is the ${role}`, holds, WITHIN_MS);
}

async function rows(compute: Writer): Promise<number | null> {
  return (await cluster.query('select from entries', [], compute)).rowCount;
}

it('an agent that starts where another was killed says at once that what ran there is dead, and a reader takes its place', async () => {
  await cluster.writer.kill();
  cluster.writer.start();
  await isIn(other, 'writer');
  expect((await other.status())?.failover).toMatchObject({ reason: 'postgresDied', fromInstance: cluster.writer.name });
  expect(await rows(other)).toBe(1);
  await isIn(cluster.writer, 'reader');
}, 90_000);

it('a writer that is stopped in order hands its place on', async () => {
  await other.kill('SIGTERM');
  await isIn(cluster.writer, 'writer');
  expect((await cluster.writer.status())?.failover).toMatchObject({ reason: 'postgresDied', fromInstance: other.name });
  await cluster.query('insert into entries values (2)');
}, 90_000);

it('a writer without readers opens the volume anew itself, and that is no failover', async () => {
  const before = await cluster.writer.status();
  const pid = before?.postgres.pid;
  if (before === undefined || pid === undefined) throw new Error('no PostgreSQL');
  process.kill(pid, 'SIGKILL');
  await cluster.until('another epoch', async () => Number((await cluster.writer.status())?.epoch) > Number(before.epoch), WITHIN_MS);
  await isIn(cluster.writer, 'writer');
  expect(await rows(cluster.writer)).toBe(2);
  expect((await cluster.writer.status())?.failover?.at).toBe(before.failover?.at);
}, 90_000);
