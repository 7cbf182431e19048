import type { Logger } from '@kube-aurora/process';
import type { Registry } from '../api/registry.ts';
import type { Pod } from '../kinds.ts';
import { jsonEqual, objectAt, type Json, type JsonObject } from '../store/object.ts';
import { matchesLabelSelector } from '../store/selectors.ts';
import { podIsReady } from './endpoints.ts';
import { reconcileOn, type Running } from './reconcile.ts';

/** Keeps the status of PodDisruptionBudgets: how many pods may be taken now. */
export function runDisruptionBudgets(registry: Registry, logger: Logger): Running {
  const storage = 'policy/poddisruptionbudgets';
  return reconcileOn(
    registry.store,
    logger,
    'disruption-budgets',
    (change) => change.resource === 'pods' || change.resource === storage,
    () => {
      const resource = registry.catalog.byStorage(storage);
      if (resource === undefined) return;
      for (const budget of registry.store.list(storage)) {
        const spec = objectAt(budget, 'spec');
        const pods = (registry.store.list('pods', budget.metadata.namespace) as Pod[]).filter((pod) =>
          matchesLabelSelector(objectAt(spec, 'selector'), pod.metadata.labels),
        );
        const expectedPods = pods.length;
        const currentHealthy = pods.filter(podIsReady).length;
        const { minAvailable, maxUnavailable } = spec;
        const desiredHealthy =
          maxUnavailable !== undefined
            ? Math.max(0, expectedPods - share(maxUnavailable, expectedPods))
            : share(minAvailable ?? 1, expectedPods);
        const status: JsonObject = {
          currentHealthy,
          desiredHealthy,
          expectedPods,
          disruptionsAllowed: Math.max(0, currentHealthy - desiredHealthy),
          observedGeneration: budget.metadata.generation ?? 1,
        };
        if (jsonEqual(budget['status'], status)) continue;
        registry.change(resource, budget.metadata.namespace, budget.metadata.name, (live) => ({ ...live, status }), {
          manager: 'disruption-controller',
          subresource: 'status',
        });
      }
    },
  );
}

/** A number of pods, or a percentage of them, rounded up. */
function share(value: Json, of: number): number {
  const percent = typeof value === 'string' ? /^(\d+)%$/.exec(value)?.[1] : undefined;
  return percent === undefined ? Number(value) : Math.ceil((Number(percent) / 100) * of);
}
