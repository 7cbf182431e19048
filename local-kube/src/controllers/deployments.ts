import type { Logger } from '@kube-aurora/process';
import { instant } from '../api/metadata.ts';
import type { Registry } from '../api/registry.ts';
import type { Condition } from '../kinds.ts';
import { arrayAt, jsonEqual, numberAt, objectAt, valueAt, type JsonObject, type KubeObject } from '../store/object.ts';
import { controllerOf } from '../disruption/disruption-count.ts';
import type { EventRecorder } from './event-recorder.ts';
import { reconcileOn, type Running } from './reconcile.ts';
import { REPLICA_SETS } from './replica-sets.ts';
import { rolloutGoal, rolloutStep, templateHash, type RolloutPart } from './rollout.ts';

export const DEPLOYMENTS = 'apps/deployments';
const COMPONENT = 'deployment-controller';
const HASH = 'pod-template-hash';
const REVISION = 'deployment.kubernetes.io/revision';
/** How often a rollout that stands still is looked at for its deadline. */
const RECHECK_MS = 1000;

/**
 * Keeps a ReplicaSet for the current pod template of each Deployment, moves pods to it step by step, and tells how far
 * it is.
 */
export function runDeployments(registry: Registry, recorder: EventRecorder, logger: Logger): Running {
  const { store } = registry;
  const reconcile = (): void => {
    for (const deployment of store.list(DEPLOYMENTS))
      if (deployment.metadata.deletionTimestamp === undefined) roll(registry, recorder, deployment);
  };
  const running = reconcileOn(
    store,
    logger,
    'deployments',
    (change) => change.resource === DEPLOYMENTS || change.resource === REPLICA_SETS,
    reconcile,
  );
  const recheck = setInterval(reconcile, RECHECK_MS).unref();
  return {
    stop: () => {
      clearInterval(recheck);
      running.stop();
    },
  };
}

const revisionOf = (object: KubeObject): number => Number(object.metadata.annotations?.[REVISION] ?? 0);
const replicasOf = (set: KubeObject): number => numberAt(set, 'spec', 'replicas') ?? 0;
const count = (set: KubeObject, field: string): number => numberAt(set, 'status', field) ?? 0;

function roll(registry: Registry, recorder: EventRecorder, deployment: KubeObject): void {
  const owned = (): KubeObject[] =>
    registry.store
      .list(REPLICA_SETS, deployment.metadata.namespace)
      .filter((set) => controllerOf(set.metadata.ownerReferences)?.uid === deployment.metadata.uid)
      .toSorted((a, b) => revisionOf(a) - revisionOf(b));
  const paused = objectAt(deployment, 'spec')['paused'] === true;
  const template = templateHash(objectAt(deployment, 'spec')['template']);
  const known = owned();
  // A paused Deployment follows its scale and takes no new template.
  const current = known.find((set) => set.metadata.labels?.[HASH] === template) ?? (paused ? known.at(-1) : undefined);
  if (current === undefined && paused) return publish(registry, deployment, [], undefined);
  const set = current ?? createSet(registry, recorder, deployment, template, known);
  if (!paused) makeNewest(registry, deployment, set, known);
  const part = (one: KubeObject): RolloutPart => ({
    name: one.metadata.name,
    wanted: replicasOf(one),
    pods: count(one, 'replicas'),
    available: count(one, 'availableReplicas'),
  });
  const old = known.filter((one) => one.metadata.uid !== set.metadata.uid);
  const goal = rolloutGoal(deployment);
  const steps = paused ? new Map([[set.metadata.name, goal.replicas]]) : rolloutStep(goal, old.map(part), part(set));
  for (const one of [...old, set]) {
    const wanted = steps.get(one.metadata.name) ?? replicasOf(one);
    if (wanted !== replicasOf(one)) scaleSet(registry, recorder, deployment, one, wanted);
  }
  if (!paused) forgetOld(registry, deployment, old);
  const sets = owned();
  return publish(
    registry,
    deployment,
    sets,
    sets.find((one) => one.metadata.uid === set.metadata.uid),
  );
}

