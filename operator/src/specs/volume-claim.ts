import { ANNOTATION, clusterLabels, LABEL, storageName } from '../api/names.ts';
import { segmentOrdinal, type SegmentId } from '../api/segment-id.ts';
import { largerSize } from '../api/quantity.ts';
import type { AuroraCluster } from '../api/types.ts';
import type { VolumeClaim } from '../kube/objects.ts';
import { objectMetadata } from './metadata.ts';

export interface VolumeClaimOptions {
  readonly segment: SegmentId;
  readonly zone: string;
  readonly volumeId: string;
  readonly holdsData: boolean;
  /** The claim as it stands: what cannot change is taken from it. */
  readonly existing?: VolumeClaim | undefined;
  /** Ask for the size that the manifest says, where the claim that is there asks for less. */
  readonly mayGrow?: boolean;
}

/**
 * The claim of a segment. Under Retain it has no owner, so it outlives the cluster and is found again by its
 * name; under Delete it goes with the cluster.
 */
export function volumeClaim(cluster: AuroraCluster, input: VolumeClaimOptions): VolumeClaim {
  const { name } = cluster.metadata;
  const { size, storageClassName, reclaimPolicy } = cluster.spec.storage;
  const className = input.existing === undefined ? storageClassName : input.existing.spec.storageClassName;
  const asked = input.existing?.spec.resources.requests.storage;
  const request = asked === undefined ? size : input.mayGrow === true ? largerSize(asked, size) : asked;
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: objectMetadata(cluster, {
      name: storageName(name, input.segment),
      labels: { ...clusterLabels(name, 'storage'), [LABEL.segment]: String(segmentOrdinal(input.segment)), [LABEL.zone]: input.zone },
      annotations: { [ANNOTATION.volumeId]: input.volumeId, ...(input.holdsData ? { [ANNOTATION.holdsData]: 'true' } : {}) },
      owned: reclaimPolicy === 'Delete',
    }),
    spec: {
      accessModes: ['ReadWriteOnce'],
      ...(className === undefined ? {} : { storageClassName: className }),
      resources: { requests: { storage: request } },
    },
  };
}
