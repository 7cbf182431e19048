import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SANITIZERS } from '../../native/build.mjs';

const NATIVE = join(import.meta.dirname, '..', '..', 'native');
let dir: string;
beforeAll(() => {
  dir = mkdtempSync('/tmp/aurora-judge-');
  const sources = [join(NATIVE, 'test', 'judge.c'), join(NATIVE, 'judge.c')];
  execFileSync('cc', ['-std=c17', '-g', '-Wall', '-Wextra', '-Werror', ...SANITIZERS, '-o', join(dir, 'judge'), ...sources]);
});
afterAll(() => rmSync(dir, { recursive: true }));

/** The shim's own decisions, compiled with the sanitizers: a finding ends it with an error. */
function judge(lines: readonly string[]): string[] {
  return execFileSync(join(dir, 'judge'), { input: lines.join('\n'), encoding: 'utf8' })
    .trimEnd()
    .split('\n');
}

interface Chunk {
  readonly settled: number;
  readonly running: bigint;
  readonly written: number;
  readonly newest: bigint;
  readonly resident: readonly [bigint, bigint];
  readonly kept: readonly [bigint, bigint];
}
const line = ({ settled, running, written, newest, resident, kept }: Chunk): string =>
  `chunk ${settled} ${running} ${written} ${newest} ${[...resident, ...kept].map((bits) => bits.toString(16)).join(' ')}`;

const bits = fc.oneof(fc.constantFrom(0n, 1n, 2n ** 64n - 1n), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }));
const chunk: fc.Arbitrary<Chunk> = fc.record({
  settled: fc.integer({ min: 0, max: 5 }),
  running: fc.bigInt({ min: 0n, max: 5n }),
  written: fc.integer({ min: 0, max: 5 }),
  newest: fc.bigInt({ min: 0n, max: 5n }),
  resident: fc.tuple(bits, bits),
  kept: fc.tuple(bits, bits),
});

test('a chunk goes only if something of it may, all that was written is durable, and nobody who runs has written it', () => {
  fc.assert(
    fc.property(fc.array(chunk, { minLength: 1, maxLength: 200 }), (chunks) => {
      const verdicts = judge(chunks.map(line));
      for (const [index, { settled, running, written, newest, resident, kept }] of chunks.entries()) {
        const mayGo = resident.some((word, at) => (word & ~(kept[at] ?? 0n)) !== 0n);
        const expected = !mayGo
          ? 'kept'
          : written === 0
            ? 'goes'
            : written >= settled
              ? 'undurable'
              : newest > running
                ? 'running'
                : 'goes';
        expect(verdicts[index]).toBe(expected);
      }
    }),
    { numRuns: 20 },
  );
});

const WAL = 16 * 2 ** 20;
const [HEAP, SIXTEEN, EIGHT] = [8192, 8176, 8184];
const CYCLE_MAX = 0xff7f;
test.each([
  ['a page of zeros', [0, 0, 0, 0, 0], 'given back'],
  ['a heap page', [WAL + 8, HEAP, 0, 0, 1], 'given back'],
  ['a page of initdb’s bootstrap', [40, HEAP, 0, 0, 1], 'given back'],
  ['a page without an LSN: its index is being built', [0, SIXTEEN, 0, 0, 1], 'kept'],
  ['a page of a GiST index that is being built', [1, SIXTEEN, 0, 0xff81, 1], 'kept'],
  ['a page of an unlogged relation’s counter', [1000, HEAP, 0, 0, 1], 'kept'],
  ['a sequence', [WAL, EIGHT, 0x1717, 0, 1], 'kept'],
  ['a page with eight bytes at its end that is no sequence', [WAL, EIGHT, 0x1718, 0, 1], 'given back'],
  ['a btree page', [WAL, SIXTEEN, 0, 0, 1], 'given back'],
  ['a btree page that was split under a VACUUM', [WAL, SIXTEEN, 0, 1, 1], 'kept'],
  ['one with the last of VACUUM’s numbers', [WAL, SIXTEEN, 0, CYCLE_MAX, 1], 'kept'],
  ['a hash page', [WAL, SIXTEEN, 0, 0xff80, 1], 'given back'],
  ['a GiST page', [WAL, SIXTEEN, 0, 0xff81, 1], 'given back'],
] as const)('%s', (_, page, expected) => {
  expect(judge([`page ${page.join(' ')}`])).toEqual([expected]);
});