function createSet(
  registry: Registry,
  recorder: EventRecorder,
  deployment: KubeObject,
  hash: string,
  known: readonly KubeObject[],
): KubeObject {
  const resource = registry.catalog.byStorage(REPLICA_SETS);
  if (resource === undefined) throw new Error('ReplicaSets are not served');
  const { namespace, name, uid = '' } = deployment.metadata;
  const spec = objectAt(deployment, 'spec');
  const template = objectAt(spec, 'template');
  const templateMeta = objectAt(template, 'metadata');
  const labels = { ...(objectAt(templateMeta, 'labels') as { [key: string]: string }), [HASH]: hash };
  const selector = objectAt(spec, 'selector');
  const replicas = known.length === 0 ? rolloutGoal(deployment).replicas : 0;
  const made = registry.create(
    resource,
    namespace,
    {
      apiVersion: 'apps/v1',
      kind: 'ReplicaSet',
      metadata: {
        name: `${name}-${hash}`,
        labels,
        annotations: { [REVISION]: String(Math.max(0, ...known.map(revisionOf)) + 1) },
        ownerReferences: [{ apiVersion: 'apps/v1', kind: 'Deployment', name, uid, controller: true, blockOwnerDeletion: true }],
      },
      spec: {
        replicas,
        ...(spec['minReadySeconds'] === undefined ? {} : { minReadySeconds: spec['minReadySeconds'] }),
        selector: { ...selector, matchLabels: { ...objectAt(selector, 'matchLabels'), [HASH]: hash } },
        template: { ...template, metadata: { ...templateMeta, labels } },
      },
    },
    { manager: COMPONENT },
  );
  if (replicas > 0) told(recorder, deployment, made, 'up', 0, replicas);
  return made;
}

/** The current ReplicaSet has the highest revision: an earlier template that is asked for again becomes the newest. */
function makeNewest(registry: Registry, deployment: KubeObject, set: KubeObject, known: readonly KubeObject[]): void {
  const highest = Math.max(0, ...known.filter((one) => one.metadata.uid !== set.metadata.uid).map(revisionOf));
  const revision = String(revisionOf(set) > highest ? revisionOf(set) : highest + 1);
  const cause = deployment.metadata.annotations?.['kubernetes.io/change-cause'];
  const goal = rolloutGoal(deployment);
  annotate(registry, REPLICA_SETS, set, {
    [REVISION]: revision,
    'deployment.kubernetes.io/desired-replicas': String(goal.replicas),
    'deployment.kubernetes.io/max-replicas': String(goal.replicas + (goal.recreate ? 0 : goal.maxSurge)),
    ...(cause === undefined ? {} : { 'kubernetes.io/change-cause': cause }),
  });
  annotate(registry, DEPLOYMENTS, deployment, { [REVISION]: revision });
}

function annotate(registry: Registry, storage: string, object: KubeObject, annotations: { [key: string]: string }): void {
  const resource = registry.catalog.byStorage(storage);
  const same = Object.entries(annotations).every(([key, value]) => object.metadata.annotations?.[key] === value);
  if (same || resource === undefined) return;
  registry.change(
    resource,
    object.metadata.namespace,
    object.metadata.name,
    (live) => ({ ...live, metadata: { ...live.metadata, annotations: { ...live.metadata.annotations, ...annotations } } }),
    { manager: COMPONENT },
  );
}

function told(recorder: EventRecorder, deployment: KubeObject, set: KubeObject, way: 'up' | 'down', from: number, to: number): void {
  const message = `Scaled ${way} replica set ${set.metadata.name} from ${from} to ${to}`;
  recorder.record(deployment, 'Normal', 'ScalingReplicaSet', message, COMPONENT);
}

function scaleSet(registry: Registry, recorder: EventRecorder, deployment: KubeObject, set: KubeObject, replicas: number): void {
  const resource = registry.catalog.byStorage(REPLICA_SETS);
  if (resource === undefined) return;
  const from = replicasOf(set);
  registry.change(
    resource,
    set.metadata.namespace,
    set.metadata.name,
    (live) => ({ ...live, spec: { ...objectAt(live, 'spec'), replicas } }),
    { manager: COMPONENT },
  );
  told(recorder, deployment, set, replicas > from ? 'up' : 'down', from, replicas);
}

function forgetOld(registry: Registry, deployment: KubeObject, old: readonly KubeObject[]): void {
  const resource = registry.catalog.byStorage(REPLICA_SETS);
  const limit = numberAt(deployment, 'spec', 'revisionHistoryLimit') ?? 10;
  const idle = old.filter((set) => replicasOf(set) === 0 && count(set, 'replicas') === 0);
  for (const set of resource === undefined ? [] : idle.slice(0, Math.max(0, idle.length - limit)))
    if (resource !== undefined) registry.remove(resource, set.metadata.namespace, set.metadata.name);
}

