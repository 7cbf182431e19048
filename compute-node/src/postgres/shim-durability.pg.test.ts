import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { systemClock } from '@kube-aurora/clock';
import { silentLogger } from '@kube-aurora/process';
import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { FixtureAgent, fixtureVolume, type FixtureVolume } from './fixture-agent.ts';
import { watchForHang } from './hang-watch.ts';
import { memoryTag } from './shared-memory.ts';
import { encodeRequest } from './shim-protocol.ts';
import { LOCAL_PORT, startPostgres } from './supervise.ts';

let volume: FixtureVolume;
let agent: FixtureAgent | undefined;
beforeAll(async () => {
  volume = await fixtureVolume();
});
afterEach(async () => {
  await agent?.stop();
  agent = undefined;
});
afterAll(() => volume?.remove());

/** Starts PostgreSQL with a table in it. */
async function start(): Promise<{ agent: FixtureAgent; client: Client }> {
  agent = await new FixtureAgent(volume).start({ shared_buffers: '8MB', autovacuum: 'off', wal_writer_delay: '10s' });
  const client = await agent.connect();
  await client.query('create table t (id int)');
  return { agent, client };
}

/** A statement that commits has come to wait for its flush, which is held. */
async function insertWaits(agent: FixtureAgent, client: Client): Promise<{ insert: Promise<unknown> }> {
  const flushed = agent.flushes.length;
  const insert = client.query('insert into t values (1)');
  insert.catch(() => undefined);
  await expect.poll(() => agent.flushes.length).toBeGreaterThan(flushed);
  return { insert };
}

/** Processes that work in a directory, deleted or not. */
function processesIn(dir: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readlinkSync(`/proc/${pid}/cwd`).startsWith(dir);
      } catch {
        return false; // ended meanwhile
      }
    })
    .map(Number);
}

async function untilGone(dir: string, withinMs = 30_000): Promise<void> {
  for (const deadline = Date.now() + withinMs; processesIn(dir).length > 0 && Date.now() < deadline;) await delay(20);
  expect(processesIn(dir)).toEqual([]);
}

function gate(): { held: Promise<void>; open: () => void } {
  let open = (): void => undefined;
  const held = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { held, open };
}

test('a commit waits for its flush, can be neither cancelled nor seen before it, and is there after it', async () => {
  const { agent, client } = await start();
  const observer = await agent.connect();
  await observer.query('select * from t');
  const { rows } = await client.query('select pg_backend_pid() as pid');
  const { held, open } = gate();
  agent.heldUntil = held;
  let committed = false;
  const { insert } = await insertWaits(agent, client);
  insert.then(
    () => (committed = true),
    () => undefined,
  );
  await observer.query('select pg_cancel_backend($1), pg_terminate_backend($1)', [rows[0].pid]);
  await delay(150);
  expect(committed).toBe(false);
  expect((await observer.query('select id from t')).rows).toEqual([]);
  agent.heldUntil = undefined;
  open();
  await insert.catch(() => undefined); // its session was terminated; the transaction was committed all the same
  await expect.poll(async () => (await observer.query('select id from t')).rows).toEqual([{ id: 1 }]);
  await observer.end();
});

test('WAL that was written is told of before it is flushed, in steps, and never more than is in the files; a small commit tells nothing', async () => {
  // Nobody else writes pages meanwhile: each that is written asks for a flush, and of a background writer there are the more the longer it takes.
  const alone = { autovacuum: 'off', bgwriter_lru_maxpages: '0' };
  agent = await new FixtureAgent(volume).start({ shared_buffers: '8MB', wal_buffers: '128kB', wal_writer_delay: '10s', ...alone });
  const client = await agent.connect();
  await client.query('create table t (id int, filler text)');
  for (let id = 0; id < 20; id++) await client.query('insert into t values ($1)', [id]);
  expect(agent.notices).toEqual([]);

  const flushesBefore = agent.flushes.length;
  await client.query("insert into t select g, repeat('f', 1000) from generate_series(1, 5000) g");
  const { notices } = agent;
  expect(notices.length).toBeGreaterThan(3);
  for (const [index, lsn] of notices.entries()) expect(lsn - (notices[index - 1] ?? 0n)).toBeGreaterThanOrEqual(256n * 1024n);
  expect(agent.noticesAhead).toEqual([]);
  // It wrote five megabytes, was asked for few flushes and told of most of it before.
  expect(agent.flushes.length - flushesBefore).toBeLessThan(notices.length);
  await client.end();
});

