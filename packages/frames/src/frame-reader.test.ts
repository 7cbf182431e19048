import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FrameError } from './frame-error.ts';
import { FrameReader, type FrameReceiver } from './frame-reader.ts';
import { DATA, END, FRAME_BYTES_MAX, FRAME_RULES, MAGIC, MORE, OPEN, PING } from './frame-types.ts';
import { encodeHello, ownHello, type Hello } from './hello.ts';
import { LAYOUTS } from './layouts.ts';
import { frameBytes as frame } from './testing/test-server.ts';

/** The reader against arbitrary bytes: it never throws anything but FrameError, and never keeps more than it says. */

const HELLO = ownHello({ heartbeatMs: 10_000, streamsMax: 128, windowBytes: 1024 * 1024 });
/** One header and one frame that is not DATA. */
const KEPT_MAX = LAYOUTS.hello.size + FRAME_BYTES_MAX;

/** Everything that a reader finds, DATA put together by frame. */
class Recorder implements FrameReceiver {
  readonly found: unknown[] = [];
  #pieces: Buffer[] = [];
  announced = 0;
  hello(hello: Hello): void {
    this.found.push(hello);
  }
  dataBegins(_stream: number, length: number): void {
    this.announced = length;
  }
  data(stream: number, flags: number, piece: Buffer, left: number): void {
    this.#pieces.push(Buffer.from(piece));
    if (left > 0) return;
    const whole = Buffer.concat(this.#pieces);
    expect(whole).toHaveLength(this.announced);
    this.found.push([DATA, stream, flags, whole.toString('hex')]);
    this.#pieces = [];
  }
  frame(type: number, stream: number, payload: Buffer): void {
    this.found.push([type, stream, payload.toString('hex')]);
  }
}

const payload = fc
  .oneof(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ minLength: 1000, maxLength: 1500 }))
  .map((bytes) => Buffer.from(bytes));
const stream = fc.integer({ min: 1, max: 2 ** 48 - 1 });
/** A frame that the client may send, and what the reader is to find of it. */
const goodFrame = fc.oneof(
  fc.record({ stream, payload, flags: fc.constantFrom(0, MORE, END, MORE | END) }).map(({ stream, payload, flags }) => {
    const whole = payload.length === 0 ? Buffer.from([1]) : payload;
    return { bytes: frame(DATA, stream, flags, whole), found: [DATA, stream, flags, whole.toString('hex')] as unknown };
  }),
  stream.map((stream) => ({ bytes: frame(DATA, stream, END, Buffer.alloc(0)), found: [DATA, stream, END, ''] as unknown })),
  fc.record({ stream, payload }).map(({ stream, payload }) => {
    const whole = Buffer.concat([Buffer.alloc(LAYOUTS.open.size, 7), payload]);
    return { bytes: frame(OPEN, stream, 0, whole), found: [OPEN, stream, whole.toString('hex')] as unknown };
  }),
  fc.constant({ bytes: frame(PING, 0, 0, Buffer.alloc(0)), found: [PING, 0, ''] as unknown }),
);

/** `bytes` in pieces that `cuts` chooses. */
function pieces(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].toSorted((a, b) => a - b);
  return places.slice(1).map((end, index) => bytes.subarray(places[index], end));
}
const cuts = fc.array(fc.nat(), { maxLength: 30 });

