import { PassThrough } from 'node:stream';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readExactly } from './read-exactly.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('however the bytes come, each reader gets its own, and the next finds the rest', async () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(sizes, sizes, fc.boolean(), async (wanted, pieces, ends) => {
      const total = wanted.reduce((sum, size) => sum + size, 0);
      const bytes = Buffer.from(Array.from({ length: total + 3 }, (_, index) => index));
      const stream = new PassThrough();
      const write = async (): Promise<void> => {
        for (let at = 0, piece = 0; at < bytes.length; piece++) {
          const size = pieces[piece % pieces.length] ?? 1;
          stream.write(bytes.subarray(at, at + size));
          at += size;
          await turn();
        }
        if (ends) stream.end();
      };
      const writing = write();
      let at = 0;
      for (const size of wanted) {
        expect(await readExactly(stream, size)).toEqual(bytes.subarray(at, at + size));
        at += size;
      }
      await writing;
      await turn();
      expect(stream.read()).toEqual(bytes.subarray(total));
    }),
    { numRuns: 30 },
  );
});

test('a stream that has too little holds up nothing, and when it ends, or is destroyed, there is nothing', async () => {
  for (const end of ['end', 'destroy'] as const) {
    const stream = new PassThrough();
    stream.write('x');
    const read = readExactly(stream, 4);
    // Others have their turn.
    await turn();
    await turn();
    stream[end]();
    expect(await read).toBeUndefined();
  }
});
