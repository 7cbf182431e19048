import { describeProblems, validateCluster, type SpecProblem } from '../api/validate.ts';
import { ANNOTATION, LABEL, segmentZone, storageName, tlsSecretName } from '../api/names.ts';
import type { AutoscalingStatus, SwitchoverStatus } from '../api/status-types.ts';
import { byGroup, segmentIds, type SegmentId, quorumsOf, roleOfSegment } from '../api/segment-id.ts';
import { joinPlans, EMPTY_PLAN, type Obstacle, type Plan } from './actions.ts';
import { isInitialized, segmentHealth, volumeIdentity, type Observed } from '../observed/observed.ts';
import { cacheVolumeProblems } from '../observed/cache-claim.ts';
import { sizeProblems } from './growth.ts';
import { atRest, isPaused } from './pause.ts';
import { planAccess } from './plan-access.ts';
import { planAutoscaling } from './plan-autoscaling.ts';
import { givenAuthority, planCertificates } from './plan-certificates.ts';
import { planClaims } from './plan-claims.ts';
import { isStorageSettled, planComputePods, type ComputePlan } from './plan-compute-pods.ts';
import { planDisruptionBudget } from './plan-disruption-budget.ts';
import { planDeletion, planHold, planProtection } from './plan-deletion.ts';
import { initdbProblems, loginRuleProblems, planSettings, settingsProblems } from './plan-settings.ts';
import { planStoragePods } from './plan-storage-pods.ts';
import { planTokenReview } from './plan-token-review.ts';
import { planSwitchover } from './switchover.ts';
import { isSilent } from '../observed/reports.ts';

export interface DefaultImages {
  readonly storageDaemon: string;
  readonly computeNode: string;
}

export interface ClusterPlan extends Plan {
  readonly problems: readonly SpecProblem[];
  readonly volumeId?: string;
  /** What the status is to say of it; undefined: as before. */
  readonly switchover?: SwitchoverStatus;
  /** The same of spec.autoscaling; undefined: nothing is to be said of it. */
  readonly autoscaling?: AutoscalingStatus;
}

/**
 * What to do about a cluster, from what was seen of it. Pure: what is seen alone decides the plan, and doing a plan
 * twice does no harm. `spreadMs`: everybody has seen a change of a Secret after so long.
 */
export function planCluster(observed: Observed, images: DefaultImages, spreadMs: number): ClusterPlan {
  const plan = planWork(observed, images, spreadMs);
  return isPaused(observed.cluster) ? atRest(plan) : plan;
}

function planWork(observed: Observed, images: DefaultImages, spreadMs: number): ClusterPlan {
  const { cluster } = observed;
  const problems = [
    ...validateCluster(cluster),
    ...zoneProblems(observed),
    ...sizeProblems(observed),
    ...cacheVolumeProblems(observed),
    ...settingsProblems(observed),
    ...loginRuleProblems(observed),
    ...initdbProblems(observed),
  ];
  if (cluster.metadata.deletionTimestamp !== undefined) return { ...planDeletion(observed), problems };
  if (problems.some(({ fatal }) => fatal)) {
    const obstacle: Obstacle = { reason: 'SpecInvalid', message: describeProblems(problems.filter(({ fatal }) => fatal)), blocking: true };
    return { ...EMPTY_PLAN, obstacles: [obstacle], problems };
  }
  const identity = volumeIdentity(observed);
  if (identity.kind === 'conflict') {
    return { ...EMPTY_PLAN, obstacles: [{ reason: 'NameConflict', message: identity.message, blocking: true }], problems };
  }
  const { volumeId } = identity;
  const access = planAccess(observed);
  const certificates = planCertificates(observed, spreadMs);
  // Pods would wait for what they mount; the status says for what.
  const unnamed = givenAuthority(observed).problem !== undefined && !observed.secrets.has(tlsSecretName(cluster.metadata.name, 'storage'));
  const claims = planClaims(observed, volumeId);
  const empty = emptyDisks(observed);
  const blocked = empty !== undefined || claims.obstacles.some(({ blocking }) => blocking);
  const storage = unnamed ? EMPTY_PLAN : planStoragePods(observed, cluster.spec.images.storageDaemon ?? images.storageDaemon);
  // Without enough copies a writer could take six empty segments for a new volume: none is started.
  // Once it ran, the database has its passwords: a Secret that goes missing keeps no writer down.
  const everRan = cluster.status?.firstReadyAt !== undefined || isInitialized(observed);
  const secretsMissing = !everRan && access.obstacles.some(({ reason }) => reason === 'SecretMissing');
  const compute: ComputePlan =
    blocked || secretsMissing || unnamed
      ? EMPTY_PLAN
      : planComputePods(observed, {
          volumeId,
          image: cluster.spec.images.computeNode ?? images.computeNode,
          storageSettled: isStorageSettled(observed, storage),
        });
  const switchover = planSwitchover(observed, compute.handOverTo);
  const scaling = planAutoscaling(observed);
  return {
    ...joinPlans([
      planHold(observed),
      planProtection(observed),
      certificates,
      access,
      planSettings(observed),
      planTokenReview(observed),
      claims,
      planDisruptionBudget(observed),
      storage,
      compute,
      switchover,
      scaling,
      { ...EMPTY_PLAN, obstacles: empty === undefined ? [] : [empty] },
    ]),
    problems,
    volumeId,
    ...(switchover.switchover === undefined ? {} : { switchover: switchover.switchover }),
    ...(scaling.autoscaling === undefined ? {} : { autoscaling: scaling.autoscaling }),
  };
}

