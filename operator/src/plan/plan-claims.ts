import { ANNOTATION, storageName } from '../api/names.ts';
import { isQuorum, segmentIds } from '../api/segment-id.ts';
import { isTerminating } from '../kube/objects.ts';
import { RESOURCE } from '../kube/resources.ts';
import { sizeBytes } from '../api/quantity.ts';
import { hasMetadata } from '../specs/metadata.ts';
import { volumeClaim } from '../specs/volume-claim.ts';
import type { Action, Obstacle, Plan } from './actions.ts';
import { claimGrowth } from './growth.ts';
import { copiesHeld, holdsCopy, holdsData, isInitialized, zoneOfSegment, type Observed } from '../observed/observed.ts';

/**
 * May claims be made anew? An empty claim in place of a lost one is filled from its peers, as long as a read quorum
 * of copies is left. With fewer, six empty segments could pass for a new volume, and the database would be made anew
 * over the remains of the old one: that takes a person's word.
 */
export function mayMakeClaims(observed: Observed): boolean {
  const accepted = observed.cluster.metadata.annotations?.[ANNOTATION.acceptDataLoss] === 'true';
  return (
    accepted ||
    !isInitialized(observed) ||
    isQuorum(observed.cluster.spec.storage.copies, 'read', (segment) => holdsCopy(observed, segment))
  );
}

export function planClaims(observed: Observed, volumeId: string): Plan {
  const { cluster } = observed;
  const actions: Action[] = [];
  const obstacles: Obstacle[] = [];
  const missing = segmentIds.filter((segment) => !observed.claims.has(segment));
  const allowed = mayMakeClaims(observed);
  if (missing.length > 0 && !allowed) {
    const names = missing.map((segment) => storageName(cluster.metadata.name, segment)).join(', ');
    obstacles.push({
      reason: 'DataLossRisk',
      message: `${missing.length} of ${segmentIds.length} claims are gone (${names}) and ${copiesHeld(observed)} copies are left, too few to rebuild from; restore the claims, or accept the loss with: kubectl annotate ac ${cluster.metadata.name} ${ANNOTATION.acceptDataLoss}=true`,
      blocking: true,
    });
  }
  for (const segment of segmentIds) {
    const live = observed.claims.get(segment);
    if (live === undefined && !allowed) continue;
    if (live !== undefined && isTerminating(live)) continue;
    if (live?.status?.phase === 'Lost') {
      if (allowed) {
        actions.push({
          kind: 'delete-claim',
          claim: live,
          why: 'its persistent volume is gone',
          notice: {
            type: 'Warning',
            reason: 'ClaimLost',
            message: `The persistent volume of ${live.metadata.name} is gone; the copy is made anew from its peers`,
          },
        });
      }
      continue;
    }
    const report = observed.daemons.get(storageName(cluster.metadata.name, segment));
    const desired = volumeClaim(cluster, {
      segment,
      zone: zoneOfSegment(observed, segment),
      volumeId,
      holdsData: (live !== undefined && holdsData(live)) || report?.state === 'READY',
      existing: live,
      mayGrow: live !== undefined && claimGrowth(observed, live).kind === 'wanted',
    });
    const { ownerReferences: _owners, ...metadata } = desired.metadata;
    const sizeKept =
      live !== undefined && sizeBytes(live.spec.resources.requests.storage) === sizeBytes(desired.spec.resources.requests.storage);
    const ownersKept =
      live !== undefined &&
      (desired.metadata.ownerReferences?.length ?? 0) ===
        (live.metadata.ownerReferences?.filter(({ controller }) => controller === true).length ?? 0);
    if (live !== undefined && sizeKept && ownersKept && hasMetadata(live.metadata, metadata)) continue;
    actions.push({
      kind: 'apply',
      resource: RESOURCE.volumeClaims,
      object: desired,
      live,
      ...(live === undefined && isInitialized(observed)
        ? {
            notice: {
              type: 'Warning' as const,
              reason: 'ClaimRecreated',
              message: `Claim ${desired.metadata.name} was gone and is made anew; its copy is filled from its peers`,
            },
          }
        : {}),
    });
  }
  return { actions, obstacles, outdated: [] };
}
