/**
 * Calls of our gRPC services whose messages are by their .proto files, with values that nobody should send: what gets behind the frames of
 * HTTP/2, and to the checks of each method. Whom storage believes may well change a volume, and so the one that there is stands in calls alone
 * that read.
 */
import type { MessageTable } from '../../../packages/rpc/src/message-table.ts';
import { MESSAGE_TABLES, SERVICE_TABLES } from '../../../packages/rpc/src/message-tables.ts';
import type { Messages } from '../../../packages/rpc/src/messages.ts';
import type { SeededRandom } from '../random.ts';
import { awkwardNumber, damaged, noise, uint32 } from './odd-values.ts';

const METHODS = Object.values(SERVICE_TABLES).flatMap((table) => Object.values(table));
const READING: ReadonlySet<string> = new Set(['ComputeImage', 'Status', 'FetchRedo', 'CopySegment', 'GetPeerPage']);
const NESTED_MAX = 3;

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = BigInt(value);
  for (; rest >= 0x80n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return Buffer.from([...bytes, Number(rest)]);
}

const tag = (number: number, wireType: number): Buffer => varint(number * 8 + wireType);
const delimited = (bytes: Buffer): Buffer => Buffer.concat([varint(bytes.length), bytes]);

function strangeText(random: SeededRandom, known: string): Buffer {
  if (random.next() < 0.6) return Buffer.from(known);
  return random.pick([
    Buffer.alloc(0),
    Buffer.from('00000000-0000-4000-8000-000000000000'),
    Buffer.from('x'.repeat(random.integer(0, 5000))),
    noise(random, random.integer(0, 40)),
  ]);
}

function strangeField(random: SeededRandom, row: MessageTable[number], known: string, depth: number): Buffer {
  switch (row.kind) {
    case 'fixed64':
      return Buffer.concat([
        tag(row.number, 1),
        random.next() < 0.5 ? noise(random, 8) : Buffer.concat([uint32(awkwardNumber(random)), uint32(0)]),
      ]);
    case 'uint32':
    case 'bool':
    case 'enum':
      return Buffer.concat([tag(row.number, 0), varint(awkwardNumber(random))]);
    case 'string':
    case 'bytes':
      return Buffer.concat([tag(row.number, 2), delimited(strangeText(random, known))]);
    case 'message':
      return Buffer.concat([tag(row.number, 2), delimited(strangeMessage(random, row.message, known, depth + 1))]);
  }
}

/** `known` for most of its texts. Most fields, each once, a repeated one sometimes oftener; a few that nobody knows. */
function strangeMessage(random: SeededRandom, name: keyof Messages, known: string, depth = 0): Buffer {
  if (depth > NESTED_MAX) return Buffer.alloc(0);
  const fields = MESSAGE_TABLES[name].flatMap((row) => {
    const times = random.next() < 0.15 ? 0 : row.kind === 'message' && row.repeated ? random.pick([0, 1, 3, 200]) : 1;
    return Array.from({ length: times }, () => strangeField(random, row, known, depth));
  });
  const unknown = random.next() < 0.1 ? [tag(random.integer(15, 2000), random.integer(0, 7)), noise(random, 9)] : [];
  return Buffer.concat([...fields, ...unknown]);
}

/** RFC 7541, 6.2.2: a field that stands there in full. */
function header(name: string, value: string): Buffer {
  const text = (of: string): Buffer => Buffer.concat([Buffer.from([of.length]), Buffer.from(of)]);
  return Buffer.concat([Buffer.from([0]), text(name), text(value)]);
}

/** RFC 9113, 4.1. */
function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  return Buffer.concat([uint32(payload.length).subarray(1), Buffer.from([type, flags]), uint32(stream), payload]);
}

const DATA = 0;
const HEADERS = 1;
const SETTINGS = 4;
const END_STREAM = 1;
const ACK = 1;
const END_HEADERS = 4;

export function grpcPieces(random: SeededRandom, volumeId: string): Buffer[] {
  const start = Buffer.concat([
    Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
    frame(SETTINGS, 0, 0, Buffer.alloc(0)),
    frame(SETTINGS, ACK, 0, Buffer.alloc(0)),
  ]);
  const call = (stream: number): Buffer => {
    const { path, request } = random.pick(METHODS);
    const known = READING.has(path.slice(path.lastIndexOf('/') + 1)) ? volumeId : '';
    const message = (): Buffer => strangeMessage(random, request, known);
    const headers = Buffer.concat([
      header(':method', 'POST'),
      header(':scheme', random.pick(['http', 'https'])),
      header(':path', random.next() < 0.95 ? path : `${path}s`),
      header(':authority', 'a'),
      header('content-type', random.pick(['application/grpc', 'application/grpc+proto', 'text/plain'])),
      header('te', 'trailers'),
      ...(random.next() < 0.2 ? [header('grpc-timeout', random.pick(['1n', '99999999H', '-1S', 'x']))] : []),
      ...(random.next() < 0.1 ? [header('grpc-encoding', random.pick(['gzip', 'identity', 'no-such']))] : []),
    ]);
    const messages = Array.from({ length: random.pick([1, 1, 1, 0, 3]) }, () => {
      const content = random.next() < 0.6 ? message() : damaged(random, message());
      const length = random.next() < 0.9 ? content.length : awkwardNumber(random);
      return Buffer.concat([Buffer.from([random.next() < 0.95 ? 0 : random.integer(1, 255)]), uint32(length), content]);
    });
    const body = Buffer.concat(messages).subarray(0, 16_384);
    return Buffer.concat([frame(HEADERS, END_HEADERS, stream, headers), frame(DATA, random.next() < 0.8 ? END_STREAM : 0, stream, body)]);
  };
  return [start, ...Array.from({ length: random.integer(1, 6) }, (_, number) => call(2 * number + 1))];
}
