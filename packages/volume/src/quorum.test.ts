import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ALL_FULL, COPIES, quorumPoint, Quorums, QuorumTracker, rolesOf, type SegmentRole } from './quorum.ts';

const ZONES = ['a', 'a', 'b', 'b', 'c', 'c'];
const MIXED = new Quorums(rolesOf('Mixed', ZONES));
const VOLUMES = [
  ['Full', ALL_FULL],
  ['Mixed', MIXED],
] as const;

/** All subsets of six segments, by index. */
const SUBSETS = Array.from({ length: 2 ** COPIES }, (_, set) =>
  Array.from({ length: COPIES }, (_one, index) => index).filter((index) => (set >> index) & 1),
);
const zoneOf = (index: number): number => index >> 1;
const shared = (a: readonly number[], b: readonly number[]): number => a.filter((index) => b.includes(index)).length;

describe.each(VOLUMES)('the quorums of a volume with %s copies', (_copies, quorums) => {
  const sets = (is: (members: readonly SegmentRole[]) => boolean): number[][] => SUBSETS.filter((set) => is(quorums.rolesAt(set)));
  const writes = sets((members) => quorums.isWrite(members));
  const reads = sets((members) => quorums.isRead(members));
  const promises = sets((members) => quorums.isPromise(members));

  it('any write and any read set share a segment', () => {
    for (const write of writes)
      for (const read of reads) expect(shared(write, read), `${write.join(' ')} and ${read.join(' ')}`).toBeGreaterThanOrEqual(1);
  });

  it('any write and any promise set share two segments, and so do any two promise sets', () => {
    for (const promise of promises) {
      for (const write of writes) expect(shared(write, promise), `${write.join(' ')} and ${promise.join(' ')}`).toBeGreaterThanOrEqual(2);
      for (const other of promises) expect(shared(other, promise), `${other.join(' ')} and ${promise.join(' ')}`).toBeGreaterThanOrEqual(2);
    }
  });

  it('whoever is asked besides one that lost its disk: a write set less that one and any read set of the others share a segment', () => {
    for (const write of writes) {
      for (let lost = 0; lost < COPIES; lost++) {
        const rest = write.filter((index) => index !== lost);
        for (const read of reads)
          if (!read.includes(lost))
            expect(shared(rest, read), `${write.join(' ')} less ${lost} and ${read.join(' ')}`).toBeGreaterThanOrEqual(1);
      }
    }
  });

  it('a zone and one more may go: what was written is left, and what is left is enough to find it', () => {
    for (let zone = 0; zone < 3; zone++) {
      for (let one = 0; one < COPIES; one++) {
        const left = (index: number): boolean => zoneOf(index) !== zone && index !== one;
        for (const write of writes) expect(write.some(left), `${write.join(' ')} less zone ${zone} and ${one}`).toBe(true);
        expect(reads).toContainEqual(SUBSETS.at(-1)?.filter(left));
      }
    }
  });

  it('a zone may go: a writer opens, and its writes are durable', () => {
    for (let zone = 0; zone < 3; zone++) {
      const left = SUBSETS.at(-1)?.filter((index) => zoneOf(index) !== zone);
      expect(writes).toContainEqual(left);
      expect(promises).toContainEqual(left);
    }
  });

  it('each has a full segment, and more segments are never less', () => {
    for (const set of [...writes, ...reads, ...promises]) expect(quorums.rolesAt(set)).toContain('FULL');
    for (const kind of [writes, reads, promises]) {
      const has = (set: readonly number[]): boolean => kind.some((one) => one.length === set.length && shared(one, set) === set.length);
      for (const set of kind) for (let more = 0; more < COPIES; more++) if (!set.includes(more)) expect(has([...set, more])).toBe(true);
    }
  });
});

describe('the quorums of mixed copies', () => {
  const F = 'FULL';
  const T = 'TAIL';

  it('three tails are nothing, three full ones are enough to write and to read', () => {
    expect([MIXED.isWrite([T, T, T]), MIXED.isRead([T, T, T]), MIXED.isPromise([T, T, T])]).toEqual([false, false, false]);
    expect([MIXED.isWrite([F, F, F]), MIXED.isRead([F, F, F]), MIXED.isPromise([F, F, F])]).toEqual([true, true, false]);
  });

  it('three tails and a full one write, and do not promise', () => {
    expect([MIXED.isWrite([F, T, T, T]), MIXED.isPromise([F, T, T, T]), MIXED.isPromise([F, F, T, T])]).toEqual([true, false, true]);
  });

  it('have one full segment in each zone', () => {
    expect(rolesOf('Mixed', ZONES)).toEqual([F, T, F, T, F, T]);
    expect(rolesOf('Mixed', ['a', 'b', 'c', 'a', 'b', 'c'])).toEqual([F, F, F, T, T, T]);
    expect(rolesOf('Full', ZONES)).toEqual([F, F, F, F, F, F]);
  });
});

describe('quorumPoint', () => {
  it('is what at least four of six have reached', () => {
    expect(quorumPoint([6n, 1n, 5n, 2n, 4n, 3n], ALL_FULL)).toBe(3n);
    expect(quorumPoint([9n, 9n, 9n, 0n, 0n, 0n], ALL_FULL)).toBe(0n);
  });

  it('or what the three full ones have', () => {
    expect(quorumPoint([9n, 0n, 8n, 0n, 7n, 0n], MIXED)).toBe(7n);
    expect(quorumPoint([9n, 5n, 8n, 5n, 0n, 0n], MIXED)).toBe(5n);
    expect(quorumPoint([0n, 5n, 0n, 5n, 0n, 5n], MIXED)).toBe(0n);
  });
});

describe.each(VOLUMES)('QuorumTracker of %s copies', (_copies, quorums) => {
  it('follows quorumPoint through any sequence of acknowledgements, never back and never below its floor', () => {
    const acknowledgements = fc.array(fc.tuple(fc.nat(COPIES - 1), fc.bigInt({ min: 0n, max: 50n })), { maxLength: 60 });
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 20n }), acknowledgements, (floor, list) => {
        const tracker = new QuorumTracker(floor, quorums);
        const highest = Array.from({ length: COPIES }, () => 0n);
        for (const [segment, scl] of list) {
          const before = tracker.point;
          const advanced = tracker.acknowledge(segment, scl);
          if (scl > (highest[segment] ?? 0n)) highest[segment] = scl;
          const reached = quorumPoint(highest, quorums);
          expect(tracker.point).toBe(reached > floor ? reached : floor);
          expect(advanced).toBe(tracker.point > before);
          expect(tracker.scl(segment)).toBe(highest[segment]);
        }
      }),
    );
  });
});
