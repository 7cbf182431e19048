import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  CLOCK_DRIFT,
  EarlierLeases,
  giveBackLease,
  grantLease,
  keptLeases,
  LEASE_MS_MAX,
  LEASES_MAX,
  leasesBeside,
  leaseUntil,
  storageLeaseMs,
  unknownLease,
  type GrantedLease,
  type LeaseHolder,
} from './lease.ts';
import { ALL_FULL, Quorums, rolesOf } from './quorum.ts';

const ZONES = ['a', 'a', 'b', 'b', 'c', 'c'];
const MIXED = new Quorums(rolesOf('Mixed', ZONES));
const LEASE_MS = 2000;
const w = (number: number): LeaseHolder => ({ epoch: BigInt(number), writerId: `w${number}` });
const nobodyDead = (_writerId: string): boolean => false;

function granted(leases: readonly GrantedLease[], holder: LeaseHolder, now: number): readonly GrantedLease[] {
  const after = grantLease(leases, holder, LEASE_MS, now);
  if (after === undefined) throw new Error('not granted');
  return after;
}

describe('a segment', () => {
  it('remembers the leases of all writers that may be live, and tells each of the others’', () => {
    const leases = granted(granted(granted([], w(1), 0), w(2), 500), w(3), 900);
    expect(leasesBeside(leases, w(3), 1000)).toEqual([
      { ...w(1), remainingMs: storageLeaseMs(LEASE_MS) - 1000, isGivenBack: false },
      { ...w(2), remainingMs: storageLeaseMs(LEASE_MS) - 500, isGivenBack: false },
    ]);
    expect(leasesBeside(leases, w(3), storageLeaseMs(LEASE_MS))).toHaveLength(1);
    expect(keptLeases(leases, 60_000)).toEqual([]);
  });

  it('says of one that was given back that nobody need wait, and grants it no more', () => {
    const leases = giveBackLease(granted(granted([], w(1), 0), w(2), 0), w(1), 100);
    expect(leasesBeside(leases, w(2), 200)).toEqual([{ ...w(1), remainingMs: 0, isGivenBack: true }]);
    expect(grantLease(leases, w(1), LEASE_MS, 200)).toBeUndefined();
    // For longer than anybody can think it live.
    expect(leasesBeside(leases, w(2), 99 + storageLeaseMs(LEASE_MS_MAX))).toHaveLength(1);
  });

  it('never shortens what it granted', () => {
    const long = grantLease([], w(1), LEASE_MS_MAX, 0) ?? [];
    expect(granted(long, w(1), 100)[0]?.untilMs).toBe(storageLeaseMs(LEASE_MS_MAX));
  });

  it('keeps a bounded number, and forgets none that is live: the oldest become one of nobody known', () => {
    let leases: readonly GrantedLease[] = [];
    for (let number = 1; number <= 3 * LEASES_MAX; number++) {
      leases = granted(leases, w(number), number);
      if (number % 3 === 0) leases = giveBackLease(leases, w(1000 + number), number);
    }
    expect(leases.length).toBeLessThanOrEqual(LEASES_MAX);
    const told = leasesBeside(leases, w(3 * LEASES_MAX), 3 * LEASES_MAX);
    const oldest = told.find(({ writerId }) => writerId === '');
    expect(oldest?.remainingMs).toBeGreaterThanOrEqual(storageLeaseMs(LEASE_MS) - 3 * LEASES_MAX);
    expect(told.some(({ writerId }) => writerId === `w${3 * LEASES_MAX - 1}`)).toBe(true);
  });
});

describe('a writer', () => {
  it('holds a lease from the latest time of which a write quorum granted an asking', () => {
    expect(leaseUntil([undefined, undefined, undefined, 5, 5, 5], ALL_FULL, LEASE_MS)).toBeUndefined();
    expect(leaseUntil([9, 8, 7, 6, 5, undefined], ALL_FULL, LEASE_MS)).toBe(6 + LEASE_MS);
    // The three full ones of mixed copies are a write quorum.
    expect(leaseUntil([9, undefined, 8, undefined, 7, undefined], MIXED, LEASE_MS)).toBe(7 + LEASE_MS);
    expect(leaseUntil([undefined, 9, 8, 7, undefined, undefined], MIXED, LEASE_MS)).toBeUndefined();
  });
});

