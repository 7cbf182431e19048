import { ZONE_TOPOLOGY } from '../api/names.ts';
import { groupPeers, segmentIds, type SegmentId } from '../api/segment-id.ts';
import { isNodeReady, isTerminating, timeMs, type Node, type Pod, type VolumeClaim } from '../kube/objects.ts';
import { isOwnedBy, isLeftover } from '../specs/metadata.ts';
import { storagePod } from '../specs/storage-pod.ts';
import type { Action, Notice, Obstacle, Plan } from './actions.ts';
import { isInitialized, isSegmentSettled, segmentHealth, zoneOfSegment, type Observed } from '../observed/observed.ts';
import { inheritedMarks, isMarked } from './inherited-marks.ts';
import { outdatedBecause } from './outdated.ts';
import { mayMakeClaims } from './plan-claims.ts';
import { isIdle, podTrouble } from './pod-health.ts';

const FRESH_NODE_MS = 15_000;

/**
 * Taking this segment away on purpose is safe only while all the others are up and caught up: one more may fail
 * meanwhile.
 */
function othersAreUp(observed: Observed, segment: SegmentId): boolean {
  return groupPeers(segment).every((peer) => isSegmentSettled(observed, peer));
}

/**
 * The six storage pods. Missing ones are made, those that ended are made anew, outdated ones are replaced one at a
 * time. We never take a ready pod away unless the five others are up; nor one that became unready a moment ago, which serves again
 * at once as a rule: on a busy machine several do, and with all of them taken there would be no quorum until they have started.
 */
export function planStoragePods(observed: Observed, image: string): Plan {
  const { cluster } = observed;
  const actions: Action[] = [];
  const obstacles: Obstacle[] = [];
  const outdated: string[] = [];
  let replacing = false;
  for (const segment of segmentIds) {
    const zone = zoneOfSegment(observed, segment);
    const desired = storagePod(cluster, segment, zone, image);
    const pod = observed.storagePods.get(segment);
    const claim = observed.claims.get(segment);
    if (pod === undefined) {
      const claimComes = claim !== undefined ? !isTerminating(claim) : mayMakeClaims(observed);
      if (claimComes) actions.push({ kind: 'create-pod', pod: desired, ...recreated(observed, desired) });
      continue;
    }
    const outdatedWhy = outdatedBecause(pod, desired);
    const isOutdated = outdatedWhy !== undefined;
    if (isOutdated) outdated.push(pod.metadata.name);
    if (isTerminating(pod)) continue;
    if (!isOwnedBy(pod, cluster)) {
      if (isLeftover(pod, cluster)) actions.push({ kind: 'delete-pod', pod, why: 'left over from a deleted cluster of this name' });
      else obstacles.push(foreign('Pod', pod.metadata.name));
      continue;
    }
    const marks = inheritedMarks(pod, desired);
    if (!isMarked(pod, marks)) actions.push({ kind: 'mark-pod', pod, ...marks });
    const trouble = podTrouble(pod);
    // With a fault, and so not ready.
    const answers = segmentHealth(observed, segment).kind === 'faulty';
    const claimGoes = claimLeaves(claim);
    if (trouble.kind === 'over' || trouble.kind === 'backed-off') {
      actions.push({
        kind: 'delete-pod',
        pod,
        why: trouble.why,
        ...(trouble.kind === 'over'
          ? {
              notice: {
                type: 'Warning',
                reason: 'StoragePodLost',
                message: `${pod.metadata.name} is over (${trouble.why}); it is made anew with its data`,
              },
            }
          : {}),
      });
    } else if (isOutdated && isIdle(pod, observed.now) && (!answers || (!replacing && mayInterrupt(observed, segment)))) {
      replacing ||= answers;
      actions.push({ kind: 'delete-pod', pod, why: `not ready, and ${outdatedWhy}` });
    } else if ((isOutdated || claimGoes !== undefined) && !replacing && othersAreUp(observed, segment)) {
      replacing = true;
      const why = claimGoes ?? outdatedWhy ?? '';
      actions.push({
        kind: 'delete-pod',
        pod,
        why,
        notice: { type: 'Normal', reason: 'ReplacingStoragePod', message: `Replacing ${pod.metadata.name}: ${why}` },
      });
    } else if (trouble.kind === 'unschedulable' && !isNodeFresh(observed, zone)) {
      obstacles.push({ reason: 'Unschedulable', message: unschedulable(observed, pod.metadata.name, zone, trouble.why), blocking: false });
    } else if (trouble.kind === 'image') {
      obstacles.push({
        reason: 'ImageUnavailable',
        message: `${pod.metadata.name} cannot start: ${trouble.why}; check spec.images.storageDaemon`,
        blocking: false,
      });
    } else if (trouble.kind === 'crash-loop') {
      obstacles.push({
        reason: 'SegmentsMissing',
        message: `${pod.metadata.name} keeps failing: ${trouble.why}; see: kubectl logs ${pod.metadata.name} --previous`,
        blocking: false,
      });
    }
  }
  return { actions, obstacles, outdated };
}

