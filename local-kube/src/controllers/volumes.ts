import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import type { Logger } from '@kube-aurora/process';
import { CLAIM_PROTECTION } from '../api/claim-strategy.ts';
import type { Registry } from '../api/registry.ts';
import type { Claim, Pod } from '../kinds.ts';
import { podClaims, usesClaim } from '../pod-claims.ts';
import { objectAt, stringAt, type KubeObject } from '../store/object.ts';
import { dropFinalizer } from './garbage-collector.ts';
import { make } from './namespaces.ts';
import type { EventRecorder } from './event-recorder.ts';
import { Quantity } from '../schema/quantity.ts';
import { reconcileOn, type Running } from './reconcile.ts';

const CLASSES = 'storage.k8s.io/storageclasses';
const BINDER = 'persistentvolume-controller';
const PROVISIONER = 'local-kube.kube-aurora.dev/directory';

/**
 * Makes the claims of pods' ephemeral volumes, gives every claim of a class that there is a directory of its own (as a PersistentVolume),
 * and removes it with the claim unless its policy is Retain.
 */
export function runVolumes(registry: Registry, recorder: EventRecorder, logger: Logger, directory: string): Running {
  const { store } = registry;
  return reconcileOn(
    store,
    logger,
    'volumes',
    (change) =>
      ['persistentvolumeclaims', 'persistentvolumes', CLASSES].includes(change.resource) ||
      (change.resource === 'pods' && change.type !== 'MODIFIED'),
    () => {
      make(registry, undefined, {
        apiVersion: 'storage.k8s.io/v1',
        kind: 'StorageClass',
        metadata: { name: 'local', annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' } },
        provisioner: PROVISIONER,
        reclaimPolicy: 'Delete',
        volumeBindingMode: 'Immediate',
        allowVolumeExpansion: true,
      });
      for (const pod of store.list('pods') as Pod[]) makeClaims(registry, logger, pod);
      for (const object of store.list('persistentvolumeclaims')) {
        if (object.metadata.deletionTimestamp === undefined) {
          bind(registry, recorder, object as Claim, object, directory);
          grow(registry, recorder, object as Claim, object);
        } else if (!inUse(registry, object)) dropFinalizer(registry, 'persistentvolumeclaims', object, CLAIM_PROTECTION);
      }
      for (const volume of store.list('persistentvolumes')) reclaim(registry, volume);
    },
  );
}

function inUse(registry: Registry, claim: KubeObject): boolean {
  const pods = registry.store.list('pods', claim.metadata.namespace) as Pod[];
  return pods.some((pod) => usesClaim(pod, claim as Claim));
}

/**
 * The claims of a pod's generic ephemeral volumes: its own, so that they go with it. A claim of that name that is somebody else's, of an
 * earlier pod say that has just gone, is left alone: the pod waits until it is away.
 */
function makeClaims(registry: Registry, logger: Logger, pod: Pod): void {
  const { namespace = 'default', name, uid = '', deletionTimestamp } = pod.metadata;
  const ended = pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
  if (deletionTimestamp !== undefined || ended) return;
  for (const { claimName, template } of podClaims(pod)) {
    if (template === undefined) continue;
    try {
      make(registry, namespace, {
        apiVersion: 'v1',
        kind: 'PersistentVolumeClaim',
        metadata: {
          ...template.metadata,
          name: claimName,
          namespace,
          ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name, uid, controller: true, blockOwnerDeletion: true }],
        },
        spec: template.spec ?? {},
      });
    } catch (error) {
      // What is wrong with one pod's claim holds up no other's.
      logger.warn({ err: error, pod: name, claim: claimName }, 'the claim of an ephemeral volume could not be made');
    }
  }
}

