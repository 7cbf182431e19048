import { randomInt, X509Certificate } from 'node:crypto';
import { Client, type ClientConfig } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FixtureStandby } from '../reader/fixture-standby.ts';
import { FixtureAgent, fixtureVolume, type FixtureVolume } from './fixture-agent.ts';
import { testPki } from '../tls/fixture-pki.ts';
import { LOCAL_PORT } from './supervise.ts';

const PASSWORD = 'let-me-in';
const WRITER_PORT = 5435;
/** Where there is nobody. */
const NOWHERE = { host: '127.0.0.1', port: 1 };
const network = `127.${randomInt(64, 250)}.${randomInt(1, 250)}`;
const WRITER = { host: `${network}.1`, port: LOCAL_PORT };
const READER = { host: `${network}.2`, port: LOCAL_PORT };
const WHO = 'select inet_server_addr() as host, pg_is_in_recovery() as reads';

let volume: FixtureVolume;
let writer: FixtureAgent;
let standby: FixtureStandby;
let pki: Awaited<ReturnType<typeof testPki>>;

beforeAll(async () => {
  volume = await fixtureVolume();
  writer = new FixtureAgent(volume, 1 << 30);
  writer.writerPort = WRITER_PORT;
  // Each has its own: who is at the other end shows in it.
  pki = await testPki([WRITER.host]);
  writer.pair = pki.pair;
  await writer.start({ autovacuum: 'off' }, WRITER.host);
  const superuser = await writer.connect('postgres');
  await superuser.query(`alter role postgres password '${PASSWORD}'`);
  await superuser.end();
  standby = new FixtureStandby(volume, writer.redo);
  standby.listenHost = READER.host;
  standby.writerPort = WRITER_PORT;
  standby.pair = (await testPki([READER.host])).pair;
  await standby.start();
  await standby.follow();
}, 120_000);
afterAll(async () => {
  await standby?.stop();
  await writer?.stop();
  volume?.remove();
});

async function connect(host: string, port: number, options: ClientConfig = {}): Promise<Client> {
  const client = new Client({ host, port, user: 'postgres', database: 'app', password: PASSWORD, ...options });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

/** Who answers at that address: its own, and whether it is a reader. */
async function who(host: string, port: number): Promise<unknown> {
  const client = await connect(host, port);
  const { rows } = await client.query<Record<string, unknown>>(WHO);
  await client.end();
  return rows[0];
}

const ended = (client: Client): Promise<void> => new Promise((resolve) => client.once('end', () => resolve()));

it('both ports of a writer are its own', async () => {
  expect(await who(WRITER.host, LOCAL_PORT)).toEqual({ host: WRITER.host, reads: false });
  expect(await who(WRITER.host, WRITER_PORT)).toEqual({ host: WRITER.host, reads: false });
});

describe('the second port of a reader', () => {
  it('refuses with words while the writer is not known, or not there, and the first is not concerned', async () => {
    const refused = {
      severity: 'FATAL',
      code: '57P03',
      message: 'this server is a reader, and the writer cannot be reached from it',
    };
    await expect(connect(READER.host, WRITER_PORT)).rejects.toMatchObject(refused);
    standby.postgres.writerIs(NOWHERE);
    await expect(connect(READER.host, WRITER_PORT)).rejects.toMatchObject(refused);
    // Whoever insists on TLS hears it too.
    await expect(connect(READER.host, WRITER_PORT, { ssl: { rejectUnauthorized: false } })).rejects.toMatchObject(refused);
    await expect(connect(READER.host, WRITER_PORT, { password: 'wrong' })).rejects.toMatchObject({ code: '28P01' });
    expect(await who(READER.host, LOCAL_PORT)).toEqual({ host: READER.host, reads: true });
  });

  it('leads to the writer, with all that goes either way, cancels too', async () => {
    standby.postgres.writerIs(WRITER);
    expect(await who(READER.host, WRITER_PORT)).toEqual({ host: WRITER.host, reads: false });
    const client = await connect(READER.host, WRITER_PORT);
    const long = 'x'.repeat(3_000_000);
    const { rows } = await client.query<{ bytes: number; back: string }>('select length($1)::int as bytes, repeat($1, 2) as back', [long]);
    expect(rows).toEqual([{ bytes: long.length, back: long + long }]);
    await client.query('create table passed_on as select 1 as n');
    const sleeping = client.query('select pg_sleep(60)');
    // A cancel that comes before the statement is one of nothing.
    const watching = await writer.connect('postgres');
    await expect.poll(async () => (await watching.query("select from pg_stat_activity where wait_event = 'PgSleep'")).rowCount).toBe(1);
    await watching.end();
    const { processID, secretKey } = client as unknown as { processID: number; secretKey: number };
    const canceller = new Client({ host: READER.host, port: WRITER_PORT });
    (
      canceller as unknown as { connection: { on(e: string, f: () => void): void; connect(p: number, h: string): void } }
    ).connection.connect(WRITER_PORT, READER.host);
    const { connection } = canceller as unknown as {
      connection: { on(event: string, listener: () => void): void; cancel(processId: number, secretKey: number): void };
    };
    connection.on('error', () => undefined);
    connection.on('connect', () => connection.cancel(processID, secretKey));
    await expect(sleeping).rejects.toMatchObject({ code: '57014' });
    await client.end();
  });

  it('leads to the writer under TLS from end to end: the client sees the certificate of the writer', async () => {
    const ssl = { ca: pki.authority.certificate, checkServerIdentity: (_: string, { raw }: { raw: Buffer }) => void shown.push(raw) };
    const shown: Buffer[] = [];
    const client = await connect(READER.host, WRITER_PORT, { ssl });
    expect(shown).toEqual([new X509Certificate(pki.pair.certificate).raw]);
    const long = 'x'.repeat(3_000_000);
    const { rows } = await client.query<{ back: string; ssl: boolean }>(
      'select repeat($1, 2) as back, ssl from pg_stat_ssl where pid = pg_backend_pid()',
      [long],
    );
    expect(rows).toEqual([{ back: long + long, ssl: true }]);
    await client.end();
  });

  it('passes nothing on twice: what it is led to answers itself', async () => {
    standby.postgres.writerIs(READER);
    expect(await who(READER.host, WRITER_PORT)).toEqual({ host: READER.host, reads: true });
    standby.postgres.writerIs(WRITER);
  });

  it('lets go of its clients when storage names another writer', async () => {
    const client = await connect(READER.host, WRITER_PORT);
    const over = ended(client);
    standby.postgres.writerIs(NOWHERE);
    await over;
    standby.postgres.writerIs(WRITER);
  });

  it('lets go of its clients when the writer is gone, and is its own once this reader has become the writer', async () => {
    const before = await connect(READER.host, WRITER_PORT);
    const stays = await connect(READER.host, LOCAL_PORT);
    const over = ended(before);
    await standby.caughtUp();
    await writer.postgres.kill();
    await over;
    await standby.promote();
    const now = performance.now();
    standby.postgres.permit({ askedAtMs: now, untilMs: now + 600_000 }, { now: () => performance.now() });
    expect((await stays.query(WHO)).rows).toEqual([{ host: READER.host, reads: false }]);
    await stays.end();
    expect(await who(READER.host, WRITER_PORT)).toEqual({ host: READER.host, reads: false });
    // In order, with a client by either port.
    await connect(READER.host, WRITER_PORT);
    await standby.postgres.stop('fast');
    expect([...writer.errors, ...standby.errors]).toEqual([]);
  });
});
