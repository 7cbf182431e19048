import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { DATA } from './frame-types.ts';
import { encodeHello, ownHello } from './hello.ts';
import { BYTES, ECHO, frameBytes, HELLO, openBytes, TestServer, type Heard } from './testing/test-server.ts';

/**
 * Arbitrary bytes on connections of a server that serves others: it lives, they are unhurt, and nothing of it stays.
 */

let server: TestServer;
let bystander: Heard;
beforeAll(async () => {
  server = await TestServer.start();
  bystander = server.open(server.client(), ECHO);
});
afterAll(() => server.close());

const bytes = (maxLength: number): fc.Arbitrary<Buffer> => fc.uint8Array({ maxLength }).map((array) => Buffer.from(array));
const stream = fc.nat(6);
const part = fc.oneof(
  bytes(60),
  fc
    .record({ stream, kind: fc.nat(3), first: bytes(20) })
    .map((each) => openBytes(each.stream, each.kind === BYTES ? ECHO : each.kind, each.first)),
  fc.record({ stream, flags: fc.nat(3), payload: bytes(300) }).map((each) => frameBytes(DATA, each.stream, each.flags, each.payload)),
  fc
    .record({ type: fc.nat(10), stream, flags: fc.nat(4), payload: bytes(40), length: fc.oneof(fc.nat(64), fc.nat(0xffff_ffff)) })
    .map((each) => frameBytes(each.type, each.stream, each.flags, each.payload, each.length)),
);

it('any bytes, cut anywhere, and left at any moment', async () => {
  await fc.assert(
    fc.asyncProperty(fc.boolean(), fc.array(part, { minLength: 1, maxLength: 8 }), fc.nat(), async (hasHello, parts, cut) => {
      const { length } = server.closed;
      const peer = await server.raw('no hello');
      const all = Buffer.concat([...(hasHello ? [encodeHello(ownHello(HELLO))] : []), ...parts]);
      const at = cut % (all.length + 1);
      peer.socket.write(all.subarray(0, at));
      await new Promise((resolve) => setImmediate(resolve));
      peer.socket.end(all.subarray(at));
      await expect.poll(() => server.closed.length, { interval: 2 }).toBe(length + 1);
      expect(server.connections.at(-1)?.openStreams).toBe(0);
    }),
    { numRuns: 300 },
  );
  bystander.stream?.write(Buffer.from('unhurt'));
  await expect.poll(() => bystander.messages.map(String)).toEqual(['unhurt']);
  // Refused ones have nobody who could be told.
  const left = server.served.filter(({ kind, isFinished }) => (kind === ECHO || kind === BYTES) && !isFinished);
  expect(left).toHaveLength(1);
});
