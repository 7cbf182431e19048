import os from 'node:os';
import type { Logger } from '@kube-aurora/process';
import { instant } from '../api/metadata.ts';
import type { Registry } from '../api/registry.ts';
import type { Node, Pod } from '../kinds.ts';
import type { Network } from '../network/network.ts';
import { jsonEqual, objectAt, type JsonObject, type KubeObject } from '../store/object.ts';
import type { EventRecorder } from './event-recorder.ts';
import { reconcileOn, type Running } from './reconcile.ts';

/** On a node, `fail` or `pause` takes it out; without it the node is in order. Set by `zone fail|restore`. */
export const OUTAGE = 'local-kube.kube-aurora.dev/outage';
export type Outage = 'fail' | 'pause';

export function outageOf(node: KubeObject | undefined): Outage | undefined {
  const value = node?.metadata.annotations?.[OUTAGE];
  return value === 'fail' || value === 'pause' ? value : undefined;
}

export function nodeName(zone: string): string {
  return `node-${zone}`;
}

const UNREACHABLE = { key: 'node.kubernetes.io/unreachable', effect: 'NoSchedule' };

/** Keeps one pretend node a zone; a node with an outage is NotReady and so are its pods, at once. */
export function runNodes(registry: Registry, recorder: EventRecorder, logger: Logger, zones: readonly string[], network: Network): Running {
  const { store } = registry;
  for (const [index, zone] of zones.entries())
    if (store.get('nodes', undefined, nodeName(zone)) === undefined) makeNode(registry, zone, index, network);
  return reconcileOn(
    store,
    logger,
    'nodes',
    (change) => change.resource === 'nodes',
    () => {
      for (const object of store.list('nodes')) {
        const outage = outageOf(object);
        const ready = objectAt(object, 'status')['conditions'];
        const was = Array.isArray(ready) && ready.some((one) => objectAt(one)['type'] === 'Ready' && objectAt(one)['status'] === 'True');
        if (was === (outage === undefined) && Array.isArray(ready)) continue;
        setReadiness(registry, object, outage);
        if (outage === undefined)
          recorder.record(object, 'Normal', 'NodeReady', `Node ${object.metadata.name} status is now: NodeReady`, 'node-controller');
        else
          recorder.record(
            object,
            'Warning',
            'NodeNotReady',
            `Node ${object.metadata.name} status is now: NodeNotReady (outage: ${outage})`,
            'node-controller',
          );
        if (outage !== undefined) unreadyPods(registry, recorder, object.metadata.name);
      }
    },
  );
}

function makeNode(registry: Registry, zone: string, index: number, network: Network): void {
  const resource = registry.catalog.byStorage('nodes');
  if (resource === undefined) return;
  const name = nodeName(zone);
  registry.create(
    resource,
    undefined,
    {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: {
        name,
        labels: {
          'kubernetes.io/hostname': name,
          'kubernetes.io/os': 'linux',
          'kubernetes.io/arch': os.arch() === 'x64' ? 'amd64' : os.arch(),
          'topology.kubernetes.io/region': 'local',
          'topology.kubernetes.io/zone': zone,
          'node-role.kubernetes.io/worker': '',
        },
      },
      spec: { podCIDR: `${network.podPrefix}${index * 64}.0/18` },
    },
    { manager: 'kubelet' },
  );
}

function setReadiness(registry: Registry, node: KubeObject, outage: Outage | undefined): void {
  const resource = registry.catalog.byStorage('nodes');
  if (resource === undefined) return;
  const { name } = node.metadata;
  const now = instant(registry.now());
  const resources = { cpu: String(os.availableParallelism()), memory: `${Math.floor(os.totalmem() / 1024)}Ki`, pods: '110' };
  const fine = (type: string, reason: string, message: string): JsonObject => ({
    type,
    status: outage === undefined ? 'False' : 'Unknown',
    reason: outage === undefined ? reason : 'NodeStatusUnknown',
    message: outage === undefined ? message : 'Kubelet stopped posting node status.',
    lastHeartbeatTime: now,
    lastTransitionTime: now,
  });
  const status: JsonObject = {
    capacity: resources,
    allocatable: resources,
    addresses: [
      { type: 'InternalIP', address: '127.0.0.1' },
      { type: 'Hostname', address: name },
    ],
    conditions: [
      fine('MemoryPressure', 'KubeletHasSufficientMemory', 'kubelet has sufficient memory available'),
      fine('DiskPressure', 'KubeletHasNoDiskPressure', 'kubelet has no disk pressure'),
      fine('PIDPressure', 'KubeletHasSufficientPID', 'kubelet has sufficient PID available'),
      outage === undefined
        ? {
            type: 'Ready',
            status: 'True',
            reason: 'KubeletReady',
            message: 'local-kube runs pods as processes of this machine',
            lastHeartbeatTime: now,
            lastTransitionTime: now,
          }
        : {
            type: 'Ready',
            status: 'Unknown',
            reason: 'NodeStatusUnknown',
            message: 'Kubelet stopped posting node status.',
            lastHeartbeatTime: now,
            lastTransitionTime: now,
          },
    ],
    nodeInfo: {
      machineID: os.hostname(),
      systemUUID: os.hostname(),
      bootID: '',
      kernelVersion: os.release(),
      osImage: 'local processes',
      containerRuntimeVersion: 'process://1.0',
      kubeletVersion: 'v1.32.0+local-kube',
      kubeProxyVersion: '',
      operatingSystem: 'linux',
      architecture: os.arch() === 'x64' ? 'amd64' : os.arch(),
    },
    daemonEndpoints: { kubeletEndpoint: { Port: 0 } },
  };
  registry.change(resource, undefined, name, (live) => ({ ...live, status }), { manager: 'kubelet', subresource: 'status' });
  registry.change(
    resource,
    undefined,
    name,
    (live) => {
      const others = ((live as Node).spec.taints ?? []).filter((taint) => taint.key !== UNREACHABLE.key);
      const taints = outage === undefined ? others : [...others, { ...UNREACHABLE, timeAdded: now }];
      const { taints: _taints, ...spec } = objectAt(live, 'spec');
      return { ...live, spec: { ...spec, ...(taints.length > 0 ? { taints } : {}) } };
    },
    { manager: 'node-controller' },
  );
}

/** Pods of a lost node are out of their Services before anyone has to time out. */
function unreadyPods(registry: Registry, recorder: EventRecorder, node: string): void {
  const resource = registry.catalog.byStorage('pods');
  if (resource === undefined) return;
  const now = instant(registry.now());
  for (const object of registry.store.list('pods')) {
    const pod = object as Pod;
    if (pod.spec.nodeName !== node) continue;
    const conditions = (pod.status?.conditions ?? []).map((condition) =>
      condition.type === 'Ready' && condition.status === 'True'
        ? { ...condition, status: 'False', reason: 'NodeNotReady', lastTransitionTime: now }
        : condition,
    );
    if (jsonEqual(conditions, pod.status?.conditions)) continue;
    registry.change(
      resource,
      pod.metadata.namespace,
      pod.metadata.name,
      (live) => ({ ...live, status: { ...objectAt(live, 'status'), conditions } }),
      { manager: 'node-controller', subresource: 'status' },
    );
    recorder.record(object, 'Warning', 'NodeNotReady', 'Node is not ready', 'node-controller');
  }
}
