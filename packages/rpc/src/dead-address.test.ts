import { once } from 'node:events';
import { createServer as createTcpServer, type AddressInfo, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '@kube-aurora/clock';
import { expect, test } from 'vitest';
import { AuroraRpcError, PeerClient, addPeerService, createServer, listen } from './index.ts';
import { SEGMENT, STATE } from './fixture-segment-state.ts';

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
