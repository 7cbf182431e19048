import { crc32c as nativeCrc32c } from '@node-rs/crc32';

/**
 * CRC-32C (Castagnoli; reflected polynomial 0x82F63B78), the checksum of WAL records and pg_control (port/pg_crc32c.h).
 * A checksum can be continued: crc32c(ab) = crc32c(b, crc32c(a)).
 */

/** Below this many bytes the table is faster than the call into native code; most WAL records are shorter. */
const NATIVE_MIN_BYTES = 160;

/** That of bytes [start, end), continuing `seed`. */
export type Crc32cOf = (bytes: Uint8Array, start: number, end: number, seed: number) => number;

let ofMany: Crc32cOf = (bytes, start, end, seed) => nativeCrc32c(end - start === bytes.length ? bytes : bytes.subarray(start, end), seed);

/** Takes a faster way to the same result for the rest of the process. A program has one where it loads redo in C (packages/redo). */
export function takeCrc32c(of: Crc32cOf): void {
  ofMany = of;
}

const [T0, T1, T2, T3, T4, T5, T6, T7] = makeTables();

/** CRC-32C of the buffers one after another. */
export function crc32c(...buffers: Uint8Array[]): number {
  let crc = 0;
  for (const buffer of buffers) crc = crc32cRange(buffer, 0, buffer.length, crc);
  return crc;
}

/** CRC-32C of bytes [start, end), continuing `seed`, the CRC of what came before (0 when nothing did). */
export function crc32cRange(bytes: Uint8Array, start: number, end: number, seed = 0): number {
  if (start < 0 || end > bytes.length || start > end) {
    throw new RangeError(`CRC over [${start}, ${end}) of ${bytes.length} bytes`);
  }
  if (end - start >= NATIVE_MIN_BYTES) return ofMany(bytes, start, end, seed);
  return tableCrc32c(bytes, start, end, seed);
}

/**
 * Eight bytes a step, one table each. Table k holds the CRC of a byte followed by k zero bytes. The caller has checked
 * the bounds, so every index exists; `!` states it.
 */
function tableCrc32c(bytes: Uint8Array, start: number, end: number, seed: number): number {
  let crc = ~seed;
  let at = start;
  for (const lastStep = end - 8; at <= lastStep; at += 8) {
    crc ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    crc =
      T7[crc & 0xff]! ^
      T6[(crc >>> 8) & 0xff]! ^
      T5[(crc >>> 16) & 0xff]! ^
      T4[crc >>> 24]! ^
      T3[bytes[at + 4]!]! ^
      T2[bytes[at + 5]!]! ^
      T1[bytes[at + 6]!]! ^
      T0[bytes[at + 7]!]!;
  }
  for (; at < end; at++) crc = (crc >>> 8) ^ T0[(crc ^ bytes[at]!) & 0xff]!;
  return ~crc >>> 0;
}

type Tables = [Int32Array, Int32Array, Int32Array, Int32Array, Int32Array, Int32Array, Int32Array, Int32Array];

function makeTables(): Tables {
  const first = new Int32Array(256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) !== 0 ? (crc >>> 1) ^ 0x82f6_3b78 : crc >>> 1;
    first[byte] = crc;
  }
  const next = (table: Int32Array): Int32Array => table.map((crc) => (crc >>> 8) ^ first[crc & 0xff]!);
  const second = next(first);
  const third = next(second);
  const fourth = next(third);
  const fifth = next(fourth);
  const sixth = next(fifth);
  const seventh = next(sixth);
  return [first, second, third, fourth, fifth, sixth, seventh, next(seventh)];
}
