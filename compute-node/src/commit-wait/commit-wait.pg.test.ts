import { randomInt } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { systemClock } from '@kube-aurora/clock';
import { silentLogger } from '@kube-aurora/process';
import { Client } from 'pg';
import { afterAll, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { FixtureAgent, fixtureVolume, type FixtureVolume } from '../postgres/fixture-agent.ts';
import { FixtureQuorum } from './fixture-quorum.ts';
import { LOCAL_PORT } from '../postgres/supervise.ts';
import { COMMIT_STANDBY } from './commit-standby.ts';
import { keepCommitsShort } from './commit-wait.ts';

const PASSWORD = 'let-me-in';
/** Long enough for anything that may be answered to be answered, on a busy machine too. */
const SILENCE_MS = 400;
const WITHIN = { timeout: 15_000, interval: 20 };

let volume: FixtureVolume;
let agent: FixtureAgent;
let host: string;
/** Of the agent's own socket: nothing that it is told is held back. */
let observer: Client;
const quorum = new FixtureQuorum();
const over = new AbortController();
let kept: Promise<void>;

async function connect(): Promise<Client> {
  const client = new Client({ host, port: LOCAL_PORT, user: 'postgres', database: 'app', password: PASSWORD });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

async function ids(client: Client): Promise<number[]> {
  return (await client.query<{ id: number }>('select id from t order by id')).rows.map(({ id }) => id);
}

const waiting = async (): Promise<number> =>
  (await observer.query<{ n: number }>("select count(*)::int n from pg_stat_activity where wait_event = 'SyncRep'")).rows[0]?.n ?? -1;
const standbyNames = async (): Promise<unknown> => (await observer.query('show synchronous_standby_names')).rows;

/** What has come of it so far. */
function watched(promise: Promise<unknown>): { outcome: string } {
  const seen = { outcome: 'waits' };
  promise.then(
    () => (seen.outcome = 'done'),
    (error: unknown) => (seen.outcome = error instanceof Error ? error.message : 'failed'),
  );
  return seen;
}

beforeAll(async () => {
  volume = await fixtureVolume();
  host = `127.${randomInt(64, 250)}.${randomInt(1, 250)}.1`;
  // One that applies redo knows where records end.
  agent = new FixtureAgent(volume, 256 * 1024 * 1024);
  agent.holdsReplies = true;
  await agent.start({ autovacuum: 'off', checkpoint_timeout: '1h', bgwriter_delay: '10s', wal_writer_delay: '10s' }, host);
  const clock = systemClock();
  agent.postgres.permit({ askedAtMs: clock.now(), untilMs: clock.now() + 600_000 }, clock);
  observer = await agent.connect('app');
  await observer.query(`alter role postgres password '${PASSWORD}'`);
  await observer.query('create table t (id int)');
  agent.quorum = quorum;
  const socket = { dir: agent.socketDir, port: LOCAL_PORT };
  kept = keepCommitsShort(
    { socket, flushes: quorum, server: agent.postgres, coreWait: () => 0, clock, logger: silentLogger() },
    over.signal,
  );
}, 60_000);

beforeEach(async () => {
  quorum.isOpen = true;
  quorum.advance();
  await vi.waitFor(() => expect(quorum.returns).toBe('sent'), WITHIN);
  await observer.query('truncate t');
}, 30_000);

afterAll(async () => {
  quorum.isOpen = true;
  quorum.advance();
  over.abort();
  await kept;
  await agent?.stop();
  volume?.remove();
}, 30_000);

it('many commit at a time: each waits for the quorum by itself, is shown to nobody before it, and told to nobody', async () => {
  const clients = await Promise.all([1, 2, 3, 4].map(() => connect()));
  quorum.isOpen = false;
  const flushesBefore = agent.flushes.length;
  const commits = clients.map((client, id) => watched(client.query('insert into t values ($1)', [id])));
  await vi.waitFor(async () => expect(await waiting()).toBe(clients.length), WITHIN);
  // No flush waited for the one before it.
  expect(agent.flushes.length).toBeGreaterThan(flushesBefore);
  expect(quorum.promisedLsn).toBeGreaterThan(quorum.durableLsn);
  expect(await ids(observer)).toEqual([]);
  // Who only reads waits for nobody.
  const reader = await connect();
  expect(await ids(reader)).toEqual([]);
  await delay(SILENCE_MS);
  expect(commits.map(({ outcome }) => outcome)).toEqual(['waits', 'waits', 'waits', 'waits']);
  quorum.advance();
  await vi.waitFor(() => expect(commits.map(({ outcome }) => outcome)).toEqual(['done', 'done', 'done', 'done']), WITHIN);
  expect(await ids(reader)).toEqual([0, 1, 2, 3]);
  await Promise.all([reader, ...clients].map((client) => client.end()));
}, 30_000);

it('who waits can be neither cancelled nor ended before it is durable; who asks for a local commit is told of it then, who asks for none at once', async () => {
  const [cancelled, ended, local, none] = await Promise.all([connect(), connect(), connect(), connect()]);
  const pidOf = async (client: Client): Promise<unknown> =>
    (await client.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]?.pid;
  const pids = [await pidOf(cancelled), await pidOf(ended)];
  await local.query('set synchronous_commit = local');
  await none.query('set synchronous_commit = off');
  quorum.isOpen = false;
  const first = watched(cancelled.query('insert into t values (1)'));
  const second = watched(ended.query('insert into t values (2)'));
  await vi.waitFor(async () => expect(await waiting()).toBe(2), WITHIN);
  await observer.query('select pg_cancel_backend($1), pg_terminate_backend($2)', pids);
  const third = watched(local.query('insert into t values (3)'));
  // Others see it a round trip early.
  await vi.waitFor(async () => expect(await ids(observer)).toEqual([3]), WITHIN);
  await none.query('insert into t values (4)');
  await delay(SILENCE_MS);
  expect([first.outcome, second.outcome, third.outcome]).toEqual(['waits', 'waits', 'waits']);
  expect(await ids(observer)).toEqual([3, 4]);
  quorum.advance();
  await vi.waitFor(() => expect([first.outcome, third.outcome]).toEqual(['done', 'done']), WITHIN);
  await vi.waitFor(() => expect(second.outcome).not.toBe('waits'), WITHIN);
  expect(await ids(observer)).toEqual([1, 2, 3, 4]);
  await Promise.all([cancelled, local, none].map((client) => client.end()));
}, 30_000);

it('a standby that is lost leaves whoever waits waiting until all is durable, and commits wait in their flush until there is another', async () => {
  const client = await connect();
  quorum.isOpen = false;
  const commit = watched(client.query('insert into t values (1)'));
  await vi.waitFor(async () => expect(await waiting()).toBe(1), WITHIN);
  await observer.query('select pg_terminate_backend(pid) from pg_stat_replication where application_name = $1', [COMMIT_STANDBY]);
  await vi.waitFor(() => expect(quorum.returns).toBe('durable'), WITHIN);
  // For who waits already the settings stay as they are.
  expect(await standbyNames()).toEqual([{ synchronous_standby_names: COMMIT_STANDBY }]);
  expect([commit.outcome, await ids(observer)]).toEqual(['waits', []]);
  quorum.isOpen = true;
  quorum.advance();
  await vi.waitFor(() => expect(commit.outcome).toBe('done'), WITHIN);
  expect(await ids(observer)).toEqual([1]);
  await vi.waitFor(async () => expect(await standbyNames()).toEqual([{ synchronous_standby_names: '' }]), WITHIN);
  await client.query('insert into t values (2)');
  await client.end();
}, 30_000);
