import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { COPIES, QuorumTracker, WRITE_QUORUM, quorumPoint } from './quorum.ts';

describe('quorumPoint', () => {
  it('is what at least four of six have reached', () => {
    expect(quorumPoint([6n, 1n, 5n, 2n, 4n, 3n], WRITE_QUORUM)).toBe(3n);
    expect(quorumPoint([9n, 9n, 9n], WRITE_QUORUM)).toBe(0n);
  });
});

describe('QuorumTracker', () => {
  it('follows quorumPoint through any sequence of acknowledgements, never back and never below its floor', () => {
    const acknowledgements = fc.array(fc.tuple(fc.nat(COPIES - 1), fc.bigInt({ min: 0n, max: 50n })), { maxLength: 60 });
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 20n }), acknowledgements, (floor, list) => {
        const tracker = new QuorumTracker(floor);
        const highest = Array.from({ length: COPIES }, () => 0n);
        for (const [segment, scl] of list) {
          const before = tracker.point;
          const advanced = tracker.acknowledge(segment, scl);
          if (scl > (highest[segment] ?? 0n)) highest[segment] = scl;
          const reached = quorumPoint(highest, WRITE_QUORUM);
          expect(tracker.point).toBe(reached > floor ? reached : floor);
          expect(advanced).toBe(tracker.point > before);
          expect(tracker.scl(segment)).toBe(highest[segment]);
        }
      }),
    );
  });
});