test('an agent that is away or busy holds up no write of WAL, only the flush', async () => {
  agent = await new FixtureAgent(volume).start({ shared_buffers: '8MB', wal_buffers: '128kB', wal_writer_delay: '10s', autovacuum: 'off' });
  const client = await agent.connect();
  const observer = await agent.connect();
  await client.query('create table t (id int, filler text)');
  const { held, open } = gate();
  agent.heldUntil = held;
  const flushes = agent.flushes.length;
  const load = client.query("insert into t select g, repeat('f', 1000) from generate_series(1, 2000) g");
  await expect.poll(() => agent?.notices.length).toBeGreaterThan(2);
  await expect.poll(() => agent?.flushes.length).toBeGreaterThan(flushes);
  expect((await observer.query('select count(*)::int n from t')).rows).toEqual([{ n: 0 }]);
  agent.heldUntil = undefined;
  open();
  await load;
  expect((await observer.query('select count(*)::int n from t')).rows).toEqual([{ n: 2000 }]);
  await observer.end();
  await client.end();
});

test('fenced: the commit hears who has the volume, PostgreSQL panics, and every process of it ends', async () => {
  const { agent, client } = await start();
  agent.ending = 'fenced';
  await expect(client.query('insert into t values (1)')).rejects.toMatchObject({
    severity: 'PANIC',
    code: '57P01',
    message: 'another writer has taken over this database',
    detail: 'If a transaction was being committed, it is not known whether it was.',
  });
  const { code, signal } = await agent.postgres.exited;
  expect(code !== 0 || signal !== null).toBe(true);
  expect(agent.postgres.lastFatal()).toMatch(/PANIC: {2}another writer has taken over/);
  await untilGone(agent.dataDir);
});

test.each([
  ['damaged', '57P02', /cannot be read back, so that the database is opened anew/],
  ['stopped', '57P01', /ends before storage has taken its log/],
] as const)('a flush that ends with %s says so: it is no fence', async (ending, code, message) => {
  const { agent, client } = await start();
  agent.ending = ending;
  await expect(client.query('insert into t values (1)')).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  await agent.postgres.exited;
});

test('an agent that goes away during a flush never makes it a success', async () => {
  const { agent, client } = await start();
  agent.heldUntil = new Promise(() => undefined);
  const { insert } = await insertWaits(agent, client);
  await agent.server.close();
  await expect(insert).rejects.toMatchObject({ code: '57P02' });
  await agent.postgres.exited;
});

test('a postmaster that is killed takes along backends that wait for a flush', async () => {
  const { agent, client } = await start();
  agent.heldUntil = new Promise(() => undefined);
  const { insert } = await insertWaits(agent, client);
  process.kill(agent.postgres.pid, 'SIGKILL');
  await expect(insert).rejects.toThrow();
  await untilGone(agent.dataDir);
});

test('a postmaster that is killed is seen though a stopped child holds its pipes, and nothing of it is left', async () => {
  const { agent, client } = await start();
  const { rows } = await client.query("select pid from pg_stat_activity where backend_type = 'walwriter'");
  process.kill(rows[0].pid, 'SIGSTOP');
  const postmaster = agent.postgres.pid;
  process.kill(postmaster, 'SIGKILL');
  expect(await agent.postgres.exited).toEqual({ code: null, signal: 'SIGKILL' });
  expect(await agent.postgres.ask(1000)).toBe('absent');
  await untilGone(agent.dataDir);
});

test('a PostgreSQL that is killed leaves no shared memory: no System V segment, no parallel query', async () => {
  const { agent, client } = await start();
  const segments = (): string[] => readFileSync('/proc/sysvipc/shm', 'utf8').trimEnd().split('\n').slice(1);
  const ours = Number(readFileSync(join(agent.dataDir, 'postmaster.pid'), 'utf8').split('\n')[6]?.trim().split(/\s+/)[1]);
  const known = (): boolean => segments().some((line) => Number(line.trim().split(/\s+/)[1]) === ours);
  expect(known()).toBe(true);
  const memory = (): string[] => readdirSync('/dev/shm').filter((name) => name.startsWith(`PostgreSQL.${memoryTag(agent.dataDir)}.`));
  expect(memory().length).toBeGreaterThan(0);
  // Memory of another server that happens to be there.
  const stranger = `/dev/shm/PostgreSQL.${process.pid}`;
  writeFileSync(stranger, '');
  await client.query('set debug_parallel_query = on; set parallel_setup_cost = 0; set min_parallel_table_scan_size = 0');
  await client.query('select count(*) from pg_class');
  process.kill(agent.postgres.pid, 'SIGKILL');
  await agent.postgres.exited;
  await untilGone(agent.dataDir);
  expect(memory()).toEqual([]);
  await expect.poll(known).toBe(false);
  expect(existsSync(stranger)).toBe(true);
  rmSync(stranger);
});

