import { ANNOTATION, endpointLabel, LABEL, ZONE_TOPOLOGY } from '../api/names.ts';
import type { ConditionReason } from '../api/conditions.ts';
import { isQuorum, segmentIds } from '../api/segment-id.ts';
import type { InstanceRole } from '../api/status-types.ts';
import { isPodReady, isTerminating, podCondition, timeMs, type Pod } from '../kube/objects.ts';
import { computePod } from '../specs/compute-pod.ts';
import { isLeftover, isOwnedBy } from '../specs/metadata.ts';
import type { Action, Notice, Obstacle, Plan } from './actions.ts';
import { EMPTY_PLAN, joinPlans } from './actions.ts';
import { isInitialized, isSegmentUp, zoneOfSegment, type Observed } from '../observed/observed.ts';
import { inheritedMarks, isMarked, type PodMarks } from './inherited-marks.ts';
import { outdatedBecause } from './outdated.ts';
import { isDeposed, leavingSinceMs, planInstances, surplusPods, type Instance } from './plan-instances.ts';
import { mountedVersions } from './plan-settings.ts';
import { planLeavingPod } from './plan-leaving-pod.ts';
import { foreign } from './plan-storage-pods.ts';
import { endpointLabels, isReached, lagLeftMs, readEndpointMembers } from './read-endpoint.ts';
import { nextUpdate, type UpdateCandidate } from './update-order.ts';
import { deadNode, ON_ITS_WAY_MS, podTrouble, readinessSinceMs } from './pod-health.ts';
import { overdue, remove } from './pod-removal.ts';
import { cacheClaim } from '../observed/cache-claim.ts';
import { cacheClaimOf } from '../specs/cache-volume.ts';
import { isSilent } from '../observed/reports.ts';
import { isUsableNode } from './usable-node.ts';

/**
 * An agent that was fenced this soon after its start has a rival that starts again as well: wait, or they would take
 * turns.
 */
const FENCED_PAUSE_MS = 10_000;
/** Silence of the agent after which a pod on a dead node is given up: an epoch fences it, should it live after all. */
const NODE_SILENCE_MS = 1_000;
const UNSCHEDULABLE_MS = 15_000;
/** Disks of clouds take seconds, and the scheduler calls a pod unschedulable meanwhile where they are made before it has a node. */
const DISK_MS = 60_000;

/**
 * Zone for a new compute pod: one of the volume's zones with a usable node; rather where the fewest other instances
 * are, and of those where segments are up, since reads are shortest there; not where this instance's last one found no
 * place.
 */
function chooseComputeZone(observed: Observed, taken: readonly string[], avoidZone: string | undefined): string {
  const zones = observed.cluster.spec.storage.zones;
  const usable = zones.filter((zone) =>
    observed.nodes.some((node) => node.metadata.labels?.[ZONE_TOPOLOGY] === zone && isUsableNode(node, observed.cluster.spec.compute)),
  );
  const candidates = usable.length === 0 ? zones : usable;
  const others = candidates.filter((zone) => zone !== avoidZone);
  const up = (zone: string): number =>
    segmentIds.filter((segment) => zoneOfSegment(observed, segment) === zone && isSegmentUp(observed, segment)).length;
  const there = (zone: string): number => taken.filter((other) => other === zone).length;
  const [best] = [...(others.length === 0 ? candidates : others)].sort((a, b) => there(a) - there(b) || up(b) - up(a));
  if (best === undefined) throw new RangeError('spec.storage.zones is empty');
  return best;
}

const LOST: Readonly<Record<InstanceRole, ConditionReason>> = { writer: 'WriterLost', reader: 'ReaderLost' };

/** What an instance is called in events: their reasons begin with it. */
const TITLE: Readonly<Record<InstanceRole, string>> = { writer: 'Writer', reader: 'Reader' };

/** What pods of the cluster's instances are made from. */
export interface ComputePodsOptions {
  readonly volumeId: string;
  readonly image: string;
  /** No storage pod is on the move: an instance may be taken away on purpose. */
  readonly storageSettled: boolean;
}

