import { once } from 'node:events';
import { connect as connectPlain, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest';
import { AppendLanes } from '@kube-aurora/append-lane';
import { systemClock } from '@kube-aurora/clock';
import type { Identity } from '@kube-aurora/identity';
import type { TlsMode } from './material.ts';
import { HOUR_MS, materialOf, newAuthority, programOf, type ProgramOptions, type TestProgram } from './testing/programs.ts';

const authority = await newAuthority();
const stranger = await newAuthority();
const STORAGE: ProgramOptions = { authority, role: 'storage' };
const COMPUTE: ProgramOptions = { authority, role: 'compute' };
const TO_STORAGE = { part: 'frames', roles: ['storage'] } as const;

const lanes = await AppendLanes.load(undefined, systemClock());

describe.each([
  ['by Node', {}],
  ['by a thread that has the connection', { lanes }],
])('accepted %s', (_by, carried) => {
  let daemon: TestProgram;
  let server: Server;
  let admitted: (Identity | undefined)[];
  let streams: Duplex[];
  const port = (): number => (server.address() as AddressInfo).port;

  beforeEach(async () => {
    daemon = await programOf(STORAGE);
    admitted = [];
    streams = [];
    const accept = daemon.tls.acceptor({
      part: 'frames',
      roles: ['compute'],
      ...carried,
      admitted: (stream, identity) => {
        admitted.push(identity);
        streams.push(stream);
        stream.on('error', () => undefined);
        stream.on('data', (bytes: Buffer) => stream.write(Buffer.concat([Buffer.from('heard '), bytes])));
      },
    });
    server = createServer(accept);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });
  afterEach(() => void server.close());

  /** What the other end answers, or why it does not. */
  function ask(stream: Duplex): Promise<string> {
    return new Promise((resolve) => {
      stream.on('data', (bytes: Buffer) => {
        resolve(bytes.toString());
        stream.destroy();
      });
      stream.on('error', (error) => resolve(`error: ${error.message}`));
      stream.on('close', () => resolve('closed'));
      stream.write('hello');
    });
  }

  const dial = (program: TestProgram): Promise<string> => ask(program.tls.connect({ host: '127.0.0.1', port: port() }, TO_STORAGE));

  it('lets in who is of the same cluster and in the right role, and knows who it is', async () => {
    expect(await dial(await programOf(COMPUTE))).toBe('heard hello');
    expect(admitted).toEqual([{ namespace: 'default', cluster: 'demo', role: 'compute' }]);
    expect(daemon.logged).toEqual([]);
  });

  it('what is sent in many pieces, of lengths that end anywhere, arrives as it was sent, also at somebody who reads late', async () => {
    const caller = await programOf(COMPUTE);
    const stream = caller.tls.connect({ host: '127.0.0.1', port: port() }, TO_STORAGE);
    await once(stream, 'secureConnect');
    await expect.poll(() => streams.length).toBe(1);
    const [sender] = streams;
    stream.pause();
    const sent: Buffer[] = [];
    // In all more than the network holds.
    for (let round = 0; round < 8; round++) {
      sender?.cork();
      for (let index = 0; index < 60; index++) {
        const length = [13, 1 + ((round * 7919 + index * 104_729) % 12_000), 16 * 1024, 40_000][index % 4] ?? 1;
        const piece = Buffer.alloc(length, round * 31 + index);
        sender?.write(piece);
        sent.push(piece);
      }
      sender?.uncork();
    }
    const all = Buffer.concat(sent);
    let received = Buffer.alloc(0);
    stream.on('data', (bytes: Buffer) => {
      received = Buffer.concat([received, bytes]);
    });
    stream.resume();
    await expect.poll(() => received.length).toBe(all.length);
    expect(received.equals(all)).toBe(true);
    stream.destroy();
  });

  const REFUSED: Record<string, { caller: () => Promise<ProgramOptions>; reason: string; who: RegExp }> = {
    "another cluster's, of an authority of its own": {
      caller: () => Promise.resolve({ authority: stranger, role: 'compute', cluster: 'other', believes: [authority, stranger] }),
      reason: 'other-cluster',
      who: /says to be .*cluster\/other\/role\/compute/,
    },
    'an expired one': {
      caller: () => Promise.resolve({ ...COMPUTE, issuedAt: Date.now() - 1.5 * HOUR_MS }),
      reason: 'expired',
      who: /cluster\/demo\/role\/compute/,
    },
    'one from before a rotation': {
      caller: () => Promise.resolve({ authority: stranger, role: 'compute', believes: [authority, stranger] }),
      reason: 'untrusted',
      who: /says to be .*cluster\/demo\/role\/compute/,
    },
    'one of another role': { caller: () => Promise.resolve(STORAGE), reason: 'wrong-role', who: /role\/storage/ },
  };

  test.each(Object.entries(REFUSED))('refuses %s, says who it was, and counts it', async (_what, { caller, reason, who }) => {
    // Somebody who does not mind whom it calls.
    const { certificate, key } = await materialOf(await caller());
    const stream = connectTls({ host: '127.0.0.1', port: port(), cert: certificate.pem, key, rejectUnauthorized: false });
    expect(await ask(stream)).toMatch(/closed|error/);
    expect(admitted).toEqual([]);
    // Where a thread has the connection, the caller may hear of its end first.
    await expect
      .poll(() => daemon.logged)
      .toEqual([
        expect.objectContaining({
          reason,
          more: expect.objectContaining({ connection: 'frames', who: expect.stringMatching(who) as string }) as object,
        }),
      ]);
    expect([...daemon.refusals.counts]).toEqual([{ part: 'frames', reason, side: 'caller', count: 1 }]);
  });

  it('refuses who shows no certificate, who speaks plain text, and who speaks nonsense', async () => {
    const reasons = (): string[] => daemon.logged.map(({ reason }) => reason);
    expect(await ask(connectTls({ host: '127.0.0.1', port: port(), rejectUnauthorized: false }))).toMatch(/closed|error/);
    await expect.poll(reasons).toEqual(['no-certificate']);
    expect(await ask(connectPlain(port(), '127.0.0.1'))).toMatch(/closed|error/);
    await expect.poll(reasons).toEqual(['no-certificate', 'plain-text']);
    const nonsense = connectPlain(port(), '127.0.0.1');
    nonsense.write(Buffer.from([0x16, 1, 2, 3, 4, 5, 6, 7, 8]));
    expect(await ask(nonsense)).toMatch(/closed|error/);
    await expect.poll(reasons).toEqual(['no-certificate', 'plain-text', 'handshake']);
    // In words of ours, not in those of OpenSSL, which name files of its source.
    expect(JSON.stringify(daemon.logged)).not.toMatch(/openssl|\.c:\d/);
    expect(admitted).toEqual([]);
  });

  test.each<[string, ProgramOptions, string]>([
    ['is of another cluster', { authority, role: 'storage', cluster: 'other' }, 'other-cluster'],
    ['is no storage daemon', COMPUTE, 'wrong-role'],
    [
      'has a certificate of nobody whom it believes',
      { authority: stranger, role: 'storage', believes: [authority, stranger] },
      'untrusted',
    ],
    ['has an expired certificate', { ...STORAGE, issuedAt: Date.now() - 1.5 * HOUR_MS }, 'expired'],
  ])('a caller does not speak to a server that %s', async (_what, options, reason) => {
    daemon.use(await materialOf(options));
    const compute = await programOf(COMPUTE);
    expect(await dial(compute)).toMatch(/error/);
    expect(compute.logged.map((line) => line.reason)).toEqual([reason]);
  });

  it('goes through a rotation without a restart: whoever has seen a step speaks with whoever has seen the one before', async () => {
    const next = await newAuthority();
    const compute = await programOf(COMPUTE);
    const held = compute.tls.connect({ host: '127.0.0.1', port: port() }, TO_STORAGE);
    await new Promise((resolve) => held.once('secureConnect', resolve));
    const steps = [
      { authority, believes: [authority, next] },
      { authority: next, believes: [next, authority] },
      { authority: next, believes: [next] },
    ];
    for (const step of steps) {
      daemon.use(await materialOf({ ...STORAGE, ...step }));
      expect(await dial(compute)).toBe('heard hello');
      compute.use(await materialOf({ ...COMPUTE, ...step }));
      expect(await dial(compute)).toBe('heard hello');
    }
    // Who has slept through it is refused, and a connection from before goes on.
    expect(await dial(await programOf({ ...COMPUTE, believes: [authority, next] }))).toMatch(/closed|error/);
    expect(await ask(held)).toBe('heard hello');
    await expect.poll(() => daemon.logged.map(({ reason }) => reason)).toEqual(['untrusted']);
  });

  test.each<[TlsMode, string]>([
    ['permit', 'heard hello'],
    ['prefer', 'heard hello'],
    ['require', 'closed'],
  ])('in the mode %s somebody in plain text is %s', async (mode, answer) => {
    daemon.use(await materialOf({ ...STORAGE, mode }));
    const socket: Socket = connectPlain(port(), '127.0.0.1');
    expect((await ask(socket)).replace(/error.*/, 'closed')).toBe(answer);
    expect(await dial(await programOf(COMPUTE))).toBe('heard hello');
  });
});
