import { randomInt } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { Client, type ClientConfig } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '@kube-aurora/clock';
import { FixtureAgent, fixtureVolume, type FixtureVolume } from './fixture-agent.ts';
import { testPki } from '../tls/fixture-pki.ts';
import { LOCAL_PORT } from './supervise.ts';

const PASSWORD = 'let-me-in';
const CLOCK = systemClock();
/** Long enough for anything that may be answered to be answered, on a busy machine too. */
const SILENCE_MS = 700;
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
  const superuser = await agent.connect('postgres');
  await superuser.query(`alter role postgres password '${PASSWORD}'`);
  await superuser.end();
});
afterEach(() => agent.stop());
afterAll(() => volume?.remove());

/** Replies may leave for so long from now on. */
function permit(forMs: number): void {
  const now = CLOCK.now();
  agent.postgres.permit({ askedAtMs: now, untilMs: now + forMs }, CLOCK);
}

async function connect(options: ClientConfig = {}): Promise<Client> {
  const client = new Client({ host, port: LOCAL_PORT, user: 'postgres', database: 'app', password: PASSWORD, ...options });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

/** As sslmode=verify-full has it. */
const verified = (): ClientConfig => ({ ssl: { ca: pki.authority.certificate } });

async function settles(promise: Promise<unknown>, withinMs: number): Promise<boolean> {
  const settled = promise.then(
    () => true,
    () => true,
  );
  return Promise.race([settled, delay(withinMs, false)]);
}

/** Has a connection ready, and then no lease. */
async function connectedWithout(options: ClientConfig = {}): Promise<Client> {
  permit(600_000);
  const client = await connect(options);
  permit(0);
  return client;
}

describe('without a lease', () => {
  it('nobody from the network is let in, and the agent’s own socket answers', async () => {
    const client = connect();
    expect(await settles(client, SILENCE_MS)).toBe(false);
    const local = await agent.connect();
    expect((await local.query<{ one: number }>('select 1 as one')).rows).toEqual([{ one: 1 }]);
    await local.end();
    expect(await agent.postgres.ask(5000)).toBe('open');
    permit(600_000);
    await (await client).end();
  });

  it('who connects is refused with words after a while, and PostgreSQL goes on', async () => {
    const startedAt = CLOCK.now();
    await expect(connect()).rejects.toMatchObject({
      severity: 'FATAL',
      code: '57P03',
      message: 'this server may not answer: storage has not renewed its lease',
    });
    expect(CLOCK.now() - startedAt).toBeGreaterThan(2500);
    // Under TLS only PostgreSQL could say it, and it is held: the connection ends.
    await expect(connect(verified())).rejects.toThrow(/disconnected|terminated|ECONNRESET/);
    permit(600_000);
    const client = await connect();
    expect((await client.query<{ n: number }>('select 1 as n')).rows).toEqual([{ n: 1 }]);
    await client.end();
  });

  /** A reply of many messages, of which none leaves before there is a lease again. */
  async function longReplyWaits(client: Client): Promise<void> {
    permit(0);
    const rows = client.query<{ g: number }>('select g from generate_series(1, 100000) g');
    expect(await settles(rows, SILENCE_MS)).toBe(false);
    permit(600_000);
    expect((await rows).rows).toHaveLength(100_000);
  }

  it('a reply waits, whatever it is, and leaves once there is one again', async () => {
    const client = await connectedWithout();
    const reply = client.query<{ n: number }>('select 41 + 1 as n');
    expect(await settles(reply, SILENCE_MS)).toBe(false);
    permit(600_000);
    expect((await reply).rows).toEqual([{ n: 42 }]);
    await longReplyWaits(client);
    await client.end();
  });

  it('the same under TLS, where all that leaves means nothing to the shim', async () => {
    const client = await connectedWithout(verified());
    const reply = client.query<{ ssl: boolean }>('select ssl from pg_stat_ssl where pid = pg_backend_pid()');
    expect(await settles(reply, SILENCE_MS)).toBe(false);
    // Nor is anybody shown a certificate.
    const another = connect(verified());
    expect(await settles(another, SILENCE_MS)).toBe(false);
    permit(600_000);
    expect((await reply).rows).toEqual([{ ssl: true }]);
    await (await another).end();
    await longReplyWaits(client);
    await client.end();
  });

  it('a session whose reply waits for long loses its connection, and hears nothing; one that a lease came to in time does not', async () => {
    const lost = await connectedWithout();
    permit(600_000);
    const kept = await connectedWithout();
    const startedAt = CLOCK.now();
    const reply = lost.query('select 41 + 1 as n');
    const local = await agent.connect();
    const sessions = async (): Promise<number | null> =>
      (await local.query('select from pg_stat_activity where client_addr is not null')).rowCount;
    expect(await sessions()).toBe(2);
    await expect(reply).rejects.toThrow('Connection terminated unexpectedly');
    expect(CLOCK.now() - startedAt).toBeGreaterThan(9000);
    while ((await sessions()) !== 1) await delay(50);
    await local.end();
    const late = kept.query<{ n: number }>('select 41 + 1 as n');
    expect(await settles(late, SILENCE_MS)).toBe(false);
    permit(600_000);
    expect((await late).rows).toEqual([{ n: 42 }]);
    await kept.end();
  });

  it('a backend that waits can be terminated, and PostgreSQL ends in order', async () => {
    const client = await connectedWithout();
    const local = await agent.connect();
    const { rows } = await local.query<{ pid: number }>(
      'select pid from pg_stat_activity where client_addr is not null and pid <> pg_backend_pid()',
    );
    const reply = client.query('select 1');
    expect(await settles(reply, SILENCE_MS)).toBe(false);
    await local.query('select pg_terminate_backend($1)', [rows[0]?.pid]);
    await expect(reply).rejects.toThrow();
    const another = connect();
    expect(await settles(another, 200)).toBe(false);
    await local.end();
    await agent.postgres.stop('fast');
    await expect(another).rejects.toThrow();
  });

  it('the last words of a commit that failed leave', async () => {
    const client = await connectedWithout();
    agent.ending = 'fenced';
    await expect(client.query("select pg_logical_emit_message(true, 'x', 'y')")).rejects.toMatchObject({
      code: '57P01',
      message: 'another writer has taken over this database',
    });
  });
});

it('runs out by itself, to the moment that it names', async () => {
  permit(600_000);
  const client = await connect();
  permit(400);
  await delay(500);
  expect(await settles(client.query('select 1'), SILENCE_MS)).toBe(false);
});

it('goes by the newest one, and a half-written one is none', async () => {
  permit(600_000);
  const client = await connect();
  for (let round = 0; round < 2000; round++) {
    permit(600_000 + round);
    if (round % 100 === 0) expect((await client.query<{ n: number }>('select 1 as n')).rows).toEqual([{ n: 1 }]);
  }
  await client.end();
});
