import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeAppendHello,
  decodeAppendRequest,
  decodeAppendResponse,
  decodeFollowedRedo,
  decodeFollowHello,
  decodeFollowRequest,
  decodeGetPagesRequest,
  decodeGetPagesResponse,
  encodeAppendHello,
  encodeAppendRequest,
  encodeAppendResponse,
  encodeFollowedHead,
  encodeFollowHello,
  encodeFollowRequest,
  encodeGetPagesRequest,
  encodePagesHead,
} from './hot-codec.ts';
import { APPEND_RESULTS, FOLLOW_WANTS, SEGMENT_ROLES } from './hot-messages.ts';
import { WireError } from './wire-fields.ts';

/**
 * The messages of the hot path: what one end writes, the other reads as the same; any other bytes are refused by an
 * error of its own.
 */

const wide = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));
const segment = fc.record({ volumeId: fc.uuid(), pg: fc.nat(0xffff_ffff) });
const hello = fc.record({
  segment,
  epoch: wide,
  writerId: fc.string({ unit: 'binary', maxLength: 300 }),
  history: fc.array(fc.record({ epoch: wide, startLsn: wide }), { maxLength: 20 }),
  role: fc.constantFrom(...SEGMENT_ROLES),
});
const response = fc.record({
  scl: wide,
  epoch: wide,
  result: fc.constantFrom(...APPEND_RESULTS),
  message: fc.string({ unit: 'binary', maxLength: 300 }),
  followed: fc.boolean(),
});
const followHello = fc.record({
  segment,
  readerId: fc.string({ unit: 'binary', maxLength: 300 }),
  wants: fc.constantFrom(...FOLLOW_WANTS),
  promotionTier: fc.nat(255),
});
const writerSign = fc.record({ writerEpoch: wide, writerSilentMs: fc.nat(0xffff_ffff), writerGaveBack: fc.boolean() });
const followPoints = fc.record({ takenLsn: wide, readFloor: wide, xmins: fc.record({ xmin: wide, catalogXmin: wide }) });
const pagesRequest = fc.record({ segment, epoch: wide, lsn: wide, keys: fc.array(bytes, { maxLength: 260 }) });

describe('messages of the hot path', () => {
  it('a hello', () => {
    fc.assert(
      fc.property(hello, wide, wide, (message, vdl, pgmrpl) => {
        const read = decodeAppendHello(encodeAppendHello(message, vdl, pgmrpl));
        expect(read).toEqual({ hello: message, batches: undefined, vdl, pgmrpl });
      }),
    );
  });

  it('redo, in one piece or several, and none', () => {
    fc.assert(
      fc.property(fc.array(bytes), wide, wide, (batches, vdl, pgmrpl) => {
        const whole = Buffer.concat(batches);
        const read = decodeAppendRequest(encodeAppendRequest(batches, vdl, pgmrpl));
        expect(read).toEqual({ hello: undefined, batches: whole.length === 0 ? undefined : whole, vdl, pgmrpl });
      }),
    );
  });

  it('an acknowledgement', () => {
    fc.assert(
      fc.property(response, (message) => {
        expect(decodeAppendResponse(encodeAppendResponse(message))).toEqual(message);
      }),
    );
  });

  it('what a reader says', () => {
    fc.assert(
      fc.property(followHello, followPoints, (message, points) => {
        const { takenLsn, readFloor } = points;
        expect(decodeFollowHello(encodeFollowHello(message, takenLsn, readFloor))).toEqual({ hello: message, takenLsn, readFloor });
        expect(decodeFollowRequest(encodeFollowRequest(points))).toEqual({ hello: undefined, ...points });
      }),
    );
  });

  it('what a reader is sent', () => {
    fc.assert(
      fc.property(wide, writerSign, bytes, (vdl, writer, batches) => {
        const read = decodeFollowedRedo(Buffer.concat([encodeFollowedHead({ vdl, ...writer }), batches]));
        expect(read).toEqual({ vdl, ...writer, batches: batches.length === 0 ? undefined : batches });
      }),
    );
  });

  it('a request for pages', () => {
    fc.assert(
      fc.property(pagesRequest, (message) => {
        expect(decodeGetPagesRequest(encodeGetPagesRequest(message))).toEqual(message);
      }),
    );
  });

  it('pages', () => {
    fc.assert(
      fc.property(bytes, fc.array(bytes), fc.array(fc.nat()), (present, pages, ends) => {
        const message = Buffer.concat([encodePagesHead({ present, pages }), ...pages]);
        // It comes in pieces that end anywhere.
        const cuts = [0, ...ends.map((end) => end % message.length).toSorted((a, b) => a - b), message.length];
        const answer = decodeGetPagesResponse(cuts.slice(1).map((end, at) => message.subarray(cuts[at], end)));
        expect(answer.present).toEqual(present);
        expect(Buffer.concat(answer.pages)).toEqual(Buffer.concat(pages));
      }),
    );
  });

  it('what was read is no copy', () => {
    const message = encodeAppendRequest([Buffer.from('redo')], 1n, 2n);
    const { batches } = decodeAppendRequest(message);
    message[16] = 0x52;
    expect(batches?.toString()).toBe('Redo');
  });
});

