import { randomInt } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { systemClock } from '@kube-aurora/clock';
import { silentLogger } from '@kube-aurora/process';
import { drainSessions, HANDOVER_MS } from '../switchover/drain-sessions.ts';
import type { DrainOutcome } from '../switchover/drain-outcome.ts';
import { postgresTransactions, type TransactionAccess } from '../switchover/open-transactions.ts';
import { FixtureAgent, fixtureVolume, type FixtureVolume } from './fixture-agent.ts';
import { testPki } from '../tls/fixture-pki.ts';
import { connectSuperuser } from './local-client.ts';
import { LOCAL_PORT } from './supervise.ts';

const PASSWORD = 'let-me-in';
const CLOCK = systemClock();
/** Long enough for anything that may be answered to be answered, on a busy machine too. */
const SILENCE_MS = 500;
/** Nobody waits for the end of it. */
const LONG_MS = 600_000;
let volume: FixtureVolume;
let agent: FixtureAgent;
let host: string;
let pki: Awaited<ReturnType<typeof testPki>>;

beforeAll(async () => {
  volume = await fixtureVolume();
  host = `127.${randomInt(64, 250)}.${randomInt(1, 250)}.1`;
  pki = await testPki([host]);
});
beforeEach(async () => {
  agent = new FixtureAgent(volume);
  agent.holdsReplies = true;
  agent.pair = pki.pair;
  await agent.start({}, host);
  const now = CLOCK.now();
  agent.postgres.permit({ askedAtMs: now, untilMs: now + LONG_MS }, CLOCK);
  const superuser = await agent.connect('postgres');
  await superuser.query(`alter role postgres password '${PASSWORD}'`);
  await superuser.end();
});
afterEach(() => agent.stop());
afterAll(() => volume?.remove());

/** Without `ca` in plain text. */
async function connect(ca?: string): Promise<Client> {
  const ssl = ca === undefined ? false : { ca };
  const client = new Client({ host, port: LOCAL_PORT, user: 'postgres', database: 'app', password: PASSWORD, ssl });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

async function settles(promise: Promise<unknown>, withinMs: number): Promise<boolean> {
  const settled = promise.then(
    () => true,
    () => true,
  );
  return Promise.race([settled, delay(withinMs, false)]);
}

const pauseFor = (ms: number): void => agent.postgres.pauseUntil(CLOCK.now() + ms, CLOCK);

it('in a pause a session begins no transaction and goes on with the one that it is in, under TLS as well', async () => {
  const ca = pki.authority.certificate;
  const between = await connect();
  const amid = await connect(ca);
  const encrypted = await connect(ca);
  await amid.query('begin');
  pauseFor(LONG_MS);
  const later = between.query<{ n: number }>('select 41 + 1 as n');
  const alike = encrypted.query<{ n: number }>('select 43 + 1 as n');
  expect((await amid.query<{ n: number }>('select 1 as n')).rows).toEqual([{ n: 1 }]);
  await amid.query('commit');
  const next = amid.query('select 1');
  // Who connects is let in, and waits as well.
  const another = await connect(ca);
  const first = another.query('select 1');
  // The agent's own session does not.
  const local = await agent.connect();
  expect((await local.query<{ n: number }>('select 1 as n')).rows).toEqual([{ n: 1 }]);
  await local.end();
  expect(await settles(Promise.race([later, alike, next, first]), SILENCE_MS)).toBe(false);
  pauseFor(0);
  expect((await later).rows).toEqual([{ n: 42 }]);
  expect((await alike).rows).toEqual([{ n: 44 }]);
  await Promise.all([next, first]);
  await Promise.all([between, amid, encrypted, another].map((client) => client.end()));
});

it('a pause is over by itself when it says', async () => {
  const client = await connect();
  const untilMs = CLOCK.now() + 800;
  agent.postgres.pauseUntil(untilMs, CLOCK);
  await client.query('select 1');
  expect(CLOCK.now()).toBeGreaterThanOrEqual(untilMs - 1);
  await client.end();
});

it('who waits in a pause is told 57P01 when PostgreSQL ends, and what was asked for was not done, under TLS as well', async () => {
  const [client, encrypted] = [await connect(), await connect(pki.authority.certificate)];
  await client.query('create table done (id int)');
  pauseFor(LONG_MS);
  const waiting = client.query('insert into done values (1)');
  const alike = encrypted.query('insert into done values (2)');
  expect(await settles(waiting, SILENCE_MS)).toBe(false);
  const local = await agent.connect();
  expect((await local.query('select from done')).rowCount).toBe(0);
  await local.end();
  const ended = agent.postgres.stop('fast');
  const told = expect(alike).rejects.toMatchObject({ severity: 'FATAL', code: '57P01' });
  await expect(waiting).rejects.toMatchObject({ severity: 'FATAL', code: '57P01' });
  await told;
  await ended;
});

/** With the real server's sessions; nobody takes the place afterwards. `onLook` is told of each look that is done. */
function drain(withinMs: number, onLook: () => void = () => undefined): Promise<DrainOutcome> {
  const transactions = postgresTransactions({ dir: agent.socketDir, port: LOCAL_PORT });
  const access: TransactionAccess = (work) =>
    transactions((look) =>
      work(async () => {
        const names = await look();
        onLook();
        return names;
      }),
    );
  const pause = (untilMs: number): void => agent.postgres.pauseUntil(untilMs, CLOCK);
  return drainSessions({ pause, access, withinMs, clock: CLOCK, logger: silentLogger() }, new AbortController().signal);
}

it('a drain waits for transactions of clients, for none of the agent’s own, and not for longer than it was given', async () => {
  const idle = await connect();
  const [short, long] = [await connect(), await connect()];
  const local = await connectSuperuser({ dir: agent.socketDir, port: LOCAL_PORT }, { database: 'app' });
  await local.query('begin');
  await short.query('begin');
  await long.query('begin');
  // No setting of a session hides it.
  await short.query('set track_activities = off');
  const counted = Promise.withResolvers<void>();
  let looks = 0;
  // The first is before the pause; what the second has seen is counted when the third is made.
  const seen = drain(3000, () => {
    if (++looks === 3) counted.resolve();
  });
  await counted.promise;
  await short.query('commit');
  expect(await settles(seen, SILENCE_MS)).toBe(false);
  expect(await seen).toEqual({ waitedMs: expect.any(Number) as number, transactions: { finished: 1, cutOff: 1 } });
  expect((await seen).waitedMs).toBeGreaterThanOrEqual(2990);
  expect((await seen).waitedMs).toBeLessThan(3000 + HANDOVER_MS);
  await long.query('commit');
  // Nothing is left to wait for.
  const quiet = await drain(60_000);
  expect(quiet.transactions).toEqual({ finished: 0, cutOff: 0 });
  expect(quiet.waitedMs).toBeLessThan(30_000);
  await local.query('commit');
  pauseFor(0);
  await Promise.all([idle, short, long, local].map((client) => client.end()));
});
