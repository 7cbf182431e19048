import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { Client, type ClientConfig } from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '@kube-aurora/clock';
import { silentLogger } from '@kube-aurora/process';
import { absenceOf } from '../absence.ts';
import type { AgentSituation } from '../agent-situation.ts';
import { testPki } from '../tls/fixture-pki.ts';
import type { KeyPair } from '../tls/key-pair.ts';
import { StandIn } from './stand-in.ts';

let situation: AgentSituation;
let standIn: StandIn;
let pair: KeyPair | undefined;
const makeStandIn = (port: number): StandIn =>
  new StandIn({
    listen: { host: '127.0.0.1', port },
    absence: () => absenceOf(situation),
    pair: () => pair,
    clock: systemClock(),
    logger: silentLogger(),
  });

beforeEach(() => {
  situation = { phase: 'opening', reason: 'waitingForStorage' };
  pair = undefined;
  standIn = makeStandIn(0);
});
afterEach(() => standIn.close());

async function takenPort(): Promise<number> {
  standIn.take();
  await expect.poll(() => standIn.port).toBeGreaterThan(0);
  return standIn.port ?? 0;
}

async function refusal(port: number, ssl: ClientConfig['ssl'] = false): Promise<unknown> {
  const client = new Client({ host: '127.0.0.1', port, user: 'app', ssl, connectionTimeoutMillis: 10_000 });
  client.on('error', () => undefined);
  return client.connect().then(
    () => 'connected',
    (error: unknown) => error,
  );
}

test('a driver hears 57P03 and why', async () => {
  const port = await takenPort();
  expect(await refusal(port)).toMatchObject({
    severity: 'FATAL',
    code: '57P03',
    message: 'the database is waiting for its storage',
    detail: expect.stringMatching(/No commit that was acknowledged is lost/),
  });
  situation = { phase: 'fenced', reason: 'fenced' };
  expect(await refusal(port)).toMatchObject({ code: '57P03', message: 'another server has taken over this database' });
});

test('says no to encryption before it speaks, as PostgreSQL without it does', async () => {
  const port = await takenPort();
  const socket = connect(port, '127.0.0.1');
  socket.write(Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]));
  const [answer] = (await once(socket, 'data')) as [Buffer];
  expect(answer.toString()).toBe('N');
  const startup = Buffer.from('....\0\x03\0\0user\0app\0\0', 'latin1');
  startup.writeUInt32BE(startup.length, 0);
  // In two pieces: packets need not arrive whole.
  socket.write(startup.subarray(0, 6));
  await new Promise((resolve) => setImmediate(resolve));
  socket.write(startup.subarray(6));
  const [fatal] = (await once(socket, 'data')) as [Buffer];
  expect(fatal.toString('latin1')).toContain('C57P03\0');
  await once(socket, 'close');
});

test('says yes to TLS where PostgreSQL would, with its certificate, and then why there is none', async () => {
  const pki = await testPki(['127.0.0.1']);
  pair = pki.pair;
  const port = await takenPort();
  expect(await refusal(port, { ca: pki.authority.certificate })).toMatchObject({
    code: '57P03',
    message: 'the database is waiting for its storage',
  });
  expect(await refusal(port, { ca: (await testPki([])).authority.certificate })).not.toHaveProperty('severity');
  // Whoever sits in between may not speak before TLS does.
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.write(Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f, 0x16]));
  await once(socket, 'close');
});

test('bytes that are no startup packet are not gathered', async () => {
  const port = await takenPort();
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.write(Buffer.from('GET / HTTP/1.1\r\n\r\n'));
  await once(socket, 'close');
});

test('gives the port back at once, still answers who was connected, and takes it again when it is free', async () => {
  const port = await takenPort();
  const early = connect(port, '127.0.0.1');
  await once(early, 'connect');
  // Lets the stand-in accept it.
  await expect.poll(() => refusal(port)).toMatchObject({ code: '57P03' });
  await standIn.release();
  const other = createServer((socket) => socket.end());
  other.listen(port, '127.0.0.1');
  await once(other, 'listening');
  const startup = Buffer.from('....\0\x03\0\0user\0app\0\0', 'latin1');
  startup.writeUInt32BE(startup.length, 0);
  early.write(startup);
  const [fatal] = (await once(early, 'data')) as [Buffer];
  expect(fatal.toString('latin1')).toContain('C57P03\0');

  const second = makeStandIn(port);
  second.take();
  await new Promise((resolve) => setTimeout(resolve, 50));
  other.close();
  await expect.poll(() => refusal(port)).toMatchObject({ code: '57P03' });
  await second.close();
});

test.each<[AgentSituation, RegExp]>([
  [{ phase: 'bootstrapping', reason: 'none' }, /being made/],
  [{ phase: 'opening', reason: 'none' }, /being opened/],
  [{ phase: 'opening', reason: 'startingPostgres' }, /being opened/],
  [{ phase: 'opening', reason: 'postgresFailed' }, /failed and is being started again/],
  [{ phase: 'opening', reason: 'damagedWal' }, /failed and is being started again/],
  [{ phase: 'opening', reason: 'settingsRefused' }, /does not start with its settings/],
  [{ phase: 'stopping', reason: 'stopping' }, /shutting down/],
  [{ phase: 'stopping', reason: 'fenced' }, /another server has taken over/],
])('%o is told as such', (now, message) => {
  expect(absenceOf(now).message).toMatch(message);
});
