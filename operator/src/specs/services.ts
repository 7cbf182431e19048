import {
  clusterLabels,
  endpointLabel,
  endpointServiceName,
  instancesServiceName,
  LABEL,
  PORT,
  readOnlyServiceName,
  readServiceName,
  readWriteServiceName,
  selectorLabels,
  storageServiceName,
} from '../api/names.ts';
import { segmentIds } from '../api/segment-id.ts';
import type { AuroraCluster, ServiceSettings } from '../api/types.ts';
import type { DisruptionBudget, Labels, Pod, Service } from '../kube/objects.ts';
import { TOKEN_PORTS, WRITER_PORT } from './compute-pod.ts';
import { objectMetadata } from './metadata.ts';

const SEGMENTS_PER_ZONE = 2;

interface ClientEndpoint {
  readonly name: string;
  /** Of spec.endpoints: its name there. */
  readonly custom?: string;
  /** Labels that its instances carry, beside those of all of the cluster's. */
  readonly selects: Labels;
  /** For clients that want the writer: to where a reader passes them on to it. */
  readonly wantsWriter?: true;
  /** Every instance has a name of its own, ready or not: one that is not says why it takes no connection. */
  readonly headless?: true;
  readonly settings?: ServiceSettings | undefined;
}

/** Where clients connect. Of the instances that a Service selects it leads to those that are ready. */
function clientEndpoints({ metadata: { name }, spec }: AuroraCluster): readonly ClientEndpoint[] {
  return [
    { name: readWriteServiceName(name), selects: { [LABEL.role]: 'writer' }, wantsWriter: true, settings: spec.services?.readWrite },
    { name: readOnlyServiceName(name), selects: { [LABEL.servesReads]: 'true' }, settings: spec.services?.readOnly },
    { name: readServiceName(name), selects: { [LABEL.serves]: 'true' }, settings: spec.services?.read },
    { name: instancesServiceName(name), selects: {}, headless: true },
    ...spec.endpoints.map((endpoint) => ({
      name: endpointServiceName(name, endpoint.name),
      custom: endpoint.name,
      selects: { [endpointLabel(endpoint.name)]: 'true' },
    })),
  ];
}

/**
 * `writerPod`: the one that NAME-rw leads to. One that an earlier release of ours has made may lack the port that it leads to
 * otherwise; it is replaced soon.
 */
export function clientServices(cluster: AuroraCluster, writerPod?: Pod): readonly Service[] {
  const isOld = writerPod !== undefined && !writerPod.spec.containers.some(({ ports }) => ports.some(({ name }) => name === WRITER_PORT));
  const { name } = cluster.metadata;
  return clientEndpoints(cluster).map((endpoint) => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: objectMetadata(cluster, {
      name: endpoint.name,
      labels: { ...clusterLabels(name, 'compute'), ...(endpoint.custom === undefined ? {} : { [LABEL.endpoint]: endpoint.custom }) },
      also: endpoint.settings,
    }),
    spec: {
      type: endpoint.settings?.type ?? 'ClusterIP',
      ...(endpoint.settings?.loadBalancerClass === undefined ? {} : { loadBalancerClass: endpoint.settings.loadBalancerClass }),
      ...(endpoint.headless === true ? { clusterIP: 'None', publishNotReadyAddresses: true } : {}),
      selector: { ...selectorLabels(name, 'compute'), ...endpoint.selects },
      ports: [
        {
          name: 'postgres',
          port: PORT.postgres,
          targetPort: endpoint.wantsWriter === true && !isOld ? WRITER_PORT : 'postgres',
          protocol: 'TCP',
        },
        ...(cluster.spec.postgresql.logins.length === 0
          ? []
          : [
              {
                name: 'token',
                port: PORT.token,
                targetPort: endpoint.wantsWriter === true ? TOKEN_PORTS.writer : TOKEN_PORTS.any,
                protocol: 'TCP' as const,
              },
            ]),
      ],
    },
  }));
}

/**
 * Names for the storage pods. Pods that are not ready have one too: a daemon that catches up must be reached by its
 * peers.
 */
export function storageService(cluster: AuroraCluster): Service {
  const { name } = cluster.metadata;
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: objectMetadata(cluster, { name: storageServiceName(name), labels: clusterLabels(name, 'storage') }),
    spec: {
      type: 'ClusterIP',
      clusterIP: 'None',
      publishNotReadyAddresses: true,
      selector: selectorLabels(name, 'storage'),
      ports: [
        { name: 'storage', port: PORT.storage, targetPort: 'storage', protocol: 'TCP' },
        { name: 'frames', port: PORT.storageFrames, targetPort: 'frames', protocol: 'TCP' },
        { name: 'metrics', port: PORT.storageStatus, targetPort: 'metrics', protocol: 'TCP' },
      ],
    },
  };
}

/**
 * Drains take one storage pod at a time, and only from a whole volume. As a number of pods that stay: for
 * `maxUnavailable` the disruption controller would ask the owner's scale how many there should be, and that counts
 * instances.
 *
 * `drainedZone`: both copies there may go, and none of the four others. It is left out of what is counted, so that the budget cannot be
 * used up by an eviction elsewhere.
 */
export function storageDisruptionBudget(cluster: AuroraCluster, drainedZone?: string): DisruptionBudget {
  const { name } = cluster.metadata;
  const matchLabels = selectorLabels(name, 'storage');
  return {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: objectMetadata(cluster, { name: storageServiceName(name), labels: clusterLabels(name, 'storage') }),
    spec:
      drainedZone === undefined
        ? { minAvailable: segmentIds.length - 1, selector: { matchLabels } }
        : {
            minAvailable: segmentIds.length - SEGMENTS_PER_ZONE,
            selector: { matchLabels, matchExpressions: [{ key: LABEL.zone, operator: 'NotIn', values: [drainedZone] }] },
          },
  };
}