function publish(registry: Registry, given: KubeObject, sets: readonly KubeObject[], current: KubeObject | undefined): void {
  const resource = registry.catalog.byStorage(DEPLOYMENTS);
  const deployment = registry.store.get(DEPLOYMENTS, given.metadata.namespace, given.metadata.name);
  if (resource === undefined || deployment === undefined) return;
  const sum = (field: string): number => sets.reduce((total, set) => total + count(set, field), 0);
  const goal = rolloutGoal(deployment);
  const available = sum('availableReplicas');
  const numbers = {
    replicas: sum('replicas'),
    updatedReplicas: current === undefined ? 0 : count(current, 'replicas'),
    readyReplicas: sum('readyReplicas'),
    availableReplicas: available,
    unavailableReplicas: Math.max(0, sets.reduce((total, set) => total + replicasOf(set), 0) - available),
  };
  const status: JsonObject = {
    observedGeneration: deployment.metadata.generation ?? 1,
    ...Object.fromEntries(Object.entries(numbers).filter(([, value]) => value > 0)),
    terminatingReplicas: sum('terminatingReplicas'),
  };
  const conditions = conditionsOf(registry, deployment, status, current, available >= goal.replicas - goal.maxUnavailable);
  status['conditions'] = conditions;
  if (jsonEqual(deployment['status'], status)) return;
  registry.change(resource, deployment.metadata.namespace, deployment.metadata.name, (live) => ({ ...live, status }), {
    manager: COMPONENT,
    subresource: 'status',
  });
}

type DeploymentCondition = Condition & { lastUpdateTime?: string };

function conditionsOf(
  registry: Registry,
  deployment: KubeObject,
  status: JsonObject,
  current: KubeObject | undefined,
  enough: boolean,
): DeploymentCondition[] {
  const now = instant(registry.now());
  const before = arrayAt(deployment, 'status', 'conditions') as DeploymentCondition[];
  const was = (type: string): DeploymentCondition | undefined => before.find((one) => one.type === type);
  const made = (type: string, holds: boolean, reason: string, message: string, updated: boolean): DeploymentCondition => {
    const old = was(type);
    const state = holds ? 'True' : 'False';
    const same = old?.status === state;
    const lastUpdateTime = same && old.reason === reason && !updated ? (old.lastUpdateTime ?? now) : now;
    return { type, status: state, reason, message, lastUpdateTime, lastTransitionTime: same ? (old.lastTransitionTime ?? now) : now };
  };
  const availability = enough
    ? made('Available', true, 'MinimumReplicasAvailable', 'Deployment has minimum availability.', false)
    : made('Available', false, 'MinimumReplicasUnavailable', 'Deployment does not have minimum availability.', false);
  return [availability, progress(registry, deployment, status, current, was('Progressing'), made)];
}

function progress(
  registry: Registry,
  deployment: KubeObject,
  status: JsonObject,
  current: KubeObject | undefined,
  before: DeploymentCondition | undefined,
  made: (type: string, holds: boolean, reason: string, message: string, updated: boolean) => DeploymentCondition,
): DeploymentCondition {
  const name = current?.metadata.name ?? '';
  const wanted = numberAt(deployment, 'spec', 'replicas') ?? 1;
  const numbers = ['replicas', 'updatedReplicas', 'availableReplicas'];
  if (current === undefined) return made('Progressing', true, 'DeploymentPaused', 'Deployment is paused', false);
  if (numbers.every((field) => (numberAt(status, field) ?? 0) === wanted))
    return made('Progressing', true, 'NewReplicaSetAvailable', `ReplicaSet "${name}" has successfully progressed.`, false);
  const moved = [...numbers, 'observedGeneration'].some((field) => !jsonEqual(valueAt(deployment, 'status', field), status[field]));
  const deadlineMs = (numberAt(deployment, 'spec', 'progressDeadlineSeconds') ?? 600) * 1000;
  const since = Date.parse(before?.lastUpdateTime ?? instant(registry.now()));
  const late = before?.reason !== 'NewReplicaSetAvailable' && !moved && since + deadlineMs < registry.now();
  return late
    ? made('Progressing', false, 'ProgressDeadlineExceeded', `ReplicaSet "${name}" has timed out progressing.`, false)
    : made('Progressing', true, 'ReplicaSetUpdated', `ReplicaSet "${name}" is progressing.`, moved);
}
