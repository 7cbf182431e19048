/** What all strange bytes are made of, by seed. */
import type { SeededRandom } from '../random.ts';

export function noise(random: SeededRandom, length: number): Buffer {
  return Buffer.from(Uint8Array.from({ length }, () => random.integer(0, 255)));
}

/** Mostly small, sometimes at a limit of 8, 16 or 32 bits, where a sign or a sum goes wrong. */
export function awkwardNumber(random: SeededRandom): number {
  return random.next() < 0.6
    ? random.integer(0, 300)
    : random.pick([0, 1, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]);
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

/** Some bytes turned, one piece left out, or the end missing: a message that was right once. */
export function damaged(random: SeededRandom, message: Buffer): Buffer {
  const copy = Buffer.from(message);
  if (copy.length === 0) return copy;
  const choice = random.integer(0, 3);
  if (choice === 0) return copy.subarray(0, random.integer(0, copy.length));
  if (choice === 1) return Buffer.concat([copy.subarray(0, random.integer(0, copy.length)), copy.subarray(random.integer(0, copy.length))]);
  if (choice === 2)
    for (let turned = random.integer(1, 5); turned > 0; turned--) copy[random.integer(0, copy.length - 1)] = random.integer(0, 255);
  return copy;
}
