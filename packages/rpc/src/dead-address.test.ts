import { once } from 'node:events';
import { createServer as createTcpServer, type AddressInfo, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '@kube-aurora/clock';
import { expect, test } from 'vitest';
import { AuroraRpcError, PeerClient, addPeerService, createServer, listen, type SegmentState } from './index.ts';

const STATE: SegmentState = {
  role: 'FULL',
  checkpointLsn: 0n,
  logStartEpoch: 0n,
  standIn: undefined,
  writer: undefined,
  followers: [],
  phase: 'READY',
  epoch: 7n,
  scl: 0xffff_ffff_ffff_fff0n,
  lastBatchEpoch: 6n,
  baseEpoch: 1n,
  baseLsn: 100n,
  appliedLsn: 5n,
  vdl: 4n,
  logStartLsn: 3n,
  systemIdentifier: 2n ** 63n + 1n,
  engine: { engine: 'postgres', major: 18 },
  history: [
    { epoch: 1n, startLsn: 100n },
    { epoch: 6n, startLsn: 2n ** 60n },
  ],
  message: '',
  daemonId: 'd0',
  zone: 'zone-a',
  pgmrpl: 1n,
  bytesUsed: 9n,
  fault: { kind: 'LOST_REDO', lsn: 2n ** 63n + 5n, heldLsn: 3n },
  recoverToLsn: 2n ** 63n + 5n,
};
const SEGMENT = { volumeId: 'd1b4f9c8-3b6e-4a63-9d8e-0d6f5f7a1f11', pg: 0 };

test('a peer whose connection gets no answer, as at the address of a pod that is gone, is connected to anew', async () => {
  const held: Socket[] = [];
  const nobody = createTcpServer((socket) => void held.push(socket));
  nobody.listen(0, '127.0.0.1');
  await once(nobody, 'listening');
  const { port } = nobody.address() as AddressInfo;
  const peer = new PeerClient(`127.0.0.1:${port}`, systemClock());
  const gossip = () => peer.gossip({ segment: SEGMENT, state: STATE }, { deadlineMs: 500 });
  await expect(gossip()).rejects.toBeInstanceOf(AuroraRpcError);
  // What was connected stays as it is; who connects from now on finds the new one.
  nobody.close();
  const server = createServer();
  const unasked = (): never => {
    throw new Error('nobody asks for this');
  };
  addPeerService(
    server,
    { gossip: ({ state }) => Promise.resolve(state), fetchRedo: unasked, copySegment: unasked, getPeerPage: unasked },
    systemClock(),
  );
  await listen(server, `127.0.0.1:${port}`);
  let answer: unknown;
  for (let tries = 0; answer === undefined && tries < 60; tries++) {
    answer = await gossip().catch(() => undefined);
    await sleep(100);
  }
  expect(answer).toEqual(STATE);
  peer.close();
  for (const socket of held) socket.destroy();
  server.forceShutdown();
});
