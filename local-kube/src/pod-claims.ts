import type { Claim, ClaimTemplate, Pod } from './kinds.ts';

/** A claim that a pod's volume is on. */
export interface PodClaim {
  readonly volume: string;
  readonly claimName: string;
  /** Of a generic ephemeral volume: the claim is made for the pod, from this. */
  readonly template: ClaimTemplate | undefined;
}

/** The claims that a pod needs: those that its volumes name, and those that are made for it (POD-VOLUME). */
export function podClaims(pod: Pod): readonly PodClaim[] {
  return (pod.spec.volumes ?? []).flatMap(({ name, persistentVolumeClaim, ephemeral }): PodClaim[] => {
    if (persistentVolumeClaim !== undefined) return [{ volume: name, claimName: persistentVolumeClaim.claimName, template: undefined }];
    if (ephemeral === undefined) return [];
    return [{ volume: name, claimName: `${pod.metadata.name}-${name}`, template: ephemeral.volumeClaimTemplate }];
  });
}

/** Was the claim made for this very pod? One of the same name may be left of an earlier pod of its name. */
function isMadeFor(claim: Claim, pod: Pod): boolean {
  return claim.metadata.ownerReferences?.some(({ uid, controller }) => controller === true && uid === pod.metadata.uid) === true;
}

/**
 * Does a pod use the claim, so that the claim stays while it does? Not before it has a node, and not a claim that was made for an earlier
 * pod of its name: that one goes, and the pod waits for its own.
 */
export function usesClaim(pod: Pod, claim: Claim): boolean {
  const named = podClaims(pod).find(({ claimName }) => claimName === claim.metadata.name);
  return named !== undefined && pod.spec.nodeName !== undefined && (named.template === undefined || isMadeFor(claim, pod));
}

/** Why a pod's claims keep it from any node, in the words of kube-scheduler; undefined when they do not. Pure. */
export function unboundClaim(pod: Pod, claimNamed: (name: string) => Claim | undefined): string | undefined {
  for (const { claimName, template } of podClaims(pod)) {
    const claim = claimNamed(claimName);
    if (claim === undefined)
      return template === undefined
        ? `persistentvolumeclaim "${claimName}" not found`
        : `waiting for ephemeral volume controller to create the persistentvolumeclaim "${claimName}"`;
    if (claim.metadata.deletionTimestamp !== undefined) return `persistentvolumeclaim "${claimName}" is being deleted`;
    if (template !== undefined && !isMadeFor(claim, pod)) {
      const [inNamespace, ofPod] = [claim, pod].map(({ metadata }) => `${metadata.namespace ?? 'default'}/${metadata.name}`);
      return `PVC ${inNamespace ?? ''} was not created for pod ${ofPod ?? ''} (pod is not owner)`;
    }
    if (claim.status?.phase !== 'Bound') return 'pod has unbound immediate PersistentVolumeClaims';
  }
  return undefined;
}