/** An instance with the pod that it should have, and why the one that it has is to be replaced. */
interface Draft extends UpdateCandidate {
  readonly desired: Pod;
}

export interface ComputePlan extends Plan {
  /** This reader is to be the writer, so that the present one's pod can be replaced. */
  readonly handOverTo?: string;
}

/** The pods of all instances, and those of instances that are to be no more. */
export function planComputePods(observed: Observed, input: ComputePodsOptions): ComputePlan {
  const drafts = draftPods(observed, input);
  const { replaceable, handOverTo } = nextUpdate(observed, drafts, input.storageSettled);
  const plan = joinPlans([
    ...drafts.map((draft) => planComputePod(observed, draft, replaceable.has(draft.instance.name))),
    ...surplusPods(observed).map((pod) => planLeavingPod(observed, pod)),
  ]);
  return handOverTo === undefined ? plan : { ...plan, handOverTo };
}

/** Zones are given one after the other, so that pods that are made at once spread as well. */
function draftPods(observed: Observed, { volumeId, image }: ComputePodsOptions): readonly Draft[] {
  const instances = planInstances(observed);
  const zones = new Map(instances.flatMap(({ name, pod }) => (pod === undefined ? [] : [[name, pod.metadata.labels?.[LABEL.zone] ?? '']])));
  const reads = readEndpointMembers(observed);
  return instances.map((instance) => {
    const { name, ordinal, role, pod } = instance;
    const zone = zones.get(name) ?? chooseComputeZone(observed, [...zones.values()], observed.avoidZones.get(name));
    zones.set(name, zone);
    const desired = computePod(observed.cluster, {
      ordinal,
      role: isDeposed(observed, pod) ? 'reader' : role,
      volumeId,
      volumeExists: mayNotBeMadeAnew(observed),
      zone,
      image,
      serves: isReached(observed, instance),
      servesReads: reads.has(name),
      endpoints: endpointLabels(observed, instance),
      mountedVersions: mountedVersions(observed),
      zoneOfSegment: (segment) => zoneOfSegment(observed, segment),
    });
    return { instance, desired, outdatedWhy: pod === undefined ? undefined : (outdatedBecause(pod, desired) ?? lostDisk(observed, pod)) };
  });
}

/** One that has started goes on with a disk that Kubernetes knows no more, as long as it can: it is replaced in its turn, as any outdated one. */
function lostDisk(observed: Observed, pod: Pod): string | undefined {
  return cacheClaim(observed, pod).kind === 'lost' ? `its claim ${cacheClaimOf(pod)?.name ?? ''} is Lost` : undefined;
}

/**
 * One instance's pod. It holds nothing, and an epoch fences a writer that is still alive elsewhere: so it may be
 * removed by force and made anew in another zone as soon as there is reason to.
 */
