import fc from 'fast-check';
import { expect, it } from 'vitest';
import { SlotMap } from './slot-map.ts';

it('gives out the lowest free slot, and ends with the highest one that is taken', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.constant('take' as const), fc.nat({ max: 80 })), { maxLength: 200 }), (steps) => {
      const map = new SlotMap();
      const taken = new Set<number>();
      for (const step of steps) {
        if (step === 'take') {
          let lowest = 0;
          while (taken.has(lowest)) lowest++;
          expect(map.take()).toBe(lowest);
          taken.add(lowest);
        } else expect(map.give(step)).toBe(taken.delete(step));
        expect(map.end).toBe(Math.max(-1, ...taken) + 1);
        expect(map.taken).toBe(taken.size);
      }
    }),
  );
});

it('goes on from what was found when the file was opened', () => {
  const map = new SlotMap();
  for (const slot of [100_000, 0, 2]) map.mark(slot);
  expect([map.take(), map.take(), map.end]).toEqual([1, 3, 100_001]);
  map.give(100_000);
  expect(map.end).toBe(4);
});
