/**
 * What strangers may send to a port: noise, and each of our protocols a little wrong, by seed. Every kind goes to every
 * port, since a stranger does not know which it found.
 */
import { FRAME_RULES } from '../../../packages/frames/src/frame-types.ts';
import { encodeHello, ownHello } from '../../../packages/frames/src/hello.ts';
import { frameBytes } from '../../../packages/frames/src/testing/test-server.ts';
import type { SeededRandom } from '../random.ts';
import { grpcPieces } from './grpc-bytes.ts';
import { awkwardNumber, damaged, noise, uint32 } from './odd-values.ts';

/** Written one after another, with a moment between them, on one connection. */
export interface StrangeBytes {
  readonly kind: StrangeKind;
  readonly pieces: readonly Buffer[];
}

const NOISE_BYTES_MAX = 20_000;
const PIECES_MAX = 6;

/** RFC 9112: requests whose lengths, methods, paths or headers are not what they should be. */
function http(random: SeededRandom): Buffer[] {
  const path = random.pick([
    '/status',
    '/metrics',
    '/promote',
    '/drain',
    '/apis',
    '/status?after=-1&waitMs=99999999999',
    '/status?after=%00&waitMs=NaN',
    '//../..//etc/passwd',
    `/${'a'.repeat(random.integer(0, 70_000))}`,
  ]);
  // None that would do something: whoever may ask for a promotion is another test's matter.
  const method = random.pick(['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS', 'BREW', '\u0000', 'get']);
  const length = random.pick(['0', '5', '-1', '99999999999999999999', 'x', '0x10']);
  const header = random.pick([
    `content-length: ${length}`,
    'transfer-encoding: chunked',
    'transfer-encoding: chunked\r\ncontent-length: 3',
    'connection: upgrade\r\nupgrade: websocket',
    `x: ${'y'.repeat(random.integer(0, 40_000))}`,
    ': nothing',
  ]);
  const request = Buffer.from(
    `${method} ${path} HTTP/1.${random.pick(['0', '1', '9'])}\r\nhost: ${random.pick(['a', '', '\t'])}\r\n${header}\r\n\r\n`,
  );
  const body = random.pick([Buffer.from('ffffffff\r\n'), Buffer.from('0\r\n\r\n'), noise(random, random.integer(0, 2000))]);
  return Array.from({ length: random.integer(1, 3) }, () => Buffer.concat([damaged(random, request), body]));
}

/** RFC 9113: a client's preface, then frames of any type, length, flags and stream. */
function http2(random: SeededRandom): Buffer[] {
  const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  const frame = (): Buffer => {
    const payload = noise(random, random.integer(0, 400));
    const length = random.next() < 0.8 ? payload.length : awkwardNumber(random) % 0x100_0000;
    const flags = random.integer(0, 255);
    return Buffer.concat([uint32(length).subarray(1), Buffer.from([random.integer(0, 10), flags]), uint32(awkwardNumber(random)), payload]);
  };
  const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
  return [
    Buffer.concat([preface, settings]),
    ...Array.from({ length: random.integer(1, PIECES_MAX) }, () => Buffer.concat([frame(), frame()])),
  ];
}

/** Our frames (proto/frames.md): a hello, then frames by their rules with fields that break them. */
function frames(random: SeededRandom): Buffer[] {
  const hello = encodeHello(
    ownHello({ heartbeatMs: awkwardNumber(random), streamsMax: awkwardNumber(random), windowBytes: awkwardNumber(random) }),
  );
  const types = [...FRAME_RULES.keys(), 0, 99];
  const frame = (): Buffer => {
    const opening = random.next() < 0.5 ? Buffer.concat([Buffer.from([random.integer(0, 8), 0, 0, 0]), noise(random, 4)]) : Buffer.alloc(0);
    const payload = Buffer.concat([opening, noise(random, random.integer(0, 600))]);
    const length = random.next() < 0.8 ? payload.length : awkwardNumber(random);
    return frameBytes(random.pick(types), random.integer(0, 4), random.integer(0, 3), payload, length);
  };
  const first = random.next() < 0.8 ? hello : damaged(random, hello);
  return [first, ...Array.from({ length: random.integer(1, PIECES_MAX) }, frame)];
}

