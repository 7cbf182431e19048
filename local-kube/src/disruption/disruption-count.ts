import { podIsReady, type Condition, type Pod } from '../kinds.ts';
import { arrayAt, isObject, numberAt, objectAt, stringAt, type Json, type JsonObject, type OwnerReference } from '../store/object.ts';

/**
 * How many pods a controller is meant to have, or why that cannot be known. Kubernetes asks Deployments, ReplicaSets
 * and, for all other kinds, the scale subresource; a kind without one cannot be counted.
 */
export type ControllerScale = { readonly uid: string; readonly replicas: number } | { readonly problem: string };

/** What a budget comes to, before its condition. */
export type BudgetCount =
  | {
      readonly expectedPods: number;
      readonly desiredHealthy: number;
      readonly currentHealthy: number;
      readonly disruptionsAllowed: number;
      /** Pods whose eviction was granted and that are not being deleted yet, with when it was. */
      readonly disruptedPods: { readonly [name: string]: string };
      readonly unmanaged: boolean;
    }
  | { readonly problem: string };

/** A pod whose eviction was granted counts as gone for this long; then it is taken for one that stays. */
const DELETION_TIMEOUT_MS = 120_000;

export function controllerOf(references: readonly OwnerReference[] | undefined): OwnerReference | undefined {
  return references?.find((reference) => reference.controller === true);
}

/**
 * Counts a PodDisruptionBudget as the disruption controller of Kubernetes does. An absolute minAvailable needs the pods
 * alone; maxUnavailable and percentages need to know how many pods there should be, which only the pods' controllers
 * can say. Pure.
 */
export function countBudget(
  budget: Json,
  pods: readonly Pod[],
  scaleOf: (controller: OwnerReference) => ControllerScale | undefined,
  nowMs: number,
): BudgetCount {
  const { maxUnavailable, minAvailable } = objectAt(budget, 'spec');
  let expectedPods = 0;
  let desiredHealthy = 0;
  let unmanaged = false;
  if (maxUnavailable === undefined && typeof minAvailable === 'number') {
    expectedPods = pods.length;
    desiredHealthy = minAvailable;
  } else if (maxUnavailable !== undefined || minAvailable !== undefined) {
    const scale = expectedScale(pods, scaleOf);
    if ('problem' in scale) return scale;
    ({ expectedPods, unmanaged } = scale);
    const part = share(maxUnavailable ?? minAvailable ?? 0, expectedPods);
    desiredHealthy = maxUnavailable === undefined ? part : Math.max(0, expectedPods - part);
  }
  const disruptedPods = stillDisrupted(objectAt(budget, 'status', 'disruptedPods'), pods, nowMs);
  const currentHealthy = pods.filter(
    (pod) => pod.metadata.deletionTimestamp === undefined && disruptedPods[pod.metadata.name] === undefined && podIsReady(pod),
  ).length;
  const spare = currentHealthy - desiredHealthy;
  // A budget that matches no pods is safe in the moment in which its first pods appear.
  const disruptionsAllowed = expectedPods <= 0 || spare <= 0 ? 0 : spare;
  return { expectedPods, desiredHealthy, currentHealthy, disruptionsAllowed, disruptedPods, unmanaged };
}

function expectedScale(
  pods: readonly Pod[],
  scaleOf: (controller: OwnerReference) => ControllerScale | undefined,
): { expectedPods: number; unmanaged: boolean } | { problem: string } {
  const scales = new Map<string, number>();
  let unmanaged = false;
  for (const pod of pods) {
    const controller = controllerOf(pod.metadata.ownerReferences);
    if (controller === undefined) {
      unmanaged = true;
      continue;
    }
    const scale = scaleOf(controller);
    if (scale === undefined) return { problem: `found no controllers for pod "${pod.metadata.name}"` };
    if ('problem' in scale) return scale;
    scales.set(scale.uid, scale.replicas);
  }
  return { expectedPods: [...scales.values()].reduce((sum, replicas) => sum + replicas, 0), unmanaged };
}

function stillDisrupted(granted: JsonObject, pods: readonly Pod[], nowMs: number): { [name: string]: string } {
  const kept: { [name: string]: string } = {};
  for (const { metadata } of pods) {
    const since = granted[metadata.name];
    if (typeof since !== 'string' || metadata.deletionTimestamp !== undefined) continue;
    if (Date.parse(since) + DELETION_TIMEOUT_MS >= nowMs) kept[metadata.name] = since;
  }
  return kept;
}

/** A number of pods, or a percentage of them, rounded up. */
function share(value: Json, of: number): number {
  const percent = typeof value === 'string' ? /^(\d+)%$/.exec(value)?.[1] : undefined;
  return percent === undefined ? Number(value) : Math.ceil((Number(percent) / 100) * of);
}

/** The condition DisruptionAllowed for a status; when it began to hold is kept while it does. */
export function disruptionCondition(
  before: Json | undefined,
  allowed: number,
  generation: number,
  now: string,
  problem?: string,
): Condition {
  const status = allowed > 0 ? 'True' : 'False';
  const old = arrayAt(before, 'conditions').find((one) => stringAt(one, 'type') === 'DisruptionAllowed');
  const since = stringAt(old, 'status') === status ? stringAt(old, 'lastTransitionTime') : undefined;
  return {
    type: 'DisruptionAllowed',
    status,
    reason: problem !== undefined ? 'SyncFailed' : allowed > 0 ? 'SufficientPods' : 'InsufficientPods',
    message: problem ?? '',
    lastTransitionTime: since ?? now,
    ...(generation === 0 ? {} : { observedGeneration: generation }),
  };
}

/** A status for what was counted. What could not be counted allows nothing, and keeps the numbers of the last time. */
export function budgetStatus(budget: Json, counted: BudgetCount, now: string): JsonObject {
  const before = objectAt(budget, 'status');
  const others = arrayAt(before, 'conditions').filter((one) => !isObject(one) || one['type'] !== 'DisruptionAllowed');
  if ('problem' in counted) {
    const condition = disruptionCondition(before, 0, numberAt(before, 'observedGeneration') ?? 0, now, counted.problem);
    return {
      currentHealthy: 0,
      desiredHealthy: 0,
      expectedPods: 0,
      ...before,
      disruptionsAllowed: 0,
      conditions: [...others, condition],
    };
  }
  const { unmanaged: _unmanaged, disruptedPods, ...numbers } = counted;
  const observedGeneration = numberAt(budget, 'metadata', 'generation') ?? 1;
  const condition = disruptionCondition(before, numbers.disruptionsAllowed, observedGeneration, now);
  return {
    ...numbers,
    ...(Object.keys(disruptedPods).length === 0 ? {} : { disruptedPods: { ...disruptedPods } }),
    observedGeneration,
    conditions: [...others, condition],
  };
}