describe('a new writer', () => {
  const none = { kind: 'none' } as const;
  const told = (...reports: readonly (readonly [LeaseHolder, number, boolean?])[]) =>
    reports.map(([holder, remainingMs, isGivenBack = false]) => ({ ...holder, remainingMs, isGivenBack }));

  it('must hear a promise quorum', () => {
    const earlier = new EarlierLeases(ALL_FULL, nobodyDead);
    for (const index of [0, 1, 2]) earlier.note(index, [], 0);
    expect(earlier.verdict(0)).toEqual({ kind: 'unheard', heard: 3 });
    earlier.note(5, [], 0);
    expect(earlier.verdict(0)).toEqual(none);
    // The three full ones share too few segments with those that granted.
    const mixed = new EarlierLeases(MIXED, nobodyDead);
    for (const index of [0, 2, 4]) mixed.note(index, [], 0);
    expect(mixed.verdict(0).kind).toBe('unheard');
  });

  const heard = (reports: ReturnType<typeof told>, isDead = nobodyDead): EarlierLeases => {
    const earlier = new EarlierLeases(ALL_FULL, isDead);
    for (const index of [0, 1, 2]) earlier.note(index, [], 0);
    earlier.note(3, reports, 100);
    return earlier;
  };

  it('waits for every lease that one segment knows of, the longest last', () => {
    const earlier = heard(told([w(1), 900], [w(2), 2000]));
    expect(earlier.verdict(2099)).toEqual({ kind: 'live', lease: w(2), untilMs: 2100 });
    expect(earlier.verdict(2100)).toEqual(none);
  });

  it('waits for none that was given back, whichever segment says so, nor for one whose PostgreSQL it knows to be dead', () => {
    const earlier = heard(told([w(1), 2000]));
    earlier.note(0, told([w(1), 0, true]), 150);
    expect(earlier.verdict(150)).toEqual(none);
    expect(heard(told([w(1), 2000], [w(2), 1000]), (id) => id === 'w1').verdict(150)).toMatchObject({ lease: w(2) });
  });

  it('cannot be told of one of nobody known that it was given back', () => {
    const earlier = heard(leasesBeside([unknownLease(2000)], w(9), 0).slice());
    expect(earlier.verdict(500)).toMatchObject({ kind: 'live', untilMs: 2100 });
  });

  it('does not wait anew when a daemon restarts and thinks all live again', () => {
    const earlier = heard(told([w(1), 2000]));
    earlier.note(3, told([w(1), 2400], [{ epoch: 0n, writerId: '' }, 6000]), 1900);
    expect(earlier.verdict(2099)).toMatchObject({ kind: 'live', untilMs: 2100 });
    expect(earlier.verdict(2100)).toEqual(none);
  });
});

/**
 * All of it together, with clocks as wrong as they may be: whoever a write quorum granted a lease, and whichever promise
 * quorum is heard, with one of both that forgot, nobody answers after a later writer may have.
 */
it('a later writer answers only after every lease has run out by its holder’s clock', () => {
  const rate = fc.double({ min: 1 - CLOCK_DRIFT, max: 1 + CLOCK_DRIFT, noNaN: true });
  const delay = fc.double({ min: 0, max: 500, noNaN: true });
  const six = <T>(one: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(one, { minLength: 6, maxLength: 6 });
  const subset = fc.subarray([0, 1, 2, 3, 4, 5], { minLength: 3 });
  const grant = fc.record({ askedAt: fc.double({ min: 0, max: 3000, noNaN: true }), by: subset, after: six(delay) });
  fc.assert(
    fc.property(
      fc.constantFrom(ALL_FULL, MIXED),
      six(rate),
      rate,
      rate,
      fc.array(grant, { minLength: 1, maxLength: 4 }),
      subset,
      six(delay),
      fc.nat(6),
      (quorums, rates, writerRate, laterRate, grants, heardOf, answerTakes, forgets) => {
        const asked: (number | undefined)[] = quorums.roles.map(() => undefined);
        const tables: (readonly GrantedLease[])[] = quorums.roles.map(() => []);
        for (const { askedAt, by, after } of grants.toSorted((a, b) => a.askedAt - b.askedAt)) {
          for (const index of by) {
            asked[index] = askedAt * writerRate;
            tables[index] = granted(tables[index] ?? [], w(1), (askedAt + (after[index] ?? 0)) * (rates[index] ?? 1));
          }
        }
        const until = leaseUntil(asked, quorums, LEASE_MS);
        // All of it in true time; a promise after the last grant.
        const promisedAt = 4000;
        const earlier = new EarlierLeases(quorums, nobodyDead);
        let heardAt = promisedAt;
        for (const index of heardOf) {
          const at = promisedAt + (answerTakes[index] ?? 0);
          const leases = index === forgets ? [] : leasesBeside(tables[index] ?? [], w(2), promisedAt * (rates[index] ?? 1));
          earlier.note(index, leases, at * laterRate);
          heardAt = Math.max(heardAt, at);
        }
        const verdict = earlier.verdict(heardAt * laterRate);
        if (until === undefined || verdict.kind === 'unheard') return;
        const answersAt = verdict.kind === 'live' ? Math.max(heardAt, verdict.untilMs / laterRate) : heardAt;
        expect(answersAt).toBeGreaterThanOrEqual(until / writerRate - 1e-6);
      },
    ),
    { numRuns: 2000 },
  );
});
