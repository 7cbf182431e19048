import { ANNOTATION, clusterLabels, LABEL, PORT, selectorLabels, storageHost, storageName, storageServiceName } from '../api/names.ts';
import { segmentIds, segmentOrdinal, type SegmentId } from '../api/segment-id.ts';
import type { AuroraCluster } from '../api/types.ts';
import type { Pod } from '../kube/objects.ts';
import { clusterNamespace, fingerprint, ownerReference, restartMark } from './metadata.ts';
import { compileCache, containerSecurity, env, podSecurity, probes, spreadOverNodes, zoneAffinity } from './pod-parts.ts';

const DATA_DIR = '/var/lib/kube-aurora/data';

/** `id=host:port` of all six daemons, the asker's own included: a daemon needs no other discovery. */
export function storagePeers(cluster: AuroraCluster): string {
  const { name } = cluster.metadata;
  return segmentIds
    .map((segment) => `${storageName(name, segment)}=${storageHost(name, clusterNamespace(cluster), segment)}:${PORT.storage}`)
    .join(',');
}

/** Pod of a segment, in the zone of its claim. */
export function storagePod(cluster: AuroraCluster, segment: SegmentId, zone: string, image: string): Pod {
  const { name } = cluster.metadata;
  const podName = storageName(name, segment);
  const labels = selectorLabels(name, 'storage');
  const spec: Pod['spec'] = {
    hostname: podName,
    subdomain: storageServiceName(name),
    restartPolicy: 'Always',
    terminationGracePeriodSeconds: 15,
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    affinity: { nodeAffinity: zoneAffinity(zone), podAntiAffinity: spreadOverNodes(labels) },
    securityContext: podSecurity,
    containers: [
      {
        name: 'storage-daemon',
        image,
        imagePullPolicy: 'IfNotPresent',
        terminationMessagePolicy: 'FallbackToLogsOnError',
        env: env({
          AURORA_DAEMON_ID: podName,
          AURORA_ZONE: zone,
          AURORA_DATA_DIR: DATA_DIR,
          AURORA_LISTEN: `$(POD_IP):${PORT.storage}`,
          AURORA_FRAMES_LISTEN: `$(POD_IP):${PORT.storageFrames}`,
          AURORA_METRICS_LISTEN: `$(POD_IP):${PORT.storageStatus}`,
          AURORA_PEERS: storagePeers(cluster),
        }),
        ports: [
          { name: 'storage', containerPort: PORT.storage },
          { name: 'frames', containerPort: PORT.storageFrames },
          { name: 'metrics', containerPort: PORT.storageStatus },
        ],
        volumeMounts: [{ name: 'data', mountPath: DATA_DIR }, compileCache.mount],
        ...(cluster.spec.storage.resources === undefined ? {} : { resources: cluster.spec.storage.resources }),
        securityContext: containerSecurity,
        ...probes('metrics', { readinessSeconds: 2 }),
      },
    ],
    volumes: [{ name: 'data', persistentVolumeClaim: { claimName: podName } }, compileCache.volume],
  };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: podName,
      namespace: clusterNamespace(cluster),
      labels: { ...clusterLabels(name, 'storage'), [LABEL.segment]: String(segmentOrdinal(segment)), [LABEL.zone]: zone },
      annotations: { [ANNOTATION.specHash]: fingerprint(spec), ...restartMark(cluster) },
      ownerReferences: [ownerReference(cluster)],
    },
    spec,
  };
}
