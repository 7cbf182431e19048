import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ReadFloor } from './read-floor.ts';

it('follows VDL, is held by the oldest read, and never goes back', () => {
  let oldest: bigint | undefined;
  const floor = new ReadFloor(() => oldest);
  expect(floor.announced).toBe(0n);
  expect(floor.announce(100n)).toBe(100n);
  oldest = 100n;
  expect(floor.announce(200n)).toBe(100n);
  oldest = undefined;
  expect(floor.announce(200n)).toBe(200n);
  oldest = 150n;
  expect(floor.announce(300n)).toBe(200n);
  expect(floor.announced).toBe(200n);
});

it('is never above a read under way, as long as reads begin at what was announced or above', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('begin' as const), above: fc.bigInt(0n, 50n) }),
    fc.record({ kind: fc.constant('end' as const), which: fc.nat(10) }),
    fc.record({ kind: fc.constant('announce' as const), vdl: fc.bigInt(0n, 50n) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const reads: bigint[] = [];
      let vdl = 0n;
      const floor = new ReadFloor(() => reads.toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0))[0]);
      for (const one of steps) {
        if (one.kind === 'begin') reads.push(floor.announced + one.above);
        else if (one.kind === 'end') reads.splice(one.which, 1);
        else floor.announce((vdl += one.vdl));
        for (const read of reads) expect(floor.announced <= read).toBe(true);
        expect(floor.announced <= vdl).toBe(true);
      }
    }),
  );
});
