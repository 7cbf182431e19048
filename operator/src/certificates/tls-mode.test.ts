import fc from 'fast-check';
import { expect, it, test } from 'vitest';
import type { TlsMode } from '@kube-aurora/tls';
import { nextMode } from './tls-mode.ts';

const SPREAD_MS = 1000;

test.each<[string, TlsMode | undefined, boolean, number, TlsMode]>([
  ['a new cluster speaks TLS at once', undefined, false, 0, 'require'],
  ['one that ran in plain text goes on so', undefined, true, 0, 'permit'],
  ['until every pod knows TLS', 'permit', true, 10_000, 'permit'],
  ['then all call in TLS', 'permit', false, 0, 'prefer'],
  ['and take plain text until all have seen that', 'prefer', false, 999, 'prefer'],
  ['and then no longer', 'prefer', false, 1000, 'require'],
  ['whatever pods appear', 'require', true, 10_000, 'require'],
])('%s', (_what, mode, somePodIsPlain, ageMs, expected) => {
  const current = mode === undefined ? undefined : { mode, sinceMs: 0 };
  expect(nextMode({ current, somePodIsPlain, now: ageMs, spreadMs: SPREAD_MS })).toBe(expected);
});

it('takes no step back, and none that two neighbours would not understand', () => {
  const ORDER: readonly TlsMode[] = ['permit', 'prefer', 'require'];
  const looks = fc.array(fc.record({ afterMs: fc.nat(2 * SPREAD_MS), somePodIsPlain: fc.boolean() }), { maxLength: 30 });
  fc.assert(
    fc.property(looks, (run) => {
      let current: { mode: TlsMode; sinceMs: number } | undefined;
      let now = 0;
      for (const { afterMs, somePodIsPlain } of run) {
        now += afterMs;
        const mode = nextMode({ current, somePodIsPlain, now, spreadMs: SPREAD_MS });
        if (current !== undefined) {
          const step = ORDER.indexOf(mode) - ORDER.indexOf(current.mode);
          expect([0, 1]).toContain(step);
          // Somebody may still call as before the step before this one.
          if (step === 1 && mode === 'require') expect(now - current.sinceMs).toBeGreaterThanOrEqual(SPREAD_MS);
          // A pod that knows plain text alone could not be called in TLS.
          if (step === 1 && mode === 'prefer') expect(somePodIsPlain).toBe(false);
        }
        if (current?.mode !== mode) current = { mode, sinceMs: now };
      }
    }),
  );
});
