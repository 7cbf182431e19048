import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { systemClock } from '@kube-aurora/clock';
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import { SERVER_LIMITS, type Listening } from './bounded-listener.ts';
import { SegmentClient } from './client.ts';
import { PLAIN_TEXT } from './credentials.ts';
import { AuroraRpcError } from './errors.ts';
import { addSegmentService, createServer, listenGrpc } from './server.ts';

/** What a caller whom nobody knows may have of a gRPC server. */

const nothing = (): never => {
  throw new AuroraRpcError('NOT_READY', 'has nothing');
};
let listening: Listening;
const clientOf = (of = PLAIN_TEXT): SegmentClient =>
  new SegmentClient({ address: `127.0.0.1:${listening.port}`, framesAddress: '127.0.0.1:1' }, systemClock(), of);
let turnedAway = 0;

beforeEach(async () => {
  turnedAway = 0;
  const server = createServer();
  addSegmentService(
    server,
    {
      openEpoch: nothing,
      installHistory: nothing,
      catchUp: nothing,
      computeImage: nothing,
      importBase: nothing,
      giveBackLease: nothing,
      status: () => Promise.reject(new AuroraRpcError('NOT_READY', 'is here')),
    },
    systemClock(),
  );
  const servers = { unnamed: server, compute: server, storage: createServer() };
  listening = await listenGrpc(servers, '127.0.0.1:0', () => turnedAway++, { connections: 6, connectionsPerAddress: 4 });
});
afterEach(() => listening.close());

it('a longer message is refused before it is there', async () => {
  expect(SERVER_LIMITS.messageBytes).toBeLessThan(150 * 1024 * 1024);
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
  const client = clientOf();
  await expect(client.status({ volumeId: 'x', pg: 0 }, { deadlineMs: 1000 })).rejects.toMatchObject({
    code: expect.stringMatching(/UNREACHABLE|DEADLINE/) as string,
  });
  for (const socket of sockets) socket.destroy();
  await expect
    .poll(() => client.status({ volumeId: 'x', pg: 0 }, { deadlineMs: 2000 }).catch((error: AuroraRpcError) => error.message))
    .toMatch(/is here/);
  client.close();
});

it('a client speaks with the credentials it was given', async () => {
  const channel = credentials.createSsl();
  const client = clientOf({ ...PLAIN_TEXT, channel: () => channel });
  await expect(client.status({ volumeId: 'x', pg: 0 }, { deadlineMs: 2000 })).rejects.toMatchObject({
    code: expect.stringMatching(/UNREACHABLE|DEADLINE/) as string,
  });
  client.close();
});
