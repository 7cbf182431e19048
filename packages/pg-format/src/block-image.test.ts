import { createHash } from 'node:crypto';
import { zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { compressSync } from 'lz4-napi';
import { describe, expect, test } from 'vitest';
import { restoreBlockImage } from './block-image.ts';
import { PAGE_BYTES } from './page.ts';
import { decompressPglz } from './pglz.ts';
import { StructFormatError } from './wal-format-error.ts';
import type { BlockImage } from './wal-record.ts';

/** A page with a hole of zeros, mildly compressible elsewhere. */
const pages = fc
  .tuple(fc.integer({ min: 24, max: 4000 }), fc.integer({ min: 0, max: 4000 }), fc.uint8Array({ minLength: 16, maxLength: 64 }))
  .map(([holeOffset, holeLength, pattern]) => {
    const page = Buffer.alloc(PAGE_BYTES, pattern);
    page.fill(0, holeOffset, holeOffset + holeLength);
    return { page, holeOffset: holeLength === 0 ? 0 : holeOffset, holeLength };
  });

function withoutHole({ page, holeOffset, holeLength }: { page: Buffer; holeOffset: number; holeLength: number }): Buffer {
  return Buffer.concat([page.subarray(0, holeOffset), page.subarray(holeOffset + holeLength)]);
}

const COMPRESS = {
  none: (bytes: Buffer) => bytes,
  // Leaves off the size that the library puts first; PostgreSQL stores the bare block.
  lz4: (bytes: Buffer) => compressSync(bytes).subarray(4),
  zstd: (bytes: Buffer) => zstdCompressSync(bytes),
  pglz: (bytes: Buffer) => pglzLiterals(bytes),
};

/** The plainest pglz: control bytes of zero and literals. */
function pglzLiterals(bytes: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += 8) parts.push(Buffer.from([0]), bytes.subarray(at, at + 8));
  return Buffer.concat(parts);
}

describe.each(Object.entries(COMPRESS))('image with compression %s', (compression, compress) => {
  const image = (data: Buffer, holeOffset: number, holeLength: number): BlockImage => ({
    data,
    holeOffset,
    holeLength,
    apply: true,
    compression: compression as BlockImage['compression'],
  });

  test('gives the page back, its hole zeros', () => {
    fc.assert(
      fc.property(pages, (sample) => {
        const restored = restoreBlockImage(image(compress(withoutHole(sample)), sample.holeOffset, sample.holeLength));
        expect(restored.equals(sample.page)).toBe(true);
      }),
      { numRuns: 30 },
    );
  });

  test('of the wrong size is refused', () => {
    const short = compress(Buffer.alloc(8000, 'short'));
    expect(() => restoreBlockImage(image(short, 0, 0))).toThrow(StructFormatError);
    expect(() => restoreBlockImage(image(compress(Buffer.alloc(9000, 'long')), 0, 0))).toThrow(StructFormatError);
    expect(() => restoreBlockImage(image(Buffer.from('nonsense'), 0, 0))).toThrow(StructFormatError);
  });
});

// Heap pages as a PostgreSQL built with these libraries wrote them (15; images have not changed since). Sums of the
// pages were had from the lz4 and zstd libraries themselves.
test.each([
  {
    compression: 'lz4' as const,
    holeOffset: 340,
    holeLength: 7732,
    sha256: '583a8cf2aec1fcc6a1985281d0f615c445a8e5f64d2d483e824bebf670add211',
    data: `8AwAAAAAeLtkAQAAAQBUAYgfACAEINcCAACIn0obAA8CAH4f2JgAhAQCAECwn0oAQAEGAgD2DSAAAQACAAIoGACRCwAAE3JvdyAyOTU5AAAA1QImAAAo
      ABBPKABGKRgAuCgAFDkoAAZUAANQAEYhGACQKABQNTkAAAA=`,
  },
  {
    compression: 'zstd' as const,
    holeOffset: 340,
    holeLength: 7652,
    sha256: '60925ad4ce4c7ae9ea4bb886ccf4a52f4d88fae6cd61230385a48e25ff4c0b02',
    data: `KLUv/WAcARUEAOKFFSKgKY0B/6O5AoI4BUYx3QVGHz5ODjWQ4AOXeesk5uOtSZkCf55IVT6DYSRfIS0fwtKfJxP4aDgGL5h8B9sGjFuzLqVZF627WBfy
      ljCAE1Apri9G5vIfEQBgC8huKSSATpCBK3AYOk2R4QobALlgCVj3pfoAxgISjImhLhMUeAI=`,
  },
])('restores a page that PostgreSQL compressed with $compression', ({ data, sha256, ...header }) => {
  const page = restoreBlockImage({ ...header, apply: true, data: Buffer.from(data, 'base64') });
  expect(createHash('sha256').update(page).digest('hex')).toBe(sha256);
});

describe('pglz', () => {
  // Worked out by hand from the format's description in common/pg_lzcompress.c.
  test.each([
    ['a run: copy from one back', [0b10, 0x61, 0x0f, 0x01, 2], 'a'.repeat(21)],
    ['a repeated pattern: copy overlaps what it writes', [0b100, 0x61, 0x62, 0x04, 0x02], 'ab' + 'abababa'],
    ['a copy that does not overlap', [0b10000, 0x61, 0x62, 0x63, 0x64, 0x00, 0x04], 'abcdabc'],
    ['more than eight items', [0, ...Buffer.from('12345678'), 0b10, 0x39, 0x00, 0x09], '123456789123'],
  ])('%s', (_, input, expected) => {
    expect(decompressPglz(Buffer.from(input), expected.length).toString()).toBe(expected);
  });

  test('uses all twelve bits of the offset', () => {
    const start = Buffer.from(Array.from({ length: 4000 }, (_, index) => (index * 7 + (index >> 8)) & 0xff));
    const input = Buffer.concat([pglzLiterals(start), Buffer.from([0b1, 0xf0 | 0x00, 0xa0])]);
    expect(decompressPglz(input, 4003).subarray(4000)).toEqual(start.subarray(0, 3));
  });

  test.each([
    ['copy from before the start', [0b10, 0x61, 0x00, 0x02], 4],
    ['copy from nowhere', [0b10, 0x61, 0x00, 0x00], 4],
    ['cut within a copy', [0b10, 0x61, 0x0f, 0x01], 21],
    ['too little output', [0, 0x61], 2],
    ['input left over', [0, 0x61, 0x62], 1],
  ])('refuses %s', (_, input, size) => {
    expect(() => decompressPglz(Buffer.from(input), size)).toThrow(StructFormatError);
  });

  test('survives any input', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200, size: 'max' }), fc.nat({ max: 9000 }), (input, size) => {
        try {
          expect(decompressPglz(Buffer.from(input), size).length).toBe(size);
        } catch (error) {
          expect(error).toBeInstanceOf(StructFormatError);
        }
      }),
      { numRuns: 500 },
    );
  });
});
