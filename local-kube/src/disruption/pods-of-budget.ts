import type { Pod } from '../kinds.ts';
import { objectAt, valueAt, type KubeObject } from '../store/object.ts';
import { matchesLabelSelector } from '../store/selectors.ts';
import type { Store } from '../store/store.ts';

export const BUDGETS = 'policy/poddisruptionbudgets';

/** The pods that a budget is about. */
export function podsOfBudget(store: Store, budget: KubeObject): Pod[] {
  const selector = valueAt(budget, 'spec', 'selector') === undefined ? undefined : objectAt(budget, 'spec', 'selector');
  const pods = store.list('pods', budget.metadata.namespace) as Pod[];
  return pods.filter((pod) => matchesLabelSelector(selector, pod.metadata.labels));
}
