import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { autoscale, type AutoscalingDecision, type AutoscalingRules, type AutoscalingSituation, type ReaderLoad } from './autoscale.ts';

const MIN = 60_000;
const NOW = 1_000 * MIN;
const RULES: AutoscalingRules = { min: 2, max: 6, targets: { connections: 100 }, scaleOutCooldownMs: 5 * MIN, scaleInCooldownMs: 5 * MIN };
const each = (...connections: (number | undefined)[]): readonly (ReaderLoad | undefined)[] =>
  connections.map((one) => (one === undefined ? undefined : { connections: one }));

describe('the decision', () => {
  type Row = readonly [string, readonly (ReaderLoad | undefined)[], Partial<AutoscalingSituation>, Partial<AutoscalingDecision>];
  test.each<Row>([
    ['as many as are needed stay', each(90, 95), {}, { kind: 'steady', instances: 3 }],
    ['a tenth above the target is no reason', each(109, 111), {}, { kind: 'steady', instances: 3 }],
    ['more are added at once', each(150, 250), {}, { kind: 'out', instances: 5 }],
    ['no more than may be', each(5_000, 5_000), {}, { kind: 'out', instances: 6, wanted: 101 }],
    ['and then it says so', each(300, 300, 300, 300, 300), {}, { kind: 'atMax', instances: 6 }],
    ['not soon after the last', each(200, 200), { lastScaleOutAt: NOW - 4 * MIN }, { kind: 'coolingDown', instances: 3, againInMs: MIN }],
    ['but after the cool-down', each(200, 200), { lastScaleOutAt: NOW - 5 * MIN }, { kind: 'out', instances: 5 }],
    ['fewer wait', each(10, 10, 10), {}, { kind: 'low', instances: 4, wanted: 2, lowSince: NOW, againInMs: 5 * MIN }],
    ['for a whole cool-down', each(10, 10, 10), { lowSince: NOW - 4 * MIN }, { kind: 'low', instances: 4, againInMs: MIN }],
    ['then one goes, and it begins anew', each(10, 10, 10), { lowSince: NOW - 5 * MIN }, { kind: 'in', instances: 3, lowSince: undefined }],
    ['never below the least', each(0), { lowSince: NOW - 60 * MIN }, { kind: 'steady', instances: 2 }],
    [
      'a load in between ends the wait',
      each(95, 95, 95),
      { lowSince: NOW - 9 * MIN },
      { kind: 'steady', instances: 4, lowSince: undefined },
    ],
    ['two of three that would be full stay three', each(60, 60, 65), { lowSince: NOW - 9 * MIN }, { kind: 'steady', instances: 4 }],
    [
      'one that says nothing keeps all',
      each(1, undefined, 1),
      { lowSince: NOW - 9 * MIN },
      { kind: 'missing', instances: 4, lowSince: undefined },
    ],
    ['also when none does', each(undefined, undefined), { lowSince: NOW - 9 * MIN }, { kind: 'missing', instances: 3 }],
    ['and asks for no more by itself', each(180, undefined), {}, { kind: 'missing', instances: 3 }],
    ['others may, without it', each(230, undefined), {}, { kind: 'out', instances: 4 }],
    [
      'a clock that was set back waits no longer than a cool-down',
      each(1, 1),
      { lowSince: NOW + 900 * MIN },
      { kind: 'low', lowSince: NOW },
    ],
  ])('%s', (_what, loads, situation, expected) => {
    const instances = loads.length + 1;
    expect(autoscale(RULES, { instances, loads, now: NOW, ...situation })).toMatchObject(expected);
  });

  test('instances outside of the bounds are brought there, cool-down or not', () => {
    const of = (instances: number) => autoscale(RULES, { instances, loads: each(100), lastScaleOutAt: NOW, now: NOW });
    expect(of(1)).toMatchObject({ kind: 'bounded', instances: 2 });
    expect(of(9)).toMatchObject({ kind: 'bounded', instances: 6 });
  });

  test('of two targets the one counts that asks for more', () => {
    const rules = { ...RULES, targets: { connections: 100, cpuUtilization: 50 } };
    const loads = [
      { connections: 5, cpuUtilization: 80 },
      { connections: 5, cpuUtilization: 90 },
    ];
    expect(autoscale(rules, { instances: 3, loads, now: NOW })).toMatchObject({ kind: 'out', instances: 5 });
    expect(autoscale(rules, { instances: 3, loads: [loads[0], { connections: 5 }], now: NOW })).toMatchObject({ kind: 'missing' });
  });
});

