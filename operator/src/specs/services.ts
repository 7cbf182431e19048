import { clusterLabels, LABEL, PORT, readWriteServiceName, selectorLabels, storageServiceName } from '../api/names.ts';
import { segmentIds } from '../api/segment-id.ts';
import type { AuroraCluster, InstanceRole } from '../api/types.ts';
import type { DisruptionBudget, Service } from '../kube/objects.ts';
import { clusterNamespace, ownerReference } from './metadata.ts';

/** Where clients connect: each Service leads to the ready instances of one role. */
const CLIENT_ENDPOINTS: readonly { readonly serviceName: (cluster: string) => string; readonly role: InstanceRole }[] = [
  { serviceName: readWriteServiceName, role: 'writer' },
];

export function clientServices(cluster: AuroraCluster): readonly Service[] {
  const { name } = cluster.metadata;
  return CLIENT_ENDPOINTS.map(({ serviceName, role }) => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name: serviceName(name),
      namespace: clusterNamespace(cluster),
      labels: clusterLabels(name, 'compute'),
      ownerReferences: [ownerReference(cluster)],
    },
    spec: {
      type: 'ClusterIP',
      selector: { [LABEL.cluster]: name, [LABEL.role]: role },
      ports: [{ name: 'postgres', port: PORT.postgres, targetPort: 'postgres', protocol: 'TCP' }],
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
    metadata: {
      name: storageServiceName(name),
      namespace: clusterNamespace(cluster),
      labels: clusterLabels(name, 'storage'),
      ownerReferences: [ownerReference(cluster)],
    },
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
 * Drains take one storage pod at a time, and only from a whole volume. As a number of pods that stay: for pods that a
 * custom resource owns, the disruption controller cannot count `maxUnavailable` (there is no scale to ask) and would
 * allow none at all.
 */
export function storageDisruptionBudget(cluster: AuroraCluster): DisruptionBudget {
  const { name } = cluster.metadata;
  return {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: {
      name: storageServiceName(name),
      namespace: clusterNamespace(cluster),
      labels: clusterLabels(name, 'storage'),
      ownerReferences: [ownerReference(cluster)],
    },
    spec: { minAvailable: segmentIds.length - 1, selector: { matchLabels: selectorLabels(name, 'storage') } },
  };
}