/** Does the plan remove the writer's pod? */
export function takesWriterAway({ actions }: Plan): boolean {
  return actions.some((action) => action.kind === 'delete-pod' && action.pod.metadata.labels?.[LABEL.role] === 'writer');
}

/**
 * The claims are there and say that they held data, and most daemons find nothing on them: the disks were lost or
 * swapped. A writer would take it for a new volume.
 */
function emptyDisks(observed: Observed): Obstacle | undefined {
  if (!isInitialized(observed) || observed.cluster.metadata.annotations?.[ANNOTATION.acceptDataLoss] === 'true') return undefined;
  const { name } = observed.cluster.metadata;
  const isEmpty = (segment: SegmentId): boolean => {
    const report = observed.daemons.get(storageName(name, segment));
    return !isSilent(report) && report?.state === 'EMPTY';
  };
  // So many that a writer could take the volume for new.
  const { copies } = observed.cluster.spec.storage;
  const empty = byGroup(isEmpty).find((segments) => quorumsOf(copies).isPromise(segments.map((one) => roleOfSegment(copies, one))));
  if (empty === undefined) return undefined;
  const list = (segments: readonly SegmentId[]): string => segments.map((segment) => storageName(name, segment)).join(', ');
  // What is left of the data comes first: the loss is a person's last resort.
  const full = segmentIds.filter((segment) => {
    const health = segmentHealth(observed, segment);
    return health.kind === 'faulty' && health.fault.kind === 'DISK_FULL';
  });
  const room = full.length === 0 ? '' : `give the full disks of ${list(full)} room (raise spec.storage.size): their copies are sound; `;
  const message = `${list(empty)} hold nothing although the volume held a database; ${room}put the lost disks back, or, where nothing can bring them back, accept the loss with: kubectl annotate ac ${name} ${ANNOTATION.acceptDataLoss}=true`;
  return { reason: 'DataLossRisk', message, blocking: true };
}

/** Zones in the manifest that differ from where the copies are. */
function zoneProblems(observed: Observed): readonly SpecProblem[] {
  const { zones } = observed.cluster.spec.storage;
  if (zones.length === 0) return [];
  const moved = segmentIds.filter((segment) => {
    const zone = observed.claims.get(segment)?.metadata.labels?.[LABEL.zone];
    return zone !== undefined && zone !== segmentZone(zones, segment);
  });
  if (moved.length === 0) return [];
  return [
    {
      field: 'spec.storage.zones',
      message: 'differs from where the copies stand and is ignored: copies stay where they are; put the old zones back',
      reason: 'FieldIgnored',
      fatal: false,
    },
  ];
}