describe('over time', () => {
  const rules = fc.record({
    min: fc.integer({ min: 2, max: 5 }),
    more: fc.integer({ min: 0, max: 11 }),
    target: fc.integer({ min: 1, max: 200 }),
    outMs: fc.integer({ min: 0, max: 600_000 }),
    inMs: fc.integer({ min: 0, max: 600_000 }),
  });
  const rulesOf = ({ min, more, target, outMs, inMs }: { min: number; more: number; target: number; outMs: number; inMs: number }) => ({
    min,
    max: Math.min(16, min + more),
    targets: { connections: target },
    scaleOutCooldownMs: outMs,
    scaleInCooldownMs: inMs,
  });
  /** Looks at `step` of time apart; each time the load is shared by the readers that there are, of which some may say nothing. */
  function play(rules: AutoscalingRules, begin: number, looks: readonly { total: number; silent: boolean; passMs: number }[]) {
    let [instances, now, lastScaleOutAt, lowSince] = [begin, NOW, undefined as number | undefined, undefined as number | undefined];
    return looks.map(({ total, silent, passMs }) => {
      now += passMs;
      const loads = Array.from({ length: instances - 1 }, (_, index) =>
        silent && index === 0 ? undefined : { connections: total / (instances - 1) },
      );
      const decision = autoscale(rules, { instances, loads, lastScaleOutAt, lowSince, now });
      const before = instances;
      ({ instances, lowSince } = decision);
      if (decision.kind === 'out') lastScaleOutAt = now;
      return { ...decision, before, now, silent };
    });
  }
  const look = fc.record({
    total: fc.integer({ min: 0, max: 3_000 }),
    silent: fc.boolean(),
    passMs: fc.integer({ min: 0, max: 400_000 }),
  });
  const begins = fc.integer({ min: 2, max: 16 });

  test('it stays within the bounds, keeps the cool-downs, and removes none while a reader says nothing', () => {
    fc.assert(
      fc.property(rules, begins, fc.array(look, { maxLength: 60 }), (said, begin, looks) => {
        const rules = rulesOf(said);
        let outAt = -Infinity;
        let changedAt = -Infinity;
        for (const { kind, instances, before, now, silent } of play(rules, begin, looks)) {
          expect(instances).toBeGreaterThanOrEqual(rules.min);
          expect(instances).toBeLessThanOrEqual(rules.max);
          if (kind === 'bounded') continue;
          if (instances > before) {
            expect(now - outAt).toBeGreaterThanOrEqual(rules.scaleOutCooldownMs);
            outAt = now;
          }
          if (instances < before) {
            expect(silent).toBe(false);
            expect(before - instances).toBe(1);
            expect(now - changedAt).toBeGreaterThanOrEqual(rules.scaleInCooldownMs);
          }
          if (instances !== before) changedAt = now;
        }
      }),
    );
  });

  test('under a steady load it goes one way only, and comes to rest', () => {
    fc.assert(
      fc.property(rules, begins, fc.integer({ min: 0, max: 3_000 }), (said, begin, total) => {
        const rules = rulesOf(said);
        const looks = Array.from({ length: 60 }, () => ({ total, silent: false, passMs: 700_000 }));
        const played = play(rules, begin, looks).filter(({ kind }) => kind !== 'bounded');
        const ways = new Set(played.filter(({ instances, before }) => instances !== before).map(({ kind }) => kind));
        expect(ways.size).toBeLessThanOrEqual(1);
        expect(played.slice(-20).every(({ instances, before }) => instances === before)).toBe(true);
      }),
    );
  });
});