function bind(registry: Registry, recorder: EventRecorder, claim: Claim, object: KubeObject, directory: string): void {
  const resource = registry.catalog.byStorage('persistentvolumeclaims');
  if (resource === undefined || claim.status?.phase === 'Bound') return;
  const { namespace = 'default', name, uid = '' } = claim.metadata;
  const { storageClassName = '' } = claim.spec;
  if (registry.store.get(CLASSES, undefined, storageClassName) === undefined) {
    if (storageClassName === '')
      recorder.record(
        object,
        'Normal',
        'FailedBinding',
        'no persistent volumes available for this claim and no storage class is set',
        BINDER,
      );
    else recorder.record(object, 'Warning', 'ProvisioningFailed', `storageclass.storage.k8s.io "${storageClassName}" not found`, BINDER);
    return;
  }
  const volumeName = claim.spec.volumeName ?? `pvc-${uid}`;
  const home = path.join(directory, namespace, `${name}-${uid.slice(0, 8)}`);
  mkdirSync(home, { recursive: true, mode: 0o711 });
  const capacity = { storage: claim.spec.resources?.requests?.storage ?? '1Gi' };
  const accessModes = claim.spec.accessModes ?? [];
  make(registry, undefined, {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name: volumeName, annotations: { 'pv.kubernetes.io/provisioned-by': PROVISIONER } },
    spec: {
      capacity,
      accessModes,
      persistentVolumeReclaimPolicy: 'Delete',
      storageClassName,
      hostPath: { path: home, type: 'DirectoryOrCreate' },
      claimRef: { apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace, name, uid },
    },
  });
  const volumes = registry.catalog.byStorage('persistentvolumes');
  const context = { manager: 'volumes' };
  if (volumes !== undefined)
    registry.change(volumes, undefined, volumeName, (live) => ({ ...live, status: { phase: 'Bound' } }), {
      ...context,
      subresource: 'status',
    });
  registry.change(resource, namespace, name, (live) => ({ ...live, spec: { ...objectAt(live, 'spec'), volumeName } }), context);
  registry.change(resource, namespace, name, (live) => ({ ...live, status: { phase: 'Bound', accessModes, capacity } }), {
    ...context,
    subresource: 'status',
  });
  recorder.record(object, 'Normal', 'ProvisioningSucceeded', `Successfully provisioned volume ${volumeName}`, PROVISIONER);
}

/** A directory is as large as it is asked to be: the claim's and the volume's capacity follow the request. */
function grow(registry: Registry, recorder: EventRecorder, claim: Claim, object: KubeObject): void {
  const wanted = stringAt(object, 'spec', 'resources', 'requests', 'storage');
  const { namespace, name } = claim.metadata;
  const { volumeName } = claim.spec;
  const claims = registry.catalog.byStorage('persistentvolumeclaims');
  const volumes = registry.catalog.byStorage('persistentvolumes');
  if (claim.status?.phase !== 'Bound' || wanted === undefined || volumeName === undefined || claims === undefined || volumes === undefined)
    return;
  const asked = Quantity.parse(wanted);
  const has = Quantity.parse(stringAt(object, 'status', 'capacity', 'storage') ?? '0');
  if (asked === undefined || has === undefined || asked.compareTo(has) <= 0) return;
  const capacity = { storage: wanted };
  registry.change(volumes, undefined, volumeName, (live) => ({ ...live, spec: { ...objectAt(live, 'spec'), capacity } }), {
    manager: 'volumes',
  });
  registry.change(claims, namespace, name, (live) => ({ ...live, status: { ...objectAt(live, 'status'), capacity } }), {
    manager: 'volumes',
    subresource: 'status',
  });
  recorder.record(object, 'Normal', 'FileSystemResizeSuccessful', `Resized volume ${volumeName} to ${wanted}`, PROVISIONER);
}

function reclaim(registry: Registry, volume: KubeObject): void {
  const reference = objectAt(volume, 'spec', 'claimRef');
  const uid = stringAt(reference, 'uid');
  if (uid === undefined) return;
  const claim = registry.store.get('persistentvolumeclaims', stringAt(reference, 'namespace'), stringAt(reference, 'name') ?? '');
  const resource = registry.catalog.byStorage('persistentvolumes');
  if (resource === undefined || claim?.metadata.uid === uid) return;
  const { name, annotations } = volume.metadata;
  if (
    stringAt(volume, 'spec', 'persistentVolumeReclaimPolicy') !== 'Delete' ||
    annotations?.['pv.kubernetes.io/provisioned-by'] !== PROVISIONER
  ) {
    registry.change(resource, undefined, name, (live) => ({ ...live, status: { phase: 'Released' } }), {
      manager: 'volumes',
      subresource: 'status',
    });
    return;
  }
  const home = stringAt(volume, 'spec', 'hostPath', 'path');
  if (home !== undefined) rmSync(home, { recursive: true, force: true });
  registry.remove(resource, undefined, name);
}
