import { DAEMON_MEMORY_ENVIRONMENT } from '@kube-aurora/process';
import { DEFAULTS } from '../api/defaults.ts';
import { ANNOTATION, clusterLabels, LABEL, PORT, selectorLabels, storageHost, storageName, storageServiceName } from '../api/names.ts';
import { roleOfSegment, segmentIds, segmentOrdinal, type SegmentId } from '../api/segment-id.ts';
import { sizeBytes } from '../api/quantity.ts';
import type { AuroraCluster } from '../api/types.ts';
import type { Pod } from '../kube/objects.ts';
import { clusterKey, clusterNamespace, fingerprint, objectMetadata, restartMark } from './metadata.ts';
import { placementFields } from './placement.ts';
import { encryptionParts } from './encryption-parts.ts';
import { compileCache, containerSecurity, env, identityParts, imagePull, imagePullMark, podSecurity, probes } from './pod-parts.ts';

/** The most that a daemon takes for its own (AURORA_MEMORY_MIB). */
const DAEMON_MEMORY_MIB_MAX = 65_536;
const DATA_DIR = '/var/lib/kube-aurora/data';

/**
 * `id=host:port` of all six daemons, the asker's own included, and what those are that have no pages: a daemon needs no
 * other discovery.
 */
export function storagePeers(cluster: AuroraCluster): string {
  const { name } = cluster.metadata;
  return segmentIds
    .map(
      (segment) =>
        `${storageName(name, segment)}=${storageHost(name, clusterNamespace(cluster), segment)}:${PORT.storage}${roleSuffix(cluster, segment)}`,
    )
    .join(',');
}

/** What stands after a segment in lists of them: nothing for a full one. */
export function roleSuffix(cluster: AuroraCluster, segment: SegmentId): string {
  return roleOfSegment(cluster.spec.storage.copies, segment) === 'TAIL' ? '=tail' : '';
}

/**
 * Of a container's limit, which is the kernel's and ends the process: the rest is for what a daemon does not count,
 * page tables, stacks and the kernel's own of its files.
 */
const MEMORY_PART = 0.75;

/** With a limit on its memory a daemon sizes its caches and queues by it. */
function memoryEnv(cluster: AuroraCluster): { readonly AURORA_MEMORY_MIB?: string } {
  const limit = cluster.spec.storage.resources?.limits?.['memory'];
  const bytes = limit === undefined ? undefined : sizeBytes(String(limit));
  if (bytes === undefined) return {};
  const mib = Math.floor((bytes * MEMORY_PART) / 2 ** 20);
  return { AURORA_MEMORY_MIB: String(Math.min(mib, DAEMON_MEMORY_MIB_MAX)) };
}

/** Where there are tails: when one holds pages in its zone's full segment's place. */
function standInEnv({ spec }: AuroraCluster): { readonly AURORA_STAND_IN_AFTER_SECONDS?: string } {
  const { copies, standInAfterSeconds } = spec.storage;
  return copies === 'Mixed' ? { AURORA_STAND_IN_AFTER_SECONDS: String(standInAfterSeconds) } : {};
}

/** Pod of a segment, in the zone of its claim. */
export function storagePod(cluster: AuroraCluster, segment: SegmentId, zone: string, image: string): Pod {
  const { name } = cluster.metadata;
  const podName = storageName(name, segment);
  const pull = imagePull(cluster);
  const identity = identityParts(name, 'storage');
  const encryption = encryptionParts(cluster);
  const build = (pulls: boolean): Pod['spec'] => ({
    hostname: podName,
    subdomain: storageServiceName(name),
    restartPolicy: 'Always',
    terminationGracePeriodSeconds: 15,
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    ...placementFields(cluster.spec.storage, zone, selectorLabels(name, 'storage')),
    ...(pulls ? pull.pod : {}),
    securityContext: podSecurity,
    ...(encryption.sidecars.length === 0
      ? {}
      : { initContainers: encryption.sidecars.map((sidecar) => ({ ...sidecar, ...(pulls ? pull.container : {}) })) }),
    containers: [
      {
        name: 'storage-daemon',
        image,
        imagePullPolicy: DEFAULTS.imagePullPolicy,
        ...(pulls ? pull.container : {}),
        terminationMessagePolicy: 'FallbackToLogsOnError',
        env: env({
          ...DAEMON_MEMORY_ENVIRONMENT,
          AURORA_CLUSTER: clusterKey(cluster),
          AURORA_DAEMON_ID: podName,
          AURORA_ZONE: zone,
          AURORA_DATA_DIR: DATA_DIR,
          AURORA_LISTEN: `$(POD_IP):${PORT.storage}`,
          AURORA_FRAMES_LISTEN: `$(POD_IP):${PORT.storageFrames}`,
          AURORA_METRICS_LISTEN: `$(POD_IP):${PORT.storageStatus}`,
          AURORA_PEERS: storagePeers(cluster),
          ...identity.env,
          ...encryption.env,
          ...standInEnv(cluster),
          ...memoryEnv(cluster),
        }),
        ports: [
          { name: 'storage', containerPort: PORT.storage },
          { name: 'frames', containerPort: PORT.storageFrames },
          { name: 'metrics', containerPort: PORT.storageStatus },
        ],
        volumeMounts: [{ name: 'data', mountPath: DATA_DIR }, identity.mount, compileCache.mount, ...encryption.mounts],
        ...(cluster.spec.storage.resources === undefined ? {} : { resources: cluster.spec.storage.resources }),
        securityContext: containerSecurity,
        ...probes('metrics', { readinessSeconds: 2 }),
      },
    ],
    volumes: [{ name: 'data', persistentVolumeClaim: { claimName: podName } }, identity.volume, compileCache.volume, ...encryption.volumes],
  });
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: objectMetadata(cluster, {
      name: podName,
      labels: { ...clusterLabels(name, 'storage'), [LABEL.segment]: String(segmentOrdinal(segment)), [LABEL.zone]: zone },
      annotations: { [ANNOTATION.specHash]: fingerprint(build(false)), ...imagePullMark(cluster), ...restartMark(cluster) },
    }),
    spec: build(true),
  };
}
