import { isTerminating } from '../kube/objects.ts';
import { RESOURCE } from '../kube/resources.ts';
import { covers, hasMetadata } from '../specs/metadata.ts';
import { storageDisruptionBudget } from '../specs/services.ts';
import { EMPTY_PLAN, type Plan } from './actions.ts';
import { drainedZone } from './drained-zone.ts';
import type { Observed } from '../observed/observed.ts';

/**
 * The budget that makes drains wait for one another. A cluster without it works: a stranger's object of that name is
 * named, and no more.
 */
export function planDisruptionBudget(observed: Observed): Plan {
  const desired = storageDisruptionBudget(observed.cluster, drainedZone(observed));
  const live = observed.budgets.get(desired.metadata.name);
  if (live !== undefined && isTerminating(live)) return EMPTY_PLAN;
  const differs = live === undefined || !hasMetadata(live.metadata, desired.metadata) || !covers(live.spec, desired.spec);
  if (!differs) return EMPTY_PLAN;
  return { ...EMPTY_PLAN, actions: [{ kind: 'apply', resource: RESOURCE.disruptionBudgets, object: desired, live, blocking: false }] };
}
