import { disruptionCondition } from '../disruption/disruption-count.ts';
import { BUDGETS, podsOfBudget } from '../disruption/pods-of-budget.ts';
import { podIsReady, type Pod } from '../kinds.ts';
import { arrayAt, isObject, numberAt, objectAt, stringAt, type Json, type JsonObject, type KubeObject } from '../store/object.ts';
import { ApiError, refuse } from './errors.ts';
import { instant } from './metadata.ts';
import type { Registry } from './registry.ts';
import { deleteOptionsOf } from './removal.ts';

/** What a budget says to the eviction of one pod. */
export type EvictionVerdict =
  /** Its eviction takes nothing from the budget. */
  | { readonly kind: 'free' }
  /** It takes one disruption. */
  | { readonly kind: 'counted' }
  /** Not now; `wait` says whether trying again in a moment is of use. */
  | { readonly kind: 'refused'; readonly message: string; readonly retryAfterSeconds: number };

/** Whether a budget lets a pod go now, as the eviction API of Kubernetes decides. Pure. */
export function judgeEviction(pod: Pod, budget: KubeObject): EvictionVerdict {
  const { name, generation = 0 } = budget.metadata;
  const status = objectAt(budget, 'status');
  const [healthy, desired] = [numberAt(status, 'currentHealthy') ?? 0, numberAt(status, 'desiredHealthy') ?? 0];
  if (!podIsReady(pod)) {
    if (stringAt(budget, 'spec', 'unhealthyPodEvictionPolicy') === 'AlwaysAllow') return { kind: 'free' };
    if (healthy >= desired && desired > 0) return { kind: 'free' };
  }
  if ((numberAt(status, 'observedGeneration') ?? 0) < generation)
    return { kind: 'refused', message: `The disruption budget ${name} is still being processed by the server.`, retryAfterSeconds: 10 };
  if ((numberAt(status, 'disruptionsAllowed') ?? 0) > 0) return { kind: 'counted' };
  const condition = arrayAt(status, 'conditions').find((one) => stringAt(one, 'type') === 'DisruptionAllowed');
  const message =
    stringAt(condition, 'reason') === 'SyncFailed'
      ? `The disruption budget ${name} does not allow evicting pods currently because it failed sync: ${stringAt(condition, 'message') ?? ''}`
      : healthy <= desired
        ? `The disruption budget ${name} needs ${desired} healthy pods and has ${healthy} currently`
        : `The disruption budget ${name} does not allow evicting pods currently`;
  return { kind: 'refused', message, retryAfterSeconds: 0 };
}

/**
 * `POST …/pods/NAME/eviction`: deletes the pod if its disruption budget allows it. Throws ApiError 429 when it does
 * not.
 */
export function evict(registry: Registry, namespace: string | undefined, name: string, body: Json): void {
  const resource = registry.catalog.byStorage('pods');
  if (resource === undefined) throw refuse.noSuchPath();
  if (!isObject(body) || stringAt(body, 'metadata', 'name') !== name)
    throw refuse.badRequest('name in URL does not match name in Eviction object');
  const object = registry.get(resource, namespace, name);
  const pod = object as Pod;
  const options = deleteOptionsOf(objectAt(body, 'deleteOptions'), new URLSearchParams());
  const dryRun = options.dryRun === true;
  const ended = ['Succeeded', 'Failed', 'Pending'].includes(pod.status?.phase ?? '') || pod.metadata.deletionTimestamp !== undefined;
  if (!ended) {
    const budgets = registry.store
      .list(BUDGETS, namespace)
      .filter((budget) => podsOfBudget(registry.store, budget).some((one) => one.metadata.uid === pod.metadata.uid));
    if (budgets.length > 1)
      throw new ApiError(500, '', 'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.');
    const budget = budgets[0];
    if (budget !== undefined) take(registry, pod, budget, dryRun);
  }
  if (!dryRun && pod.metadata.deletionTimestamp === undefined) {
    const others = (pod.status?.conditions ?? []).filter((condition) => condition.type !== 'DisruptionTarget');
    const target: JsonObject = {
      type: 'DisruptionTarget',
      status: 'True',
      reason: 'EvictionByEvictionAPI',
      message: 'Eviction API: evicting',
      lastTransitionTime: instant(registry.now()),
    };
    registry.change(
      resource,
      namespace,
      name,
      (live) => ({ ...live, status: { ...objectAt(live, 'status'), conditions: [...others, target] } }),
      { manager: 'local-kube', subresource: 'status' },
    );
  }
  registry.remove(resource, namespace, name, options);
}

/** Takes one disruption out of the budget, at once: the next eviction sees it, whenever the controller counts again. */
function take(registry: Registry, pod: Pod, budget: KubeObject, dryRun: boolean): void {
  const verdict = judgeEviction(pod, budget);
  if (verdict.kind === 'refused') throw refuse.disruption(verdict.message, verdict.retryAfterSeconds);
  const resource = registry.catalog.byStorage(BUDGETS);
  if (verdict.kind === 'free' || dryRun || resource === undefined) return;
  const now = instant(registry.now());
  registry.change(
    resource,
    budget.metadata.namespace,
    budget.metadata.name,
    (live) => {
      const before = objectAt(live, 'status');
      const disruptionsAllowed = (numberAt(before, 'disruptionsAllowed') ?? 1) - 1;
      const others = arrayAt(before, 'conditions').filter((one) => stringAt(one, 'type') !== 'DisruptionAllowed');
      const condition = disruptionCondition(before, disruptionsAllowed, numberAt(before, 'observedGeneration') ?? 0, now);
      const disruptedPods = { ...objectAt(before, 'disruptedPods'), [pod.metadata.name]: now };
      return { ...live, status: { ...before, disruptionsAllowed, disruptedPods, conditions: [...others, condition] } };
    },
    { manager: 'local-kube', subresource: 'status' },
  );
}
