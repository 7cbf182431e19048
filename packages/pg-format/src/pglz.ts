import { StructFormatError } from './wal-format-error.ts';

/**
 * Decompresses PostgreSQL's own LZ format (described at the head of common/pg_lzcompress.c):
 *
 *   control byte, then eight items, one for each of its bits from the lowest:
 *     0  one literal byte
 *     1  a copy from output already written: OOOOLLLL OOOOOOOO [extension]
 *        offset back 1..4095 (12 bits), length LLLL + 3; LLLL = 15 adds an extension byte (so 3..273)
 *
 * Neither length is stored; the caller knows both. Throws StructFormatError unless input and output end together.
 */
export function decompressPglz(input: Buffer, outputBytes: number): Buffer {
  const output = Buffer.allocUnsafe(outputBytes);
  let from = 0;
  let to = 0;
  const take = (): number => {
    const byte = input[from++];
    if (byte === undefined) throw new StructFormatError('pglz', `input of ${input.length} bytes ends within an item`);
    return byte;
  };
  while (from < input.length && to < outputBytes) {
    let control = take();
    for (let item = 0; item < 8 && from < input.length && to < outputBytes; item++, control >>= 1) {
      if ((control & 1) === 0) {
        output[to++] = take();
        continue;
      }
      const first = take();
      const offset = ((first & 0xf0) << 4) | take();
      let length = (first & 0x0f) + 3;
      if (length === 18) length += take();
      if (offset === 0 || offset > to) throw new StructFormatError('pglz', `copy from ${offset} back at output byte ${to}`);
      copyWithin(output, to, offset, Math.min(length, outputBytes - to));
      to += Math.min(length, outputBytes - to);
    }
  }
  if (from !== input.length || to !== outputBytes) {
    throw new StructFormatError('pglz', `${to} of ${outputBytes} bytes came out of ${from} of ${input.length} bytes`);
  }
  return output;
}

/** Copies `length` bytes from `offset` back, byte by byte where the ranges overlap: the pattern repeats. */
function copyWithin(output: Buffer, to: number, offset: number, length: number): void {
  if (offset >= length) {
    output.copyWithin(to, to - offset, to - offset + length);
  } else if (offset === 1) {
    output.fill(output[to - 1] ?? 0, to, to + length);
  } else {
    for (let at = to; at < to + length; at++) output[at] = output[at - offset] ?? 0;
  }
}