/** PostgreSQL's protocol, "Message Formats": start-up packets of every kind, then messages nobody asked for. */
function postgres(random: SeededRandom): Buffer[] {
  const versions = [0x0003_0000, 0x0003_0002, 0x0002_0000, 80_877_102, 80_877_103, 80_877_104, awkwardNumber(random)];
  const settings = Buffer.from(
    random.pick(['user\0postgres\0database\0postgres\0\0', 'user\0\0', 'user\0app\0replication\0database\0\0', '\0', 'user']),
  );
  const body = Buffer.concat([uint32(random.pick(versions)), random.next() < 0.7 ? settings : noise(random, random.integer(0, 400))]);
  const startup = Buffer.concat([uint32(random.next() < 0.8 ? body.length + 4 : awkwardNumber(random)), body]);
  const message = (): Buffer => {
    const payload = noise(random, random.integer(0, 300));
    const length = random.next() < 0.7 ? payload.length + 4 : awkwardNumber(random);
    return Buffer.concat([Buffer.from(random.pick(['p', 'Q', 'P', 'X', 'd', 'F', '\u0000'])), uint32(length), payload]);
  };
  return [startup, ...Array.from({ length: random.integer(0, PIECES_MAX) }, message)];
}

/** What the token port takes, up to the token: one that is no token, or one that nobody has signed. */
function token(random: SeededRandom): Buffer[] {
  const body = Buffer.from('\0\x03\0\0user\0app\0database\0app\0\0', 'latin1');
  const claims = {
    aud: ['kube-aurora/default/demo'],
    exp: awkwardNumber(random),
    iat: awkwardNumber(random),
    iss: random.pick(['', 'https://kubernetes.default.svc', 7]),
  };
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const text = [part({ alg: random.pick(['none', 'RS256', 'HS256']) }), part(claims), noise(random, 64).toString('base64url')].join('.');
  const password = damaged(random, Buffer.from(`${random.next() < 0.1 ? 'x'.repeat(random.integer(0, 100_000)) : text}\0`));
  const message = Buffer.concat([Buffer.from('p'), uint32(random.next() < 0.9 ? password.length + 4 : awkwardNumber(random)), password]);
  return [Buffer.concat([uint32(body.length + 4), body]), message];
}

/** RFC 8446: records of a handshake, as they are not. */
function tls(random: SeededRandom): Buffer[] {
  const record = (): Buffer => {
    const payload = Buffer.concat([Buffer.from([1, 0]), noise(random, random.integer(0, 600))]);
    const length = random.next() < 0.8 ? payload.length : awkwardNumber(random) & 0xffff;
    return Buffer.concat([Buffer.from([random.integer(20, 24), 3, random.integer(0, 4), length >> 8, length & 0xff]), payload]);
  };
  return Array.from({ length: random.integer(1, 3) }, record);
}

const KINDS = {
  noise: (random: SeededRandom): Buffer[] =>
    Array.from({ length: random.integer(1, PIECES_MAX) }, () => noise(random, random.integer(0, NOISE_BYTES_MAX))),
  silence: (): Buffer[] => [],
  http,
  http2,
  frames,
  grpc: grpcPieces,
  postgres,
  token,
  tls,
} as const satisfies Record<string, (random: SeededRandom, volumeId: string) => Buffer[]>;
export type StrangeKind = keyof typeof KINDS;
export const STRANGE_KINDS = Object.keys(KINDS) as StrangeKind[];

/** @param volumeId of the volume that there is, for what only reads */
export function strangeBytes(random: SeededRandom, volumeId: string): StrangeBytes {
  const kind = random.pick(STRANGE_KINDS);
  return { kind, pieces: KINDS[kind](random, volumeId) };
}
