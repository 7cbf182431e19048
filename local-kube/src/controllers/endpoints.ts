import type { Logger } from '@kube-aurora/process';
import type { Registry } from '../api/registry.ts';
import { podIsReady, type Pod, type Service, type ServicePort } from '../kinds.ts';
import { jsonEqual, type JsonObject, type KubeObject } from '../store/object.ts';
import { matchesLabels } from '../store/selectors.ts';
import { reconcileOn, type Running } from './reconcile.ts';

export interface ServiceEndpoint {
  readonly pod: Pod;
  readonly ip: string;
  readonly ready: boolean;
}

/** The pods behind a Service, whether ready or not. Pods that ended or have no address are none. */
export function endpointsOf(service: Service, pods: readonly Pod[]): ServiceEndpoint[] {
  const selector = service.spec.selector;
  if (selector === undefined || Object.keys(selector).length === 0) return [];
  return pods.flatMap((pod) => {
    const ip = pod.status?.podIP;
    const ended = pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
    if (ip === undefined || ended || pod.metadata.namespace !== service.metadata.namespace || !matchesLabels(selector, pod.metadata.labels))
      return [];
    const terminating = pod.metadata.deletionTimestamp !== undefined;
    const ready = service.spec.publishNotReadyAddresses === true || (podIsReady(pod) && !terminating);
    return [{ pod, ip, ready }];
  });
}

/** A Service port's port on a pod; undefined when it names one that the pod does not have. */
export function targetPort(port: ServicePort, pod: Pod): number | undefined {
  const target = port.targetPort ?? port.port;
  if (typeof target === 'number') return target;
  return pod.spec.containers.flatMap((container) => container.ports ?? []).find((one) => one.name === target)?.containerPort;
}

/** Keeps Endpoints and one EndpointSlice for every Service with a selector. */
export function runEndpoints(registry: Registry, logger: Logger): Running {
  const { store } = registry;
  return reconcileOn(
    store,
    logger,
    'endpoints',
    (change) => change.resource === 'services' || change.resource === 'pods',
    () => {
      const pods = store.list('pods') as Pod[];
      for (const object of store.list('services')) {
        const service = object as Service;
        if (service.spec.selector === undefined || service.metadata.deletionTimestamp !== undefined) continue;
        const endpoints = endpointsOf(service, pods);
        keep(registry, endpointsObject(service, endpoints));
        keep(registry, sliceObject(service, endpoints));
      }
      for (const endpoints of store.list('endpoints')) {
        const { namespace, name } = endpoints.metadata;
        const resource = registry.catalog.byStorage('endpoints');
        if (resource !== undefined && store.get('services', namespace, name) === undefined) registry.remove(resource, namespace, name);
      }
    },
  );
}

function keep(registry: Registry, wanted: KubeObject): void {
  const resource = registry.catalog.byKind(wanted.apiVersion, wanted.kind);
  if (resource === undefined) return;
  const { namespace, name } = wanted.metadata;
  const live = registry.store.get(resource.storage, namespace, name);
  const context = { manager: 'endpoint-controller' };
  if (live === undefined) registry.create(resource, namespace, wanted, context);
  else {
    const next: KubeObject = { ...live, ...wanted, metadata: { ...live.metadata, labels: wanted.metadata.labels ?? {} } };
    if (!jsonEqual(next, live)) registry.update(resource, namespace, name, next, context);
  }
}

function podReference(pod: Pod): JsonObject {
  return { kind: 'Pod', name: pod.metadata.name, namespace: pod.metadata.namespace ?? 'default', uid: pod.metadata.uid ?? '' };
}

/** `hostname` is what makes `pod.subdomain.namespace.svc` a name; only pods that ask for it have one. */
function hostnameOf(pod: Pod, service: Service): string | undefined {
  return pod.spec.subdomain === service.metadata.name ? pod.spec.hostname : undefined;
}

function endpointsObject(service: Service, endpoints: readonly ServiceEndpoint[]): KubeObject {
  const { name, namespace = 'default', labels } = service.metadata;
  const address = ({ pod, ip }: ServiceEndpoint): JsonObject => {
    const hostname = hostnameOf(pod, service);
    return { ip, ...(hostname === undefined ? {} : { hostname }), nodeName: pod.spec.nodeName ?? '', targetRef: podReference(pod) };
  };
  const first = endpoints[0]?.pod;
  const ports = (service.spec.ports ?? []).map((port): JsonObject => ({
    ...(port.name === undefined ? {} : { name: port.name }),
    port: (first === undefined ? undefined : targetPort(port, first)) ?? port.port,
    protocol: port.protocol ?? 'TCP',
  }));
  const ready = endpoints.filter((endpoint) => endpoint.ready).map(address);
  const notReady = endpoints.filter((endpoint) => !endpoint.ready).map(address);
  const subset: JsonObject = {
    ...(ready.length > 0 ? { addresses: ready } : {}),
    ...(notReady.length > 0 ? { notReadyAddresses: notReady } : {}),
    ...(ports.length > 0 ? { ports } : {}),
  };
  return {
    apiVersion: 'v1',
    kind: 'Endpoints',
    metadata: { name, namespace, labels: { ...labels } },
    subsets: endpoints.length === 0 ? [] : [subset],
  };
}

function sliceObject(service: Service, endpoints: readonly ServiceEndpoint[]): KubeObject {
  const { name, namespace = 'default', labels, uid = '' } = service.metadata;
  const first = endpoints[0]?.pod;
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: `${name}-${uid.slice(0, 5)}`,
      namespace,
      labels: {
        ...labels,
        'kubernetes.io/service-name': name,
        'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
      },
      ownerReferences: [{ apiVersion: 'v1', kind: 'Service', name, uid, controller: true, blockOwnerDeletion: true }],
    },
    addressType: 'IPv4',
    ports: (service.spec.ports ?? []).map((port) => ({
      name: port.name ?? '',
      port: (first === undefined ? undefined : targetPort(port, first)) ?? port.port,
      protocol: port.protocol ?? 'TCP',
    })),
    endpoints: endpoints.map(({ pod, ip, ready }) => {
      const hostname = hostnameOf(pod, service);
      return {
        addresses: [ip],
        conditions: { ready, serving: podIsReady(pod), terminating: pod.metadata.deletionTimestamp !== undefined },
        ...(hostname === undefined ? {} : { hostname }),
        nodeName: pod.spec.nodeName ?? '',
        targetRef: podReference(pod),
        zone: (pod.spec.nodeName ?? '').replace(/^node-/, ''),
      };
    }),
  };
}