const DECODERS = {
  decodeAppendHello,
  decodeAppendRequest,
  decodeAppendResponse,
  decodeFollowHello,
  decodeFollowRequest,
  decodeFollowedRedo,
  decodeGetPagesRequest,
  decodeGetPagesResponse: (message: Buffer) => decodeGetPagesResponse([message]),
};
const valid = fc.oneof(
  hello.map((message) => encodeAppendHello(message, 1n, 1n)),
  response.map(encodeAppendResponse),
  followHello.map((message) => encodeFollowHello(message, 1n, 1n)),
  followPoints.map(encodeFollowRequest),
  pagesRequest.map(encodeGetPagesRequest),
  bytes,
);

it.each(Object.entries(DECODERS))('%s refuses other bytes with an error of its own', (_name, decode) => {
  const cutOrChanged = fc.record({ message: valid, end: fc.nat(), at: fc.nat(), bits: fc.nat(255) }).map(({ message, end, at, bits }) => {
    const out = Buffer.from(message.subarray(0, end % (message.length + 1)));
    if (out.length > 0) out[at % out.length] = (out[at % out.length] ?? 0) ^ bits;
    return out;
  });
  fc.assert(
    fc.property(cutOrChanged, (message) => {
      try {
        decode(message);
      } catch (error) {
        expect(error).toBeInstanceOf(WireError);
      }
    }),
    { numRuns: 500 },
  );
});

it('names what does not fit', () => {
  const history = Array.from({ length: 70_000 }, () => ({ epoch: 1n, startLsn: 1n }));
  const id = { volumeId: 'd1b4f9c8-3b6e-4a63-9d8e-0d6f5f7a1f11', pg: 0 };
  expect(() => encodeAppendHello({ role: 'FULL', segment: id, epoch: 1n, writerId: 'w', history }, 1n, 1n)).toThrow('hello.history: 70000');
  expect(() => encodeGetPagesRequest({ segment: { volumeId: '../../etc', pg: 0 }, epoch: 1n, lsn: 1n, keys: [] })).toThrow(
    "segment.volume_id: '../../etc' is not a UUID",
  );
  expect(() => decodeAppendHello(Buffer.alloc(20))).toThrow('hello: 20 bytes, at least 49 are due');
  expect(() => decodeFollowHello(Buffer.alloc(20))).toThrow('follow_hello: 20 bytes, at least 40 are due');
  expect(() => decodeFollowHello(Buffer.alloc(40, 9))).toThrow('follow_hello: 40 bytes, 2353 with reader_id_bytes 2313');
  expect(() => decodeFollowRequest(Buffer.alloc(17))).toThrow('follow: 17 bytes, 32 are due');
  expect(() => decodeAppendResponse(Buffer.alloc(18, 9))).toThrow('acknowledgement.result: 9 is unknown');
  const request = encodeGetPagesRequest({ segment: id, epoch: 1n, lsn: 1n, keys: [Buffer.alloc(17)] });
  expect(() => decodeGetPagesRequest(request.subarray(0, -1))).toThrow('get_pages.keys[0]: runs 1 bytes past the message');
  expect(() => decodeGetPagesRequest(Buffer.concat([request, Buffer.from('x')]))).toThrow('get_pages: 1 bytes follow its keys');
});
