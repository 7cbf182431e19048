import { describe, expect, it } from 'vitest';
import { judgeEviction } from '../api/eviction.ts';
import type { Pod } from '../kinds.ts';
import type { Json, KubeObject } from '../store/object.ts';
import { budgetStatus, countBudget, type ControllerScale } from './disruption-count.ts';

const NOW = Date.parse('2026-01-01T00:10:00Z');
const owned = { apiVersion: 'example.dev/v1', kind: 'Widget', name: 'w', uid: 'u', controller: true };
const pod = (name: string, ready = true, more: Partial<Pod['metadata']> = {}): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'default', ownerReferences: [owned], ...more },
  spec: { containers: [] },
  status: { phase: 'Running', conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] },
});
const budget = (spec: { [key: string]: Json }, status: { [key: string]: Json } = {}): KubeObject => ({
  apiVersion: 'policy/v1',
  kind: 'PodDisruptionBudget',
  metadata: { name: 'b', generation: 1 },
  spec,
  status,
});
const six = ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => pod(name));
const scaled = (replicas: number) => (): ControllerScale => ({ uid: 'u', replicas });
const unscaled = (): ControllerScale => ({ problem: 'widgets.example.dev does not implement the scale subresource' });

describe('a disruption budget', () => {
  it.each([
    ['minAvailable 5', { minAvailable: 5 }, unscaled, { expectedPods: 6, desiredHealthy: 5, disruptionsAllowed: 1 }],
    ['minAvailable 6', { minAvailable: 6 }, unscaled, { desiredHealthy: 6, disruptionsAllowed: 0 }],
    ['maxUnavailable 1 of a scale', { maxUnavailable: 1 }, scaled(6), { expectedPods: 6, desiredHealthy: 5, disruptionsAllowed: 1 }],
    ['maxUnavailable 1 of more than there are', { maxUnavailable: 1 }, scaled(8), { desiredHealthy: 7, disruptionsAllowed: 0 }],
    ['maxUnavailable 30%, rounded up', { maxUnavailable: '30%' }, scaled(6), { desiredHealthy: 4, disruptionsAllowed: 2 }],
    ['minAvailable 50% of a scale', { minAvailable: '50%' }, scaled(6), { desiredHealthy: 3, disruptionsAllowed: 3 }],
  ])('counts %s', (_name, spec, scaleOf, expected) => {
    expect(countBudget(budget(spec), six, scaleOf, NOW)).toMatchObject({ currentHealthy: 6, ...expected });
  });

  it('cannot count maxUnavailable for pods whose controller has no scale: it then allows nothing, and says why', () => {
    for (const spec of [{ maxUnavailable: 1 }, { minAvailable: '50%' }]) {
      const counted = countBudget(budget(spec), six, unscaled, NOW);
      expect(counted).toEqual({ problem: 'widgets.example.dev does not implement the scale subresource' });
      expect(budgetStatus(budget(spec, { currentHealthy: 3 }), counted, 'now')).toMatchObject({
        disruptionsAllowed: 0,
        currentHealthy: 3,
        conditions: [{ type: 'DisruptionAllowed', status: 'False', reason: 'SyncFailed' }],
      });
    }
  });

  it('does not count pods that are being deleted, are unready, or whose eviction was just granted', () => {
    const pods = [pod('a', true, { deletionTimestamp: '2026-01-01T00:09:59Z' }), pod('b', false), pod('c'), pod('d')];
    const recent = { disruptedPods: { c: '2026-01-01T00:09:00Z', d: '2026-01-01T00:01:00Z' } };
    const counted = countBudget(budget({ minAvailable: 1 }, recent), pods, unscaled, NOW);
    expect(counted).toMatchObject({ currentHealthy: 1, disruptedPods: { c: '2026-01-01T00:09:00Z' }, disruptionsAllowed: 0 });
  });

  it('allows nothing while it matches no pods', () => {
    expect(countBudget(budget({ minAvailable: 0 }), [], unscaled, NOW)).toMatchObject({ disruptionsAllowed: 0 });
  });

  it('decides evictions by its status', () => {
    const status = { observedGeneration: 1, currentHealthy: 5, desiredHealthy: 5, disruptionsAllowed: 0 };
    expect(judgeEviction(pod('a'), budget({}, { ...status, disruptionsAllowed: 1 }))).toEqual({ kind: 'counted' });
    expect(judgeEviction(pod('a'), budget({}, status))).toMatchObject({
      message: expect.stringContaining('needs 5 healthy pods and has 5'),
    });
    // An unready pod costs nothing while the others are enough.
    expect(judgeEviction(pod('a', false), budget({}, status))).toEqual({ kind: 'free' });
    expect(judgeEviction(pod('a', false), budget({}, { ...status, currentHealthy: 4 }))).toMatchObject({ kind: 'refused' });
    expect(judgeEviction(pod('a', false), budget({ unhealthyPodEvictionPolicy: 'AlwaysAllow' }, { ...status, currentHealthy: 4 }))).toEqual(
      {
        kind: 'free',
      },
    );
    // What was changed and not counted since decides nothing.
    expect(judgeEviction(pod('a'), budget({}, { ...status, observedGeneration: 0, disruptionsAllowed: 1 }))).toMatchObject({
      kind: 'refused',
      retryAfterSeconds: 10,
    });
  });
});
