import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { systemClock } from '@kube-aurora/clock';
import { silentLogger } from '@kube-aurora/process';
import { askDrain, readDrain } from './ask-drain.ts';
import type { DrainOutcome } from './drain-outcome.ts';

test.each<[string, DrainOutcome | undefined]>([
  [
    '{"accepted":true,"drain":{"waitedMs":12,"transactions":{"finished":3,"cutOff":1}}}',
    { waitedMs: 12, transactions: { finished: 3, cutOff: 1 } },
  ],
  ['{"accepted":true,"drain":{"waitedMs":12}}', { waitedMs: 12, transactions: undefined }],
  ['{"accepted":true,"drain":{"waitedMs":12,"transactions":{"finished":-1,"cutOff":1}}}', { waitedMs: 12, transactions: undefined }],
  ['{"accepted":true}', undefined],
  ['{"drain":{"waitedMs":"12"}}', undefined],
  ['try /metrics', undefined],
  ['null', undefined],
])('%s', (body, outcome) => expect(readDrain(body)).toEqual(outcome));

async function asked(handler: RequestListener, withinMs = 5000, signal = new AbortController().signal): Promise<DrainOutcome | undefined> {
  const server = createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const { port } = server.address() as AddressInfo;
    return await askDrain(
      { address: { host: '127.0.0.1', port }, withinMs, connect: undefined, clock: systemClock(), logger: silentLogger() },
      signal,
    );
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

test('whatever the writer’s agent does, a switchover hears of it and goes on', async () => {
  expect(await asked((_request, response) => response.writeHead(202).end('{"drain":{"waitedMs":7}}'))).toEqual({ waitedMs: 7 });
  // It is a reader; it is of a release without; it dies meanwhile; it hangs; it talks for ever.
  expect(await asked((_request, response) => response.writeHead(409).end('{"drain":{"waitedMs":7}}'))).toBeUndefined();
  expect(await asked((_request, response) => response.writeHead(404).end('try /metrics'))).toBeUndefined();
  expect(await asked(({ socket }) => socket.destroy())).toBeUndefined();
  expect(await asked(() => undefined, 0)).toBeUndefined();
  expect(await asked((_request, response) => response.writeHead(202).end('x'.repeat(100_000)))).toBeUndefined();
  // Nobody waits for it any more.
  expect(await asked(() => undefined, 60_000, AbortSignal.timeout(50))).toBeUndefined();
  expect(
    await askDrain(
      { address: undefined, withinMs: 5000, connect: undefined, clock: systemClock(), logger: silentLogger() },
      AbortSignal.timeout(5000),
    ),
  ).toBeUndefined();
});