test('readiness asks PostgreSQL itself: one that hangs answers nothing, within a bounded time', async () => {
  const { agent } = await start();
  expect(await agent.postgres.ask(10_000)).toBe('open');
  process.kill(agent.postgres.pid, 'SIGSTOP');
  const startedAt = performance.now();
  expect(await agent.postgres.ask(500)).toBe('silent');
  expect(performance.now() - startedAt).toBeLessThan(10_000);
  expect(await agent.postgres.greets(500)).toBe(false);
  process.kill(agent.postgres.pid, 'SIGCONT');
  await expect.poll(() => agent.postgres.ask(10_000)).toBe('open');
  expect(await agent.postgres.greets(10_000)).toBe(true);
});

test('a PostgreSQL that hangs is ended, and nothing of it is left', async () => {
  const { agent } = await start();
  process.kill(agent.postgres.pid, 'SIGSTOP');
  const clock = { ...systemClock(), sleep: () => Promise.resolve() };
  const { signal } = new AbortController();
  const hung = await watchForHang({ greets: () => agent.postgres.greets(200), clock, logger: silentLogger(), signal });
  expect(hung).toBe(true);
  expect(await agent.postgres.kill()).toEqual({ code: null, signal: 'SIGKILL' });
  await untilGone(agent.dataDir);
});

test('stops in order with a checkpoint, and again at once when killed', async () => {
  const { agent, client } = await start();
  await client.end();
  expect(await agent.postgres.stop('fast')).toEqual({ code: 0, signal: null });
  expect(agent.postgres.recentLog().at(-1)).toMatch(/database system is shut down/);
  expect(agent.flushes.every((flush) => flush.dirtyLsn < flush.writtenLsn)).toBe(true);
  expect(await agent.postgres.kill()).toEqual({ code: 0, signal: null });
});

test('a backend of another start is disconnected, not answered', async () => {
  const { agent } = await start();
  const socket = connect(agent.server.socketPath);
  socket.write(encodeRequest({ operation: 'flush', id: 1, token: agent.server.token ^ 1n, writtenLsn: 1n, dirtyLsn: 0n }));
  const answer: Buffer[] = [];
  socket.on('data', (chunk) => answer.push(chunk));
  await once(socket, 'close');
  expect(answer).toEqual([]);
  expect(agent.errors.map((error) => error.name)).toEqual(['StaleShimError']);
});

test('an agent killed with SIGKILL takes PostgreSQL with it', async () => {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'fixture-agent-process.ts')], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const { postmaster, socketDir, dir } = JSON.parse(line.toString()) as { postmaster: number; socketDir: string; dir: string };
  try {
    const client = new Client({ host: socketDir, port: LOCAL_PORT, user: 'postgres', database: 'app' });
    client.on('error', () => undefined);
    await client.connect();
    await client.query('create table t (id int); insert into t values (1)');
    const busy = client.query('select count(*) from generate_series(1, 1000000000)').catch((error: Error) => error.message);
    expect(processesIn(dir)).toContain(postmaster);
    child.kill('SIGKILL');
    await exited;
    await untilGone(dir);
    expect(await busy).toMatch(/terminat|crash|shut|closed|ECONNRESET/i);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
  expect(existsSync(dir)).toBe(false);
});

test('does not start at all without the shim', async () => {
  const { postgres } = volume.installation;
  const shim = {
    library: join(volume.dir, 'missing.so'),
    socketPath: '/nowhere',
    token: 1n,
    startLsn: 1n,
    boundsCache: false,
    holdsReplies: false,
  };
  const options = { postgres, dataDir: volume.dir, socketDir: volume.dir, listen: undefined, account: volume.account };
  expect(() => startPostgres({ ...options, imageResourceManagers: [], shim, logger: silentLogger() })).toThrow(
    /missing\.so.*cannot be (pre)?loaded/,
  );
});
