import fc from 'fast-check';
import { expect, it } from 'vitest';
import { directRead } from './direct-read.ts';

/** Reads as Node does: into the memory that it is given for each read. */
function reader(take: (bytes: Buffer) => void): (bytes: Buffer) => number {
  const options = directRead(take);
  return (bytes) => {
    const given = typeof options.buffer === 'function' ? options.buffer() : options.buffer;
    const memory = Buffer.from(given.buffer, given.byteOffset, given.length);
    const count = bytes.copy(memory);
    options.callback(count, memory);
    return count;
  };
}

it('gives what came, which stays as it was whatever comes after it', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 70_000 })), { maxLength: 60 }), (sizes) => {
      const came: Buffer[] = [];
      const taken: Buffer[] = [];
      const read = reader((bytes) => taken.push(bytes));
      sizes.forEach((size, at) => {
        const bytes = Buffer.alloc(size, at + 1);
        for (let done = 0; done < size;) {
          const count = read(bytes.subarray(done));
          came.push(bytes.subarray(done, done + count));
          done += count;
        }
      });
      expect(taken.length).toBe(came.length);
      taken.forEach((bytes, at) => expect(bytes.equals(came[at] ?? Buffer.alloc(0))).toBe(true));
    }),
  );
});

it('puts four records of TLS into one piece of memory, and takes none for what is short', () => {
  const memories = new Set<unknown>();
  const read = reader((bytes) => bytes.length > 100 && memories.add(bytes.buffer));
  const record = Buffer.alloc(16 * 1024);
  for (let count = 0; count < 8; count++) {
    read(record);
    read(record.subarray(0, 29));
  }
  expect(memories.size).toBe(2);
});