/** Why a pod's claim is to give way to another; undefined while it stays. */
function claimLeaves(claim: VolumeClaim | undefined): string | undefined {
  if (claim === undefined) return undefined;
  if (isTerminating(claim)) return 'its claim is being deleted';
  return claim.status?.phase === 'Lost' ? 'its claim is Lost, for its volume is gone' : undefined;
}

/**
 * One that answers with a fault (a full disk, say) still serves: of those one at a time goes, and only while all others
 * answer.
 */
function mayInterrupt(observed: Observed, segment: SegmentId): boolean {
  return groupPeers(segment).every((peer) => segmentHealth(observed, peer).kind !== 'down');
}

/** After the beginning, a pod that has to be made is news. */
function recreated(observed: Observed, pod: Pod): { notice?: Notice } {
  const phase = observed.cluster.status?.phase;
  if (!isInitialized(observed) || phase === undefined || phase === 'Updating') return {};
  return { notice: { type: 'Normal', reason: 'StoragePodCreated', message: `Made ${pod.metadata.name} anew` } };
}

export function foreign(kind: string, name: string): Obstacle {
  return {
    reason: 'NameConflict',
    message: `${kind} ${name} exists and is not this cluster's; rename the cluster or remove the ${kind}`,
    blocking: true,
  };
}

/** A node that came back a moment ago gets its pods in a moment: not worth a word yet. */
function isNodeFresh(observed: Observed, zone: string): boolean {
  const ready = observed.nodes.filter((node) => node.metadata.labels?.[ZONE_TOPOLOGY] === zone && isNodeReady(node));
  const since = (node: Node): number => timeMs(node.status?.conditions?.find(({ type }) => type === 'Ready')?.lastTransitionTime) ?? 0;
  return ready.length > 0 && ready.every((node) => observed.now - since(node) < FRESH_NODE_MS);
}

function unschedulable(observed: Observed, pod: string, zone: string, why: string): string {
  const inZone = observed.nodes.filter(({ metadata }) => metadata.labels?.[ZONE_TOPOLOGY] === zone);
  const ready = inZone.filter(isNodeReady);
  const isCordoned = ready.length > 0 && ready.every(({ spec }) => spec?.unschedulable === true);
  const cordoned = ready.map(({ metadata }) => metadata.name).join(', ');
  const advice = isCordoned
    ? `${cordoned} is cordoned, and ${zone} has no other node; it starts when one takes pods again (kubectl uncordon)`
    : observed.nodes.length === 0 || ready.length > 0
      ? why
      : inZone.length > 0
        ? `no node in ${zone} is ready; it starts when one is`
        : `no node carries the label ${ZONE_TOPOLOGY}=${zone}; label one, or name your zones in spec.storage.zones`;
  return `${pod} finds no node: ${advice}`;
}
