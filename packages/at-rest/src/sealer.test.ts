import { expect, it } from 'vitest';
import { createHash, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { SEAL_BYTES, SealError, Sealer, type Purpose } from './sealer.ts';

const KEY = Buffer.alloc(32, 7);
const NO_BYTES = Buffer.alloc(0);
const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));

/** Random bytes that a test can tell: the nth request gives hashes of n. */
function counted(): (bytes: number) => Buffer {
  let asked = 0;
  return (length) => createHash('sha256').update(String(asked++)).digest().subarray(0, length);
}

it('gives back what was sealed, of the same length, under every sealer of the key', () => {
  fc.assert(
    fc.property(bytes, fc.array(bytes, { maxLength: 4 }), (associated, pieces) => {
      const { bytes: sealed, seal } = new Sealer(KEY, 'redo', randomBytes).seal(associated, ...pieces);
      const plain = Buffer.concat(pieces);
      expect(sealed).toHaveLength(plain.length);
      expect(seal).toHaveLength(SEAL_BYTES);
      expect(new Sealer(KEY, 'redo', randomBytes).open(associated, sealed, seal)).toEqual(plain);
    }),
  );
});

it('never uses a session and a number twice, across sealers, purposes and restarts', () => {
  const used = new Set<string>();
  const random = counted();
  for (let restart = 0; restart < 10; restart++) {
    for (const purpose of ['redo', 'page', 'value'] satisfies Purpose[]) {
      const sealer = new Sealer(KEY, purpose, random);
      // The same bytes in the same place, as after a crash that lost them.
      for (let nth = 0; nth < 50; nth++) used.add(sealer.seal(NO_BYTES, NO_BYTES).seal.subarray(0, 24).toString('hex'));
    }
  }
  expect(used.size).toBe(10 * 3 * 50);
});

it('refuses any flipped bit of bytes, seal and what they are sealed with, and any cut', () => {
  const flip = (of: Buffer, at: number): Buffer => {
    const flipped = Buffer.from(of);
    const byte = (at >>> 3) % of.length;
    flipped.writeUInt8(flipped.readUInt8(byte) ^ (1 << (at & 7)), byte);
    return flipped;
  };
  const sealer = new Sealer(KEY, 'page', randomBytes);
  const some = fc.uint8Array({ minLength: 1, maxLength: 200 }).map((array) => Buffer.from(array));
  fc.assert(
    fc.property(some, some, fc.nat(), (associated, plain, at) => {
      const { bytes: sealed, seal } = sealer.seal(associated, plain);
      expect(() => sealer.open(associated, flip(sealed, at), seal)).toThrow(SealError);
      expect(() => sealer.open(associated, sealed, flip(seal, at))).toThrow(SealError);
      expect(() => sealer.open(flip(associated, at), sealed, seal)).toThrow(SealError);
      expect(() => sealer.open(associated, sealed.subarray(0, at % sealed.length), seal)).toThrow(SealError);
      expect(() => sealer.open(associated, sealed, seal.subarray(0, at % SEAL_BYTES))).toThrow(SealError);
    }),
  );
});

it('refuses what was sealed under another key, for another purpose, or with another seal', () => {
  const sealer = new Sealer(KEY, 'page', randomBytes);
  const [one, other] = [sealer.seal(NO_BYTES, Buffer.from('one')), sealer.seal(NO_BYTES, Buffer.from('two'))];
  expect(() => new Sealer(Buffer.alloc(32, 8), 'page', randomBytes).open(NO_BYTES, one.bytes, one.seal)).toThrow(SealError);
  expect(() => new Sealer(KEY, 'value', randomBytes).open(NO_BYTES, one.bytes, one.seal)).toThrow(SealError);
  expect(() => sealer.open(NO_BYTES, one.bytes, other.seal)).toThrow(SealError);
});

it('opens what more sessions sealed than it remembers keys of', () => {
  const sealed = Array.from({ length: 300 }, (_, nth) => new Sealer(KEY, 'value', randomBytes).seal(NO_BYTES, Buffer.from(String(nth))));
  const reader = new Sealer(KEY, 'value', randomBytes);
  for (const round of [0, 1])
    for (const [nth, { bytes: one, seal }] of sealed.entries())
      expect([round, reader.open(NO_BYTES, one, seal).toString()]).toEqual([round, String(nth)]);
});

it('gives the bytes that it gave in every release', () => {
  const { bytes: sealed, seal } = new Sealer(KEY, 'redo', () => Buffer.alloc(16, 1)).seal(Buffer.from('with'), Buffer.from('plain'));
  expect(sealed.toString('hex')).toBe('9a6d807351');
  expect(seal.toString('hex')).toBe('01010101010101010101010101010101000000000000000073990d32c46f3620943d1eeb5a2dc87c');
});
