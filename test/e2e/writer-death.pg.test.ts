import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { EXIT } from '../../packages/process/src/exit-codes.ts';
import { Cluster } from './cluster-harness.ts';

let cluster: Cluster;
beforeAll(async () => {
  cluster = await Cluster.start();
  await cluster.query('create table t (id int)');
}, 90_000);
afterAll(() => cluster?.destroy());

interface Failure {
  readonly code: string | undefined;
  readonly message: string;
}

/** One attempt to connect: undefined when it worked. */
async function attempt(): Promise<Failure | undefined> {
  const client = new Client({ ...cluster.connection(), connectionTimeoutMillis: 20_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('select 1');
    return undefined;
  } catch (error) {
    return failureOf(error);
  } finally {
    await client.end().catch(() => undefined);
  }
}

function failureOf(error: unknown): Failure {
  const code = error instanceof Error && 'code' in error ? String(error.code) : undefined;
  return { code, message: error instanceof Error ? error.message : String(error) };
}

async function isReady(): Promise<boolean> {
  return (await fetch(`http://${cluster.writer.host}:7003/readyz`)).ok;
}

it('a client that connects while PostgreSQL is away is refused or told 57P03, never let in and cut off', async () => {
  const idle = await cluster.connect();
  const told = new Promise<Failure>((resolve) => idle.on('error', (error) => resolve(failureOf(error))));
  const pid = (await cluster.writer.status())?.postgres.pid;
  if (pid === undefined) throw new Error('no PostgreSQL');
  // Storage away: opening the volume takes until it is back, so that there is something to see.
  const paused = cluster.daemons.slice(0, 3);
  for (const daemon of paused) daemon.pause();
  process.kill(pid, 'SIGKILL');
  // The kernel may have had a connection in the queue of the postmaster that died: what counts begins when its port is
  // free.
  await cluster.until('the agent sees it', async () => (await cluster.writer.status())?.phase === 'opening');
  expect((await told).code).toMatch(/^57P0[12]$/);
  expect(await isReady()).toBe(false);
  expect(await cluster.writer.status()).toMatchObject({
    phase: 'opening',
    lastFailure: { reason: 'postgresFailed', message: expect.stringMatching(/PostgreSQL ended with SIGKILL/) },
  });
  const failures: Failure[] = [];
  let resumed = false;
  for (let round = 0; ; round++) {
    const failure = await attempt();
    if (failure === undefined) break;
    failures.push(failure);
    if (failures.length >= 5 && !resumed) {
      resumed = true;
      expect(await cluster.writer.status()).toMatchObject({ phase: 'opening', reason: 'waitingForStorage' });
      for (const daemon of paused) daemon.resume();
    }
    if (round > 3000) throw new Error(`still no connection: ${failure.message}`);
    await delay(10);
  }
  expect(failures.some(({ message }) => message === 'the database is waiting for its storage')).toBe(true);
  expect(failures.filter(({ code }) => code !== '57P03' && code !== 'ECONNREFUSED')).toEqual([]);
  await cluster.until('the agent is ready again', isReady);
}, 90_000);

it('an overtaken writer tells a commit that another one took over, says so to new connections, and by its exit code', async () => {
  const old = await cluster.connect();
  await old.query('select count(*) from t');
  // It hears of the commit and of the other writer in the same moment, after that one has taken over.
  cluster.writer.pause();
  const commit = old.query('insert into t values (1)').then(
    () => 'committed',
    (error: unknown) => error,
  );
  const second = cluster.addWriter('zone-c');
  second.start();
  await cluster.writerReady(60_000, second);
  cluster.writer.resume();
  expect(await commit).toMatchObject({
    code: '57P01',
    message: 'another writer has taken over this database',
    detail: expect.stringMatching(/it is not known whether it was/),
  });
  expect((await cluster.query('select from t', [], second)).rowCount).toBe(0);
  await cluster.until('it says so', async () => (await attempt())?.message === 'another server has taken over this database');
  expect((await cluster.writer.status())?.reason).toBe('fenced');
  await cluster.writer.kill('SIGTERM');
  expect(cluster.writer.exitCode).toBe(EXIT.fenced);
}, 90_000);