function planComputePod(observed: Observed, { instance, desired, outdatedWhy }: Draft, mayBeReplaced: boolean): Plan {
  const { cluster } = observed;
  const { role, pod } = instance;
  const volumeExists = mayNotBeMadeAnew(observed);
  if (pod === undefined) {
    // A reader has nothing to read before there is a database, and is to take no processor from the first writer's start.
    if (role === 'reader' && cluster.status?.firstReadyAt === undefined) return EMPTY_PLAN;
    return { ...EMPTY_PLAN, actions: [{ kind: 'create-pod', pod: desired, ...recreated(observed, instance, desired) }] };
  }
  const outdated = outdatedWhy === undefined ? [] : [pod.metadata.name];
  if (isTerminating(pod)) return { ...overdue(observed, pod), outdated };
  if (!isOwnedBy(pod, cluster)) {
    if (!isLeftover(pod, cluster)) return { ...EMPTY_PLAN, obstacles: [foreign('Pod', pod.metadata.name)] };
    return remove({ pod, why: 'left over from a deleted cluster of this name' });
  }
  const gone = goneReason(observed, instance, pod);
  if (gone !== undefined) return gone;
  const ready = podCondition(pod, 'Ready')?.status === 'True';
  if (outdatedWhy !== undefined && mayBeReplaced) {
    const notice: Notice = {
      type: 'Normal',
      reason: `Replacing${TITLE[role]}`,
      message: `Replacing ${pod.metadata.name}: ${outdatedWhy}; clients connect again when it is back`,
    };
    return { ...remove({ pod, why: outdatedWhy, notice }), outdated };
  }
  if (!ready && !volumeExists && pod.metadata.annotations?.[ANNOTATION.volumeExists] === 'true') {
    return remove({ pod, why: 'the loss of its data was accepted: the next one may make a new database' });
  }
  const trouble = podTrouble(pod);
  const actions = marks(pod, desired);
  if (trouble.kind === 'image') {
    return {
      actions,
      outdated,
      obstacles: [
        {
          reason: 'ImageUnavailable',
          message: `${pod.metadata.name} cannot start: ${trouble.why}; check spec.images.computeNode`,
          blocking: false,
        },
      ],
    };
  }
  if (trouble.kind === 'crash-loop') {
    const message = `${pod.metadata.name} keeps failing: ${trouble.why}; see: kubectl logs ${pod.metadata.name} --previous`;
    return { actions, outdated, obstacles: [{ reason: LOST[role], message, blocking: false }] };
  }
  const disk = cacheClaim(observed, pod);
  if (disk.kind !== 'there' && !ready && pod.spec.nodeName === undefined) {
    const ageMs = observed.now - (timeMs(pod.metadata.creationTimestamp) ?? 0);
    if (disk.kind === 'awaited' && ageMs < UNSCHEDULABLE_MS)
      return { actions, outdated, obstacles: [], againInMs: UNSCHEDULABLE_MS - ageMs };
    const obstacles: Obstacle[] = [{ reason: 'CacheVolumePending', message: disk.message, blocking: false }];
    return { actions, outdated, obstacles, ...(ageMs < DISK_MS ? { againInMs: DISK_MS - ageMs } : {}) };
  }
  const againInMs = lagLeftMs(observed, instance);
  return { actions, outdated, obstacles: [], ...(againInMs === undefined ? {} : { againInMs }) };
}

/** The volume held a database, and nobody said that it may be given up. */
function mayNotBeMadeAnew(observed: Observed): boolean {
  return isInitialized(observed) && observed.cluster.metadata.annotations?.[ANNOTATION.acceptDataLoss] !== 'true';
}

/** Labels and annotations that change while a pod lives. */
function marks(pod: Pod, desired: Pod): Action[] {
  const moves = (label: string): boolean =>
    label === LABEL.role || label === LABEL.serves || label === LABEL.servesReads || label.startsWith(endpointLabel(''));
  const inherited = inheritedMarks(pod, desired);
  const moving = Object.fromEntries(Object.entries(desired.metadata.labels ?? {}).filter(([label]) => moves(label)));
  const wanted: PodMarks = {
    ...inherited,
    labels: { ...inherited.labels, ...moving },
    annotations: {
      ...inherited.annotations,
      [ANNOTATION.volumeExists]: desired.metadata.annotations?.[ANNOTATION.volumeExists] ?? 'false',
      [ANNOTATION.mountedVersions]: desired.metadata.annotations?.[ANNOTATION.mountedVersions] ?? '',
      // It was on its way out, and stays after all.
      ...(leavingSinceMs(pod) === undefined ? {} : { [ANNOTATION.leavingSince]: '' }),
    },
  };
  return isMarked(pod, wanted) ? [] : [{ kind: 'mark-pod', pod, ...wanted }];
}

