import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeRequest, encodeRequest, RequestParser, ShimProtocolError, type ShimRequest } from './shim-protocol.ts';

const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const u64 = fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn });
const requests: fc.Arbitrary<ShimRequest> = fc.oneof(
  fc.record({ operation: fc.constant('flush' as const), id: u32, token: u64, writtenLsn: u64, dirtyLsn: u64 }),
  fc.record({ operation: fc.constant('wrote' as const), id: u32, token: u64, writtenLsn: u64 }),
  fc.record({
    operation: fc.constantFrom('readPages' as const, 'expectPages' as const),
    id: u32,
    token: u64,
    spcOid: u32,
    dbOid: u32,
    relNumber: u32,
    fork: fc.constantFrom(0, 2, 3),
    block: u32,
    count: fc.integer({ min: 1, max: 128 }),
    lsn: u64,
    holesSince: u64,
    room: fc.integer({ min: 0, max: 128 }),
  }),
);

test('requests survive any cutting of the stream', () => {
  fc.assert(
    fc.property(fc.array(requests, { maxLength: 8 }), fc.array(fc.integer({ min: 1, max: 100 })), (sent, cuts) => {
      let stream = Buffer.concat(sent.map(encodeRequest));
      const parser = new RequestParser();
      const received: ShimRequest[] = [];
      for (const cut of cuts) {
        received.push(...parser.push(stream.subarray(0, cut)));
        stream = stream.subarray(cut);
      }
      received.push(...parser.push(stream));
      expect(received).toEqual(sent);
    }),
  );
});

test.each([
  ['magic', 0, 1],
  ['operation', 4, 9],
  ['fork', 5, 1],
  ['fork', 5, 4],
  ['count', 6, 0],
  ['count', 6, 129],
  ['room', 36, 129],
])('refuses a bad %s', (field, offset, value) => {
  const bytes = encodeRequest({
    operation: 'readPages',
    id: 1,
    token: 2n,
    spcOid: 1,
    dbOid: 1,
    relNumber: 1,
    fork: 0,
    block: 0,
    count: 1,
    lsn: 1n,
    holesSince: 1n,
    room: 0,
  });
  bytes.writeUInt8(value, offset);
  expect(() => decodeRequest(bytes)).toThrow(new ShimProtocolError(field, offset === 0 ? '0x51525301' : String(value)));
});
