import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rolloutGoal, rolloutStep, templateHash, type RolloutPart } from './rollout.ts';

const deployment = (spec: { [key: string]: never } | object) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'd' },
  spec: spec as never,
});
const part = (name: string, wanted: number, available = wanted): RolloutPart => ({ name, wanted, pods: wanted, available });

describe('a rollout', () => {
  it('reads its limits: surge rounds up, unavailability down, and something can always move', () => {
    expect(rolloutGoal(deployment({ replicas: 2 }))).toEqual({ replicas: 2, maxSurge: 1, maxUnavailable: 0, recreate: false });
    const rollingUpdate = { maxSurge: 0, maxUnavailable: 0 };
    expect(rolloutGoal(deployment({ replicas: 2, strategy: { type: 'RollingUpdate', rollingUpdate } }))).toMatchObject({
      maxSurge: 0,
      maxUnavailable: 1,
    });
  });

  it('makes all at once when there is nothing old, and follows a scale both ways', () => {
    const goal = rolloutGoal(deployment({ replicas: 3 }));
    expect(rolloutStep(goal, [], part('new', 0)).get('new')).toBe(3);
    expect(rolloutStep(goal, [], part('new', 5)).get('new')).toBe(3);
  });

  it('takes everything away first when it recreates', () => {
    const goal = rolloutGoal(deployment({ replicas: 2, strategy: { type: 'Recreate' } }));
    expect(rolloutStep(goal, [part('old', 2)], part('new', 0))).toEqual(
      new Map([
        ['old', 0],
        ['new', 0],
      ]),
    );
    expect(rolloutStep(goal, [part('old', 0)], part('new', 0)).get('new')).toBe(2);
  });

  it('keeps within its limits at every step, and ends', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 0, max: 3 }),
        fc.integer({ min: 0, max: 3 }),
        fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 }),
        (replicas, maxSurge, maxUnavailable, olds) => {
          const goal = rolloutGoal(
            deployment({ replicas, strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge, maxUnavailable } } }),
          );
          let old = olds.map((count, index) => part(`old${index}`, count));
          let current = part('new', 0);
          for (let step = 0; step < 40; step += 1) {
            const before = [...old, current].reduce((sum, one) => sum + one.wanted, 0);
            const availableBefore = [...old, current].reduce((sum, one) => sum + one.available, 0);
            const next = rolloutStep(goal, old, current);
            const total = [...next.values()].reduce((sum, count) => sum + count, 0);
            expect(total).toBeLessThanOrEqual(Math.max(before, goal.replicas + goal.maxSurge));
            const kept = [...old, current].reduce((sum, one) => sum + Math.min(one.available, next.get(one.name) ?? 0), 0);
            expect(kept).toBeGreaterThanOrEqual(Math.min(availableBefore, goal.replicas - goal.maxUnavailable));
            old = old.map((one) => part(one.name, next.get(one.name) ?? 0));
            // Pods of the last step have become available by the next one.
            current = part('new', next.get('new') ?? 0);
          }
          expect(current.wanted).toBe(replicas);
          expect(old.every((one) => one.wanted === 0)).toBe(true);
        },
      ),
    );
  });

  it('waits for new pods that do not become available', () => {
    const goal = rolloutGoal(deployment({ replicas: 4 }));
    let [old, current] = [part('old', 4), part('new', 0)];
    for (let step = 0; step < 20; step += 1) {
      const next = rolloutStep(goal, [old], current);
      old = part('old', next.get('old') ?? 0);
      current = part('new', next.get('new') ?? 0, 0);
    }
    expect([old.wanted, current.wanted]).toEqual([3, 2]);
  });

  it('names a template the same whatever the order of its keys', () => {
    expect(templateHash({ a: 1, b: { c: [1], d: 2 } })).toBe(templateHash({ b: { d: 2, c: [1], e: null }, a: 1 }));
    expect(templateHash({ a: 1 })).not.toBe(templateHash({ a: 2 }));
  });
});