/** Reasons to remove a pod that is not asked to go yet; undefined when there is none. */
function goneReason(observed: Observed, { name, role }: Instance, pod: Pod): Plan | undefined {
  const title = TITLE[role];
  const report = observed.agents.get(name);
  const trouble = podTrouble(pod);
  const dead = deadNode(pod, observed.nodes);
  const zone = pod.metadata.labels?.[LABEL.zone];
  if (trouble.kind === 'over' || trouble.kind === 'backed-off') {
    const lost = trouble.kind === 'over' && (trouble.nodeLost || dead !== undefined);
    return remove({
      pod,
      why: trouble.why,
      force: lost,
      notice: { type: 'Warning', reason: `${title}Lost`, message: `${title} ${name} is over (${trouble.why}); a new one is made` },
    });
  }
  if (dead !== undefined && isSilent(report)) {
    const since = report?.silentSince ?? timeMs(podCondition(pod, 'Ready')?.lastTransitionTime) ?? observed.now;
    const leftMs = since + NODE_SILENCE_MS - observed.now;
    if (leftMs > 0) return { ...EMPTY_PLAN, againInMs: leftMs };
    const message = `Node ${dead.metadata.name} of ${role} ${name} is down; ${name} is made anew in another zone`;
    return remove({
      pod,
      why: 'its node is down',
      force: true,
      avoidZone: zone,
      notice: { type: 'Warning', reason: `${title}NodeDown`, message },
    });
  }
  if (role === 'writer' && report?.phase === 'fenced' && !isSilent(report)) {
    const age = observed.now - (timeMs(report.startedAt) ?? timeMs(pod.metadata.creationTimestamp) ?? 0);
    if (age < FENCED_PAUSE_MS) return { ...EMPTY_PLAN, againInMs: FENCED_PAUSE_MS - age };
    const message = `Writer ${name} was fenced: another writer opened the volume at a higher epoch; ${name} is made anew and takes over. If that was not meant, find who else uses this volume`;
    return remove({ pod, why: 'fenced', notice: { type: 'Warning', reason: 'WriterFenced', message } });
  }
  if (trouble.kind === 'unschedulable') {
    const waitedMs = observed.now - trouble.sinceMs;
    const disk = cacheClaim(observed, pod);
    // Told further on: such a pod is replaced when the manifest names another disk.
    if (disk.kind === 'stuck' || disk.kind === 'lost' || (disk.kind === 'awaited' && waitedMs < DISK_MS)) return undefined;
    if (waitedMs < UNSCHEDULABLE_MS) return { ...EMPTY_PLAN, againInMs: UNSCHEDULABLE_MS - waitedMs };
    const others = observed.computePods.filter((other) => other !== pod).flatMap((other) => other.metadata.labels?.[LABEL.zone] ?? []);
    const elsewhere = chooseComputeZone(observed, others, zone);
    if (elsewhere !== zone) return remove({ pod, why: `unschedulable in ${zone ?? 'its zone'}`, avoidZone: zone });
    return { ...EMPTY_PLAN, obstacles: [{ reason: 'Unschedulable', message: `${name} finds no node: ${trouble.why}`, blocking: false }] };
  }
  return undefined;
}

function recreated(observed: Observed, { name, role }: Instance, pod: Pod): { notice?: Notice } {
  const { status } = observed.cluster;
  if (status?.firstReadyAt === undefined) return {};
  const zone = pod.metadata.labels?.[LABEL.zone] ?? 'some zone';
  const isNew = role === 'reader' && status.instances?.some((instance) => instance.name === name) !== true;
  const message = isNew ? `Adding ${role} ${name} in ${zone}` : `Made ${name} anew in ${zone}`;
  return { notice: { type: 'Normal', reason: isNew ? 'AddingReader' : `${TITLE[role]}Created`, message } };
}

/**
 * May an instance be replaced on purpose: no storage pod is on the move, and a writer can open the volume again at
 * once. A segment that fell silent, or whose pod became unready, a moment ago is on its way, however old its pod is.
 */
export function isStorageSettled(observed: Observed, storagePlan: Plan): boolean {
  if (storagePlan.outdated.length > 0) return false;
  const still = segmentIds.every((segment) => {
    const pod = observed.storagePods.get(segment);
    if (pod === undefined || isTerminating(pod)) return false;
    if (isSegmentUp(observed, segment)) return true;
    const silentSince = observed.daemons.get(pod.metadata.name)?.silentSince ?? 0;
    const downSince = Math.max(silentSince, isPodReady(pod) ? (timeMs(pod.metadata.creationTimestamp) ?? 0) : readinessSinceMs(pod));
    return observed.now - downSince > ON_ITS_WAY_MS;
  });
  return still && isQuorum(observed.cluster.spec.storage.copies, 'promise', (segment) => isSegmentUp(observed, segment));
}
