import type { Logger } from '@kube-aurora/process';
import { instant } from '../api/metadata.ts';
import type { Registry } from '../api/registry.ts';
import type { Claim, Condition, Node, Pod } from '../kinds.ts';
import { unboundClaim } from '../pod-claims.ts';
import { objectAt, type KubeObject } from '../store/object.ts';
import type { EventRecorder } from './event-recorder.ts';
import { reconcileOn, type Running } from './reconcile.ts';
import { placePod, type Placement } from './schedule.ts';

const COMPONENT = 'default-scheduler';

/** Gives pods without a node one; those that fit nowhere wait with a condition and an event that say why. */
export function runScheduler(registry: Registry, recorder: EventRecorder, logger: Logger): Running {
  const { store } = registry;
  return reconcileOn(
    store,
    logger,
    'scheduler',
    (change) => ['pods', 'nodes', 'persistentvolumeclaims'].includes(change.resource),
    () => {
      const nodes = store.list('nodes') as Node[];
      for (const object of store.list('pods')) {
        const pod = object as Pod;
        const gated = (pod.spec.schedulingGates ?? []).length > 0;
        if (pod.spec.nodeName !== undefined || pod.metadata.deletionTimestamp !== undefined || gated) continue;
        const placement = placementOf(registry, pod, nodes);
        if ('node' in placement) bind(registry, recorder, object, placement.node);
        else explain(registry, recorder, pod, object, placement.problem);
      }
    },
  );
}

/** A pod goes nowhere before its disks are there. */
function placementOf({ store }: Registry, pod: Pod, nodes: readonly Node[]): Placement {
  const unbound = unboundClaim(pod, (name) => store.get('persistentvolumeclaims', pod.metadata.namespace, name) as Claim | undefined);
  if (unbound !== undefined) return { problem: `0/${nodes.length} nodes are available: ${unbound}.` };
  return placePod(pod, nodes, store.list('pods') as Pod[]);
}

function bind(registry: Registry, recorder: EventRecorder, pod: KubeObject, node: string): void {
  const resource = registry.catalog.byStorage('pods');
  if (resource === undefined) return;
  const { namespace, name } = pod.metadata;
  registry.change(resource, namespace, name, (live) => ({ ...live, spec: { ...objectAt(live, 'spec'), nodeName: node } }), {
    manager: COMPONENT,
  });
  recorder.record(pod, 'Normal', 'Scheduled', `Successfully assigned ${namespace ?? 'default'}/${name} to ${node}`, COMPONENT);
}

function explain(registry: Registry, recorder: EventRecorder, pod: Pod, object: KubeObject, problem: string): void {
  const resource = registry.catalog.byStorage('pods');
  const told = pod.status?.conditions?.find((condition) => condition.type === 'PodScheduled');
  if (resource === undefined || told?.message === problem) return;
  const condition: Condition = {
    type: 'PodScheduled',
    status: 'False',
    reason: 'Unschedulable',
    message: problem,
    lastTransitionTime: instant(registry.now()),
  };
  const others = (pod.status?.conditions ?? []).filter((one) => one.type !== 'PodScheduled');
  registry.change(
    resource,
    pod.metadata.namespace,
    pod.metadata.name,
    (live) => ({ ...live, status: { ...objectAt(live, 'status'), conditions: [...others, condition] } }),
    {
      manager: COMPONENT,
      subresource: 'status',
    },
  );
  recorder.record(object, 'Warning', 'FailedScheduling', problem, COMPONENT);
}
