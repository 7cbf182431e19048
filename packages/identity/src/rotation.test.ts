import fc from 'fast-check';
import { expect, it } from 'vitest';
import { readCertificate } from './certificate.ts';
import { authorityAt, HOUR_MS, NOW } from './fixture-pki.ts';
import { authoritiesOf, nextRotationStep, rotated, type Authority, type AuthorityState, type RotationRules } from './rotation.ts';

const SPREAD_MS = 60_000;
const authorities: readonly Authority[] = await Promise.all(Array.from({ length: 6 }, () => authorityAt()));
const [first, second, third] = authorities as [Authority, Authority, Authority];
const begun: AuthorityState = { issuing: first, steppedAt: NOW };
const rules = (now: number, more: Partial<RotationRules> = {}): RotationRules => ({
  now,
  spreadMs: SPREAD_MS,
  leavesSince: NOW,
  ...more,
});
const prints = new Map(authorities.map(({ certificate }) => [certificate, readCertificate(certificate)?.fingerprint ?? '']));
const print = ({ certificate }: Authority): string => prints.get(certificate) ?? '';
const believed = (state: AuthorityState): string[] => authoritiesOf(state).map(({ fingerprint }) => fingerprint);

it('does nothing until two thirds of an authority are over', () => {
  expect(nextRotationStep(begun, rules(NOW + 12 * HOUR_MS))).toEqual({ kind: 'none' });
  expect(nextRotationStep(begun, rules(NOW + 17 * HOUR_MS))).toMatchObject({ kind: 'announce', authority: undefined });
});

it('goes in three steps, with time for everybody to see each', () => {
  const asked = 'now';
  const announce = nextRotationStep(begun, rules(NOW, { asked }));
  if (announce.kind !== 'announce') throw new Error(announce.kind);
  const announced = rotated(begun, announce, { now: NOW, asked, made: second });
  expect(believed(announced)).toEqual([print(first), print(second)]);
  expect(announced.issuing).toBe(first);
  expect(nextRotationStep(announced, rules(NOW + 1, { asked }))).toEqual({ kind: 'wait', ms: SPREAD_MS - 1 });
  const turned = rotated(announced, { kind: 'issue-by-next' }, { now: NOW + SPREAD_MS });
  expect(nextRotationStep(announced, rules(NOW + SPREAD_MS, { asked }))).toEqual({ kind: 'issue-by-next' });
  expect(believed(turned)).toEqual([print(second), print(first)]);
  // A leaf of the old one is there still: it stays believed, however long that takes.
  expect(nextRotationStep(turned, rules(NOW + HOUR_MS, { asked, leavesSince: undefined })).kind).toBe('wait');
  // Nor before everybody has had the time to see the last one.
  const late = rules(NOW + HOUR_MS, { asked, leavesSince: NOW + HOUR_MS - 1 });
  expect(nextRotationStep(turned, late)).toEqual({ kind: 'wait', ms: SPREAD_MS - 1 });
  expect(nextRotationStep(turned, rules(NOW + 2 * SPREAD_MS, { asked }))).toEqual({ kind: 'retire-previous' });
  const done = rotated(turned, { kind: 'retire-previous' }, { now: NOW + 2 * SPREAD_MS });
  expect(believed(done)).toEqual([print(second)]);
  // The same word asks for nothing more, another one does.
  expect(nextRotationStep(done, rules(NOW + HOUR_MS, { asked })).kind).toBe('none');
  expect(nextRotationStep(done, rules(NOW + HOUR_MS, { asked: 'again' })).kind).toBe('announce');
});

it('goes over to an authority that is given, and stays with it', () => {
  const announce = nextRotationStep(begun, rules(NOW, { given: third }));
  expect(announce).toMatchObject({ kind: 'announce', authority: third });
  if (announce.kind !== 'announce') return;
  const turned = rotated(rotated(begun, announce, { now: NOW }), { kind: 'issue-by-next' }, { now: NOW });
  const done = rotated(turned, { kind: 'retire-previous' }, { now: NOW });
  // Whoever gives it renews it: it being due is nothing for us.
  expect(nextRotationStep(done, rules(NOW + 20 * HOUR_MS, { given: third }))).toEqual({ kind: 'none' });
});

it('whoever has seen a change in time is believed by everybody else who has, through any rotations', () => {
  // What each of three programs has: a bundle and a leaf of some earlier moment, at most SPREAD_MS old.
  const events = fc.array(
    fc.record({
      afterMs: fc.integer({ min: 0, max: 2 * SPREAD_MS }),
      asks: fc.boolean(),
      lags: fc.array(fc.integer({ min: 0, max: SPREAD_MS - 1 }), { minLength: 3, maxLength: 3 }),
    }),
    { minLength: 1, maxLength: 30 },
  );
  fc.assert(
    fc.property(events, (run) => {
      let state = begun;
      let used = 0;
      let now = NOW;
      const history: { at: number; state: AuthorityState }[] = [{ at: -Infinity, state }];
      const bundles = new Map<AuthorityState, string[]>();
      const bundleOf = (seen: AuthorityState): string[] => {
        const bundle = bundles.get(seen) ?? believed(seen);
        bundles.set(seen, bundle);
        return bundle;
      };
      const seenAt = (at: number): AuthorityState => history.findLast((one) => one.at <= at)?.state ?? begun;
      for (const [count, { afterMs, asks, lags }] of run.entries()) {
        now += afterMs;
        const asked = asks ? `word ${count}` : state.asked;
        const step = nextRotationStep(state, rules(now, { asked, leavesSince: state.steppedAt }));
        if (step.kind !== 'none' && step.kind !== 'wait' && !(step.kind === 'announce' && used + 1 >= authorities.length)) {
          const made = step.kind === 'announce' ? authorities[++used] : undefined;
          state = rotated(state, step, { now, asked, made });
          history.push({ at: now, state });
        }
        const views = lags.map((lag) => seenAt(now - lag));
        for (const shows of views)
          for (const looks of views) {
            expect(bundleOf(looks)).toContain(print(shows.issuing));
          }
      }
    }),
    { numRuns: 50 },
  );
});
