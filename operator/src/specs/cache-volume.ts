import { clusterLabels } from '../api/names.ts';
import { CACHE_SIZE_MIN, EPHEMERAL_STORAGE, sizeBytes } from '../api/quantity.ts';
import type { AuroraCluster, AuroraClusterSpec, Resources } from '../api/types.ts';
import type { Pod, PodVolume } from '../kube/objects.ts';
import { objectMetadata } from './metadata.ts';

/** Of a compute pod's volumes: its files. */
const VOLUME = 'cache';

/**
 * Where a compute pod's files are: on its node's disk, or on a volume that Kubernetes makes for the pod and deletes with it. What its
 * claim is labelled with is no reason to replace a pod: `labelled` is false for the pod's hash.
 */
export function cacheVolume(cluster: AuroraCluster, labelled: boolean): PodVolume {
  const asked = cluster.spec.compute.cacheVolume;
  if (asked === undefined) return { name: VOLUME, emptyDir: {} };
  const { labels, annotations } = objectMetadata(cluster, { name: VOLUME, labels: clusterLabels(cluster.metadata.name, 'compute') });
  return {
    name: VOLUME,
    ephemeral: {
      volumeClaimTemplate: {
        ...(labelled ? { metadata: { labels: labels ?? {}, ...(annotations === undefined ? {} : { annotations }) } } : {}),
        spec: {
          accessModes: ['ReadWriteOnce'],
          ...(asked.storageClassName === undefined ? {} : { storageClassName: asked.storageClassName }),
          resources: { requests: { storage: asked.size } },
        },
      },
    },
  };
}

export const cacheMount = (mountPath: string) => ({ name: VOLUME, mountPath });

/** How a pod's claim is called and what it is made from; undefined of a pod whose files are on its node's disk. */
export function cacheClaimOf(
  pod: Pod,
): (NonNullable<PodVolume['ephemeral']>['volumeClaimTemplate'] & { readonly name: string }) | undefined {
  const template = pod.spec.volumes.find(({ name }) => name === VOLUME)?.ephemeral?.volumeClaimTemplate;
  return template === undefined ? undefined : { name: `${pod.metadata.name}-${VOLUME}`, ...template };
}

/** What pages may take of it; the agent takes half of what is free where nothing is said. */
export function cacheEnvironment({ cacheSize, cacheVolume }: AuroraClusterSpec['compute'], resources?: Resources): Record<string, string> {
  const whole = cacheVolume?.size ?? String(resources?.limits?.[EPHEMERAL_STORAGE] ?? '');
  const bytes = cacheSize === undefined ? (sizeBytes(whole) ?? 0) / 2 : (sizeBytes(cacheSize) ?? 0);
  if (bytes === 0) return {};
  // A pod that is given less is given the least that works.
  return { AURORA_CACHE_MIB: String(Math.floor(Math.max(bytes, sizeBytes(CACHE_SIZE_MIN) ?? 0) / 2 ** 20)) };
}
