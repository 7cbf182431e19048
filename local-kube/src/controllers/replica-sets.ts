import type { Logger } from '@kube-aurora/process';
import { ApiError } from '../api/errors.ts';
import type { Registry } from '../api/registry.ts';
import { podIsReady, type Pod } from '../kinds.ts';
import { isObject, jsonEqual, numberAt, objectAt, type JsonObject, type KubeObject } from '../store/object.ts';
import { matchesLabelSelector } from '../store/selectors.ts';
import { controllerOf } from '../disruption/disruption-count.ts';
import type { EventRecorder } from './event-recorder.ts';
import { reconcileOn, type Running } from './reconcile.ts';

export const REPLICA_SETS = 'apps/replicasets';
const COMPONENT = 'replicaset-controller';
/** Availability after minReadySeconds comes with time alone. */
const RECHECK_MS = 1000;

const ended = (pod: Pod): boolean => pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';

/** Ready for at least this long. */
export function podIsAvailable(pod: Pod, minReadySeconds: number, nowMs: number): boolean {
  if (!podIsReady(pod)) return false;
  const since = pod.status?.conditions?.find((condition) => condition.type === 'Ready')?.lastTransitionTime;
  return minReadySeconds === 0 || (since !== undefined && Date.parse(since) + minReadySeconds * 1000 <= nowMs);
}

/** Which pods go first when there are too many: those without a node, then those not ready, then the newest. */
export function excessPods(pods: readonly Pod[], count: number): Pod[] {
  const worth = (pod: Pod): number => (pod.spec.nodeName === undefined ? 0 : podIsReady(pod) ? 2 : 1);
  const born = (pod: Pod): string => pod.metadata.creationTimestamp ?? '';
  return pods.toSorted((a, b) => worth(a) - worth(b) || (born(a) > born(b) ? -1 : 1)).slice(0, count);
}

/** Keeps as many pods of each ReplicaSet as it asks for. */
export function runReplicaSets(registry: Registry, recorder: EventRecorder, logger: Logger): Running {
  const { store } = registry;
  const reconcile = (): void => {
    for (const set of store.list(REPLICA_SETS)) if (set.metadata.deletionTimestamp === undefined) keep(registry, recorder, set);
  };
  const running = reconcileOn(
    store,
    logger,
    'replica-sets',
    (change) => change.resource === REPLICA_SETS || change.resource === 'pods',
    reconcile,
  );
  const waiting = (): boolean => store.list(REPLICA_SETS).some((set) => (numberAt(set, 'spec', 'minReadySeconds') ?? 0) > 0);
  const recheck = setInterval(() => waiting() && reconcile(), RECHECK_MS).unref();
  return {
    stop: () => {
      clearInterval(recheck);
      running.stop();
    },
  };
}

function keep(registry: Registry, recorder: EventRecorder, set: KubeObject): void {
  const alive = (adopt(registry, set) as Pod[]).filter((pod) => !ended(pod));
  const pods = alive.filter((pod) => pod.metadata.deletionTimestamp === undefined);
  const missing = (numberAt(set, 'spec', 'replicas') ?? 1) - pods.length;
  let failure: string | undefined;
  for (let index = 0; index < missing && failure === undefined; index += 1) failure = createPod(registry, recorder, set);
  const resource = registry.catalog.byStorage('pods');
  for (const pod of missing < 0 && resource !== undefined ? excessPods(pods, -missing) : []) {
    if (resource !== undefined) registry.remove(resource, pod.metadata.namespace, pod.metadata.name);
    recorder.record(set, 'Normal', 'SuccessfulDelete', `Deleted pod: ${pod.metadata.name}`, COMPONENT);
  }
  publish(registry, set, pods, alive.length - pods.length, failure);
}

/** The ReplicaSet's own pods, and those that match its selector and that nobody controls, which become its own. */
function adopt(registry: Registry, set: KubeObject): KubeObject[] {
  const resource = registry.catalog.byStorage('pods');
  const { namespace, name, uid = '' } = set.metadata;
  const selector = objectAt(set, 'spec', 'selector');
  return registry.store.list('pods', namespace).flatMap((pod) => {
    const controller = controllerOf(pod.metadata.ownerReferences);
    if (controller !== undefined) return controller.uid === uid ? [pod] : [];
    const fits = matchesLabelSelector(selector, pod.metadata.labels) && pod.metadata.deletionTimestamp === undefined;
    if (!fits || resource === undefined || ended(pod as Pod)) return [];
    const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name, uid, controller: true, blockOwnerDeletion: true };
    const owned = (live: KubeObject): KubeObject => ({
      ...live,
      metadata: { ...live.metadata, ownerReferences: [...(live.metadata.ownerReferences ?? []), owner] },
    });
    return [registry.change(resource, namespace, pod.metadata.name, owned, { manager: COMPONENT })];
  });
}

/** Returns why it was refused, in which case an event says so too. */
function createPod(registry: Registry, recorder: EventRecorder, set: KubeObject): string | undefined {
  const resource = registry.catalog.byStorage('pods');
  const { namespace, name, uid = '' } = set.metadata;
  const template = objectAt(set, 'spec', 'template');
  const { labels, annotations } = objectAt(template, 'metadata');
  if (resource === undefined) return undefined;
  try {
    const pod = registry.create(
      resource,
      namespace,
      {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: {
          name: '',
          generateName: `${name}-`,
          labels: (isObject(labels) ? labels : {}) as { [key: string]: string },
          annotations: (isObject(annotations) ? annotations : {}) as { [key: string]: string },
          ownerReferences: [{ apiVersion: 'apps/v1', kind: 'ReplicaSet', name, uid, controller: true, blockOwnerDeletion: true }],
        },
        spec: objectAt(template, 'spec'),
      },
      { manager: COMPONENT },
    );
    recorder.record(set, 'Normal', 'SuccessfulCreate', `Created pod: ${pod.metadata.name}`, COMPONENT);
    return undefined;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    recorder.record(set, 'Warning', 'FailedCreate', `Error creating: ${error.message}`, COMPONENT);
    return error.message;
  }
}

function publish(
  registry: Registry,
  set: KubeObject,
  pods: readonly Pod[],
  terminatingReplicas: number,
  failure: string | undefined,
): void {
  const resource = registry.catalog.byStorage(REPLICA_SETS);
  if (resource === undefined) return;
  const minReadySeconds = numberAt(set, 'spec', 'minReadySeconds') ?? 0;
  const template = objectAt(set, 'spec', 'template', 'metadata', 'labels');
  const labelled = (pod: Pod): boolean => Object.entries(template).every(([key, value]) => pod.metadata.labels?.[key] === value);
  const readyReplicas = pods.filter(podIsReady).length;
  const availableReplicas = pods.filter((pod) => podIsAvailable(pod, minReadySeconds, registry.now())).length;
  const fullyLabeledReplicas = pods.filter(labelled).length;
  const status: JsonObject = {
    replicas: pods.length,
    ...(fullyLabeledReplicas > 0 ? { fullyLabeledReplicas } : {}),
    ...(readyReplicas > 0 ? { readyReplicas } : {}),
    ...(availableReplicas > 0 ? { availableReplicas } : {}),
    terminatingReplicas,
    observedGeneration: set.metadata.generation ?? 1,
    ...(failure === undefined
      ? {}
      : { conditions: [{ type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate', message: failure }] }),
  };
  if (jsonEqual(set['status'], status)) return;
  registry.change(resource, set.metadata.namespace, set.metadata.name, (live) => ({ ...live, status }), {
    manager: COMPONENT,
    subresource: 'status',
  });
}
