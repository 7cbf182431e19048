import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { systemClock } from '@kube-aurora/clock';
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import { APPEND_PART_BYTES } from './append-parts.ts';
import { SegmentClient } from './client.ts';
import { PLAIN_TEXT } from './credentials.ts';
import { AuroraRpcError } from './errors.ts';
import type { AppendRequest } from './messages.ts';
import { addSegmentService, createServer, listenBounded, SERVER_LIMITS, type Listening } from './server.ts';
import { encodeAppendRequest } from './wire.ts';

/** What a caller whom nobody knows may have of a server. */

const received: AppendRequest[] = [];
const nothing = (): never => {
  throw new AuroraRpcError('NOT_READY', 'has nothing');
};
let listening: Listening;
let turnedAway = 0;

beforeEach(async () => {
  received.length = 0;
  turnedAway = 0;
  const server = createServer();
  addSegmentService(
    server,
    {
      append: (call) => {
        call.on('data', (request) => {
          received.push(request);
          call.write({ scl: BigInt(request.batches?.length ?? 0), result: 'OK', epoch: 1n, message: '' });
        });
        call.on('error', () => undefined);
        call.on('end', () => call.end());
      },
      openEpoch: nothing,
      installHistory: nothing,
      catchUp: nothing,
      getPages: nothing,
      computeImage: nothing,
      importBase: nothing,
      status: () => Promise.reject(new AuroraRpcError('NOT_READY', 'is here')),
    },
    systemClock(),
  );
  listening = await listenBounded(server, '127.0.0.1:0', () => turnedAway++, { connections: 6, connectionsPerAddress: 4 });
});
afterEach(() => listening.close());

it('a redo batch of any size comes whole, in messages of a bounded one', async () => {
  const client = new SegmentClient(`127.0.0.1:${listening.port}`);
  const batches = Buffer.alloc(5 * SERVER_LIMITS.messageBytes + 12_345);
  for (let at = 0; at < batches.length; at += 4096) batches.writeUInt32LE(at, at);
  const stream = client.append();
  const answers: bigint[] = [];
  stream.on('error', () => undefined);
  stream.on('data', ({ scl }) => answers.push(scl));
  const small = Buffer.from('small');
  stream.write(encodeAppendRequest([small], 1n, 2n));
  stream.write(encodeAppendRequest([batches], 3n, 4n));
  stream.write(encodeAppendRequest([], 5n, 6n));
  await expect.poll(() => answers, { timeout: 60_000 }).toEqual([5n, BigInt(batches.length), 0n]);
  expect(received[1]?.batches?.equals(batches)).toBe(true);
  expect(received.map(({ vdl, pgmrpl }) => [vdl, pgmrpl])).toEqual([
    [1n, 2n],
    [3n, 4n],
    [5n, 6n],
  ]);
  stream.end();
  client.close();
});

it('a longer message is refused before it is there', async () => {
  expect(APPEND_PART_BYTES).toBeLessThan(SERVER_LIMITS.messageBytes);
  const client = new Client(`127.0.0.1:${listening.port}`, credentials.createInsecure(), { 'grpc.max_send_message_length': -1 });
  const before = process.memoryUsage().arrayBuffers;
  const message = Buffer.alloc(150 * 1024 * 1024);
  const same = (bytes: Buffer): Buffer => bytes;
  const code = await new Promise<number>((resolve) => {
    client.makeUnaryRequest('/kubeaurora.v1.SegmentService/Status', same, same, message, new Metadata(), {}, (error) =>
      resolve(error?.code ?? 0),
    );
  });
  // RESOURCE_EXHAUSTED, of what came until then; the sender's own copy is in this process too.
  expect(code).toBe(8);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(3 * message.length);
  client.close();
});

it('connections of one address are bounded, and have room again when some end', async () => {
  const open = (): Promise<Socket> =>
    new Promise((resolve) => {
      const socket = connect(listening.port, '127.0.0.1');
      socket.on('error', () => undefined);
      socket.on('connect', () => resolve(socket));
    });
  const sockets = await Promise.all(Array.from({ length: 9 }, open));
  await expect.poll(() => turnedAway).toBe(5);
  const client = new SegmentClient(`127.0.0.1:${listening.port}`);
  await expect(client.status({ volumeId: 'x', pg: 0 }, { deadlineMs: 1000 })).rejects.toMatchObject({
    code: expect.stringMatching(/UNREACHABLE|DEADLINE/) as string,
  });
  for (const socket of sockets) socket.destroy();
  await expect
    .poll(() => client.status({ volumeId: 'x', pg: 0 }, { deadlineMs: 2000 }).catch((error: AuroraRpcError) => error.message), {
      timeout: 20_000,
    })
    .toMatch(/is here/);
  client.close();
});

it('a client speaks with the credentials it was given', async () => {
  const { server } = PLAIN_TEXT;
  const client = new SegmentClient(`127.0.0.1:${listening.port}`, { client: credentials.createSsl(), server });
  await expect(client.status({ volumeId: 'x', pg: 0 }, { deadlineMs: 2000 })).rejects.toMatchObject({
    code: expect.stringMatching(/UNREACHABLE|DEADLINE/) as string,
  });
  client.close();
});