describe('a reader', () => {
  it('finds the same frames however the bytes are cut', () => {
    fc.assert(
      fc.property(fc.array(goodFrame, { maxLength: 12 }), cuts, (frames, places) => {
        const recorder = new Recorder();
        const reader = new FrameReader('client', recorder);
        const bytes = Buffer.concat([encodeHello(HELLO), ...frames.map((each) => each.bytes)]);
        for (const piece of pieces(bytes, places)) reader.push(piece);
        expect(recorder.found).toEqual([HELLO, ...frames.map(({ found }) => found)]);
        expect(reader.keptBytes).toBe(0);
      }),
    );
  });

  it('takes a stream that ends anywhere, byte by byte, and keeps no more than a header and a frame', () => {
    fc.assert(
      fc.property(fc.array(goodFrame, { minLength: 1, maxLength: 4 }), fc.nat(), (frames, end) => {
        const reader = new FrameReader('client', new Recorder());
        const bytes = Buffer.concat([encodeHello(HELLO), ...frames.map((each) => each.bytes)]);
        for (const byte of bytes.subarray(0, end % bytes.length)) {
          reader.push(Buffer.from([byte]));
          expect(reader.keptBytes).toBeLessThanOrEqual(KEPT_MAX);
        }
      }),
      { numRuns: 30 },
    );
  });

  it('refuses any other bytes with an error of its own, before or after a hello, and then reads no more', () => {
    const noise = fc.oneof(
      fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
      // Headers of any type, flags and length, with less behind them than they say.
      fc
        .record({ type: fc.nat(12), stream: fc.oneof(fc.constant(0), stream), flags: fc.nat(5), length: fc.nat(0xffff_ffff), payload })
        .map((each) => frame(each.type, each.stream, each.flags, each.payload, each.length)),
    );
    fc.assert(
      fc.property(fc.boolean(), fc.array(goodFrame, { maxLength: 3 }), noise, cuts, (hasHello, frames, bytes, places) => {
        const reader = new FrameReader('client', new Recorder());
        if (hasHello) for (const each of [encodeHello(HELLO), ...frames.map((each) => each.bytes)]) reader.push(each);
        try {
          for (const piece of pieces(bytes, places)) {
            reader.push(piece);
            expect(reader.keptBytes).toBeLessThanOrEqual(KEPT_MAX);
          }
        } catch (error) {
          expect(error).toBeInstanceOf(FrameError);
          reader.stop();
          reader.push(encodeHello(HELLO));
          expect(reader.keptBytes).toBeLessThanOrEqual(KEPT_MAX);
        }
      }),
      { numRuns: 1000 },
    );
  });

  it.each([
    ['a length that no frame has', frame(OPEN, 1, 0, Buffer.alloc(0), 0xffff_ffff), 'frame.length: OPEN with 4294967295 bytes'],
    ['one byte too many', frame(DATA, 1, 0, Buffer.alloc(0), FRAME_BYTES_MAX + 1), 'frame.length: DATA with 131073 bytes'],
    ['a type that there is not', frame(99, 1, 0, Buffer.alloc(0)), 'frame.type: there is no frame 99'],
    ['a daemon’s frame from a client', frame(5, 1, 0, Buffer.alloc(4)), "frame.type: WINDOW is not the client's to send"],
    ['a stream’s frame for the connection', frame(DATA, 0, 0, Buffer.from('x')), 'frame.stream: DATA with stream 0'],
    ['the connection’s frame for a stream', frame(PING, 4, 0, Buffer.alloc(0)), 'frame.stream: PING with stream 4'],
    ['flags that there are not', frame(DATA, 1, 4, Buffer.from('x')), 'frame.flags: DATA with flags 4'],
    ['a message without bytes', frame(DATA, 1, 0, Buffer.alloc(0)), 'DATA without END with 0 bytes'],
  ])('refuses %s by its header', (_what, bytes, why) => {
    const reader = new FrameReader('client', new Recorder());
    reader.push(encodeHello(HELLO));
    expect(() => reader.push(bytes.subarray(0, LAYOUTS.frame.size))).toThrow(why);
    expect(reader.keptBytes).toBe(0);
  });

  it.each([
    ['HTTP', 'GET / HTTP/1.1\r\n'],
    ['gRPC', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['TLS', '\u0016\u0003\u0001'],
    ['one byte', 'x'],
  ])('knows at once that %s is something else', (_what, text) => {
    const reader = new FrameReader('client', new Recorder());
    expect(() => reader.push(Buffer.from(text, 'latin1'))).toThrow(expect.objectContaining({ reason: 'NOT_FRAMES' }) as Error);
  });

  it('refuses a hello that no end can go by, naming the field', () => {
    for (const [change, why] of [
      [{ heartbeatMs: 0 }, 'hello.heartbeatMs: 0'],
      [{ streamsMax: 0 }, 'hello.streamsMax: 0'],
      [{ windowBytes: 1024 }, 'hello.windowBytes: 1024'],
    ] as const) {
      const reader = new FrameReader('client', new Recorder());
      expect(() => reader.push(encodeHello({ ...HELLO, ...change }))).toThrow(why);
    }
    expect(MAGIC).toHaveLength(8);
    expect(FRAME_RULES.size).toBe(8);
  });
});
