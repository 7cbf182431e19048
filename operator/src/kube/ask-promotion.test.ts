import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { systemClock } from '@kube-aurora/clock';
import { afterEach, expect, test } from 'vitest';
import { askPromotion, readReply } from './ask-promotion.ts';

let server: Server | undefined;
afterEach(() => new Promise<void>((resolve) => (server === undefined ? resolve() : server.close(() => resolve()))));

test('asks with POST, and gives what the agent says', async () => {
  const requests: string[] = [];
  server = createServer((request, response) => {
    requests.push(`${request.method ?? ''} ${request.url ?? ''} ${String(request.headers['x-request-id'])}`);
    response.writeHead(202).end('{"accepted":true,"message":"demo-2 takes over"}');
  });
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  expect(await askPromotion('127.0.0.1', port, systemClock(), '2026-11-27T10:00:00.000Z')).toEqual({
    kind: 'accepted',
    message: 'demo-2 takes over',
  });
  expect(requests).toEqual(['POST /promote 2026-11-27T10:00:00.000Z']);
});

test('an agent that is not there has not answered', async () => {
  const gone = createServer();
  await new Promise<void>((resolve) => gone.listen(0, '127.0.0.1', resolve));
  const { port } = gone.address() as AddressInfo;
  await new Promise((resolve) => gone.close(resolve));
  expect(await askPromotion('127.0.0.1', port, systemClock(), 'x')).toMatchObject({
    kind: 'unanswered',
    message: expect.stringContaining('ECONNREFUSED'),
  });
});

test.each([
  [202, '{"message":"yes"}', { kind: 'accepted', message: 'yes' }],
  [409, '{"accepted":true,"message":"no"}', { kind: 'refused', message: 'no' }],
  [409, 'not JSON', { kind: 'refused', message: 'it answers 409' }],
  [500, '{"message":""}', { kind: 'unanswered', message: 'it answers 500' }],
  [404, 'try /metrics', { kind: 'refused', message: 'its agent is of a release that knows no switchover' }],
])('%i %s', (code, body, reply) => expect(readReply(code, body)).toEqual(reply));
