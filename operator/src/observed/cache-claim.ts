import type { SpecProblem } from '../api/validate.ts';
import { isTerminating, podCondition, timeMs, type Pod } from '../kube/objects.ts';
import { cacheClaimOf } from '../specs/cache-volume.ts';
import type { Observed } from './observed.ts';

/** How it is with the claim that a compute pod's files are on. */
export type CacheClaim =
  /** The pod needs none, or has it. */
  | { readonly kind: 'there' }
  /** It was there, and will not be again: the volume that it was bound to is no more. */
  | { readonly kind: 'lost'; readonly message: string }
  /** It may come by itself, perhaps in another zone alone. */
  | { readonly kind: 'awaited'; readonly message: string }
  /** Somebody has to do something, and no other zone would help. */
  | { readonly kind: 'stuck'; readonly message: string };

const FIELD = 'spec.compute.cacheVolume.storageClassName';

/** The disk of a compute pod, as far as Kubernetes has it. */
export function cacheClaim(observed: Observed, pod: Pod): CacheClaim {
  const wanted = cacheClaimOf(pod);
  if (wanted === undefined) return { kind: 'there' };
  const { name } = wanted;
  const look = `see: kubectl describe pvc ${name}`;
  const waits = `${pod.metadata.name} waits for its disk`;
  const claim = observed.cacheClaims.get(name);
  if (claim === undefined)
    return { kind: 'awaited', message: `${waits}: claim ${name} is not made yet; see: kubectl describe pod ${pod.metadata.name}` };
  const owners = claim.metadata.ownerReferences ?? [];
  if (!owners.some(({ uid }) => uid === pod.metadata.uid)) {
    return isTerminating(claim) || owners.some(({ kind }) => kind === 'Pod')
      ? { kind: 'awaited', message: `${waits}: claim ${name} of the pod before it is still being removed; ${look}` }
      : { kind: 'stuck', message: `${waits}: claim ${name} was not made for it; delete that claim, or give it another name` };
  }
  const phase = claim.status?.phase ?? 'Pending';
  if (phase === 'Bound') return { kind: 'there' };
  if (phase === 'Lost') {
    const sinceMs = timeMs(podCondition(pod, 'PodScheduled')?.lastTransitionTime) ?? timeMs(pod.metadata.creationTimestamp) ?? observed.now;
    const volume = claim.spec.volumeName === undefined ? 'the PersistentVolume' : `PersistentVolume ${claim.spec.volumeName}`;
    const message = `${waits} since ${new Date(sinceMs).toISOString()}: claim ${name} is Lost, for ${volume} that it was bound to is gone; nothing durable was on it, and the pod is made anew with another`;
    return { kind: 'lost', message };
  }
  const className = claim.spec.storageClassName;
  if (className === undefined)
    return { kind: 'stuck', message: `${waits}: claim ${name} names no StorageClass, and there is no default one; name one in ${FIELD}` };
  if (!isClassThere(observed, className)) return { kind: 'stuck', message: `${waits}, claim ${name}: ${absent(className)}` };
  return { kind: 'awaited', message: `${waits}: claim ${name} of StorageClass ${className} is ${phase}; ${look}` };
}

function isClassThere({ storageClasses }: Observed, className: string): boolean {
  return storageClasses.some(({ metadata }) => metadata.name === className);
}

const absent = (className: string): string => `there is no StorageClass ${className}; make it, or name another in ${FIELD}`;

/** The manifest names a class that is not there. Pods that have their disks keep them (plan/update-order.ts). */
export function cacheVolumeProblems(observed: Observed): readonly SpecProblem[] {
  const className = observed.cluster.spec.compute.cacheVolume?.storageClassName;
  if (className === undefined || isClassThere(observed, className)) return [];
  const message = `'${className}': there is no such StorageClass, so pods that are made wait for their disks, and those that run are not replaced; make it, or name another`;
  return [{ field: FIELD, message, reason: 'FieldIgnored', fatal: false }];
}
