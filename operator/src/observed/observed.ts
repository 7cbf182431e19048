import { parseLsn } from '@kube-aurora/pg-format';
import { ANNOTATION, LABEL, segmentZone } from '../api/names.ts';
import { fewestInGroup, segmentIds, type SegmentId, type SegmentMap } from '../api/segment-id.ts';
import type { AuroraCluster } from '../api/types.ts';
import {
  isPodReady,
  isTerminating,
  podCondition,
  timeMs,
  type DisruptionBudget,
  type ConfigMap,
  type Node,
  type Pod,
  type Secret,
  type Service,
  type StorageClass,
  type VolumeClaim,
} from '../kube/objects.ts';
import { isSoundWith, type ReportedFault } from './faults.ts';
import { isSilent, type AgentReport, type DaemonReport } from './reports.ts';

/** Everything decisions are taken from: the cluster, and what was last seen of its parts. Never changed in place. */
export interface Observed {
  readonly cluster: AuroraCluster;
  /** Of storage. */
  readonly claims: SegmentMap<VolumeClaim>;
  /** Of computes, by name: those that spec.compute.cacheVolume has made for pods. */
  readonly cacheClaims: ReadonlyMap<string, VolumeClaim>;
  readonly storagePods: SegmentMap<Pod>;
  readonly computePods: readonly Pod[];
  readonly services: ReadonlyMap<string, Service>;
  readonly secrets: ReadonlyMap<string, Secret>;
  readonly budgets: ReadonlyMap<string, DisruptionBudget>;
  readonly configMaps: ReadonlyMap<string, ConfigMap>;
  readonly nodes: readonly Node[];
  readonly storageClasses: readonly StorageClass[];
  /** By pod name; only reports about the pods above (same uid). */
  readonly daemons: ReadonlyMap<string, DaemonReport>;
  readonly agents: ReadonlyMap<string, AgentReport>;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** RFC 3339: the cluster was deleted although it is protected, and is held by our finalizer: it is seen as one that was not. */
  readonly heldSince?: string;
  /** What came of the last asking of an agent to take the writer's place. */
  readonly promotion?: PromotionAnswer;
  /** By an instance's name: the zone where its last pod found no place. */
  readonly avoidZones: ReadonlyMap<string, string>;
}

/** An agent's answer, for the switchover that began at `startedAt`. */
export interface PromotionAnswer {
  readonly to: string;
  readonly startedAt: string;
  readonly kind: 'accepted' | 'refused' | 'unanswered';
  readonly message: string;
}

/** Zone of a segment: a claim stays where it was made, whatever the manifest says now. */
export function zoneOfSegment(observed: Observed, segment: SegmentId): string {
  return observed.claims.get(segment)?.metadata.labels?.[LABEL.zone] ?? segmentZone(observed.cluster.spec.storage.zones, segment);
}

export function holdsData(claim: VolumeClaim): boolean {
  return claim.metadata.annotations?.[ANNOTATION.holdsData] === 'true';
}

/** Was there ever a database on this volume? Told by the claims, which outlive the cluster, or by the status. */
export function isInitialized(observed: Observed): boolean {
  return observed.cluster.status?.storage?.initialized === true || observed.claims.values().some(holdsData);
}

/** Claims that are there to stay and hold a copy that counts, of the protection group that has the fewest. */
export function copiesHeld(observed: Observed): number {
  return fewestInGroup((segment) => holdsCopy(observed, segment));
}

/** Is its claim there, with data? */
export function holdsCopy(observed: Observed, segment: SegmentId): boolean {
  const claim = observed.claims.get(segment);
  return claim !== undefined && holdsData(claim) && !isTerminating(claim) && claim.status?.phase !== 'Lost';
}

export type VolumeIdentity =
  | { readonly kind: 'known'; readonly volumeId: string }
  | { readonly kind: 'conflict'; readonly message: string };

/**
 * Which volume this is. Claims say so first: they hold the data. A new volume takes the cluster object's own uid, a
 * UUID that no other cluster shares, so that two reconciles can never invent two.
 */
export function volumeIdentity(observed: Observed): VolumeIdentity {
  const owners = new Map<string, string>();
  for (const segment of segmentIds) {
    const claim = observed.claims.get(segment);
    const id = claim?.metadata.annotations?.[ANNOTATION.volumeId];
    if (claim !== undefined && id !== undefined) owners.set(id, claim.metadata.name);
  }
  const [first, second] = [...owners.entries()];
  if (first !== undefined && second !== undefined) {
    return {
      kind: 'conflict',
      message: `claims belong to different volumes (${first[1]}: ${first[0]}, ${second[1]}: ${second[0]}); remove or rename the ones that are not this cluster's`,
    };
  }
  const volumeId = first?.[0] ?? observed.cluster.status?.volumeId ?? observed.cluster.metadata.uid;
  if (volumeId === undefined) throw new TypeError('a cluster without a uid was not read from an API server');
  return { kind: 'known', volumeId };
}

/** Reports from while the volume was made may stand until the next round of questions. */
const FIRST_REPORTS_MS = 15_000;

/** A copy is expected of this segment: its claim was seen to hold one, or the cluster has worked for a while. */
function mustHoldData(observed: Observed, segment: SegmentId): boolean {
  const claim = observed.claims.get(segment);
  const worksSince = timeMs(observed.cluster.status?.firstReadyAt) ?? observed.now;
  return isInitialized(observed) && (observed.now - worksSince > FIRST_REPORTS_MS || claim === undefined || holdsData(claim));
}

/** A daemon that was silent for this long while others answer is down, whatever its pod's readiness says as yet. */
export const SILENT_MS = 5_000;

/** How a segment is. Only `up` counts for the write quorum. */
export type SegmentHealth =
  | { readonly kind: 'up' }
  /** No pod, not ready, being stopped, or silent while others answer. */
  | { readonly kind: 'down' }
  /** Runs, and has no whole copy yet. */
  | { readonly kind: 'filling' }
  /** Its daemon names what is wrong with it. */
  | { readonly kind: 'faulty'; readonly fault: ReportedFault };

/** What a daemon last said, if that was since its container started: an older answer is its predecessor's. */
export function freshDaemon(observed: Observed, segment: SegmentId): DaemonReport | undefined {
  const pod = observed.storagePods.get(segment);
  const report = pod === undefined ? undefined : observed.daemons.get(pod.metadata.name);
  if (pod === undefined || report?.answeredAt === undefined) return undefined;
  return isSinceStart(pod, report.answeredAt) ? report : undefined;
}

function isSinceStart(pod: Pod, answeredAt: number): boolean {
  const startedAt = timeMs(pod.status?.containerStatuses?.[0]?.state?.running?.startedAt);
  return startedAt === undefined || answeredAt >= startedAt;
}

/**
 * Kubernetes' word and the daemon's own together. Where no daemon can be asked at all (a network policy, an operator
 * that has just started), readiness has to do.
 */
export function segmentHealth(observed: Observed, segment: SegmentId): SegmentHealth {
  const pod = observed.storagePods.get(segment);
  const report = freshDaemon(observed, segment);
  if (pod === undefined || isTerminating(pod)) return { kind: 'down' };
  if (report !== undefined && !isSilent(report)) {
    if (report.fault !== undefined) return { kind: 'faulty', fault: report.fault };
    if (report.state === 'DAMAGED') return { kind: 'faulty', fault: { kind: 'UNKNOWN' } };
  }
  if (!isPodReady(pod)) return { kind: 'down' };
  const othersAnswer = [...observed.daemons.values()].some((other) => !isSilent(other));
  if (othersAnswer) {
    const asked = observed.daemons.has(pod.metadata.name);
    if (asked && report === undefined) return { kind: 'down' };
    if (report?.silentSince !== undefined && observed.now - report.silentSince >= SILENT_MS) return { kind: 'down' };
  }
  if (!mustHoldData(observed, segment) || report === undefined) return { kind: 'up' };
  if (report.mustRecover === true) return { kind: 'filling' };
  return report.state === 'READY' || report.state === 'UNKNOWN' ? { kind: 'up' } : { kind: 'filling' };
}

/** Takes part in the write quorum. */
export function isSegmentUp(observed: Observed, segment: SegmentId): boolean {
  return segmentHealth(observed, segment).kind === 'up';
}

/**
 * Its daemon says, now, that it holds all that it ever acknowledged. Any three such copies have every acknowledged
 * commit.
 */
export function isSegmentSound(observed: Observed, segment: SegmentId): boolean {
  const report = freshDaemon(observed, segment);
  return report !== undefined && !isSilent(report) && report.state === 'READY' && report.mustRecover !== true && isSoundWith(report.fault);
}

/** Redo that a segment may still have to fetch and count as caught up: the writer sends the last of it anyway. */
const CAUGHT_UP_BYTES = 1_048_576n;

/** Up, and with nothing substantial left to fetch: the next one may be taken away. */
export function isSegmentSettled(observed: Observed, segment: SegmentId): boolean {
  if (!isSegmentUp(observed, segment)) return false;
  const answers = [...observed.daemons.values()].filter((report) => !isSilent(report));
  // Where no daemon can be asked at all (a network policy, say), readiness has to do.
  if (!isInitialized(observed) || answers.length === 0) return true;
  const pod = observed.storagePods.get(segment);
  const report = pod === undefined ? undefined : observed.daemons.get(pod.metadata.name);
  if (report === undefined || isSilent(report) || report.state !== 'READY') return false;
  const position = ({ scl }: DaemonReport): bigint => (scl === undefined ? 0n : parseLsn(scl));
  return answers.every((other) => position(other) - position(report) <= CAUGHT_UP_BYTES);
}

/**
 * What a compute pod's agent says, if it was asked since its container started: an older answer is its predecessor's.
 */
export function freshAgent(observed: Observed, pod: Pod | undefined): AgentReport | undefined {
  const report = pod === undefined ? undefined : observed.agents.get(pod.metadata.name);
  if (pod === undefined || report === undefined || isSilent(report)) return undefined;
  return isSinceStart(pod, report.answeredAt ?? 0) ? report : undefined;
}

/** An agent that cannot be asked (a network policy, say) is taken for running when its pod has been ready this long. */
export const TRUST_READINESS_MS = 5_000;

/** An agent that is silent for this long while others answer cannot be reached by clients either. */
export const SILENT_AGENT_MS = 3_000;

/**
 * Is an agent silent, while others answer? Its node may be lost, or cut off: Kubernetes notices that after most of a minute, and calls
 * its pods ready until then. One that has never answered us counts as well: an operator that has just begun to lead may have been
 * preceded by one on that very node. Where no other agent answers it is the operator that may be cut off, or a network policy.
 */
export function isCutOff(observed: Observed, pod: Pod): boolean {
  const { name } = pod.metadata;
  const report = observed.agents.get(name);
  if (report?.silentSince === undefined || (report.answeredAt !== undefined && !isSinceStart(pod, report.answeredAt))) return false;
  const others = [...observed.agents].filter(([other]) => other !== name).map(([, other]) => other);
  const asked = others.length === 0 ? [...observed.daemons.values()] : others;
  // One that has just become ready was silent while it started, and is asked again in a moment.
  const since = Math.max(report.silentSince, timeMs(podCondition(pod, 'Ready')?.lastTransitionTime) ?? 0);
  return observed.now - since >= SILENT_AGENT_MS && asked.some((other) => !isSilent(other));
}

export type ComputeState = 'available' | 'unavailable' | 'asking';

/** Does a compute pod take connections? `asking`: it is ready, and its agent has yet to say what it opened. */
export function computeState(observed: Observed, pod: Pod | undefined): ComputeState {
  if (pod === undefined || !isPodReady(pod) || isCutOff(observed, pod)) return 'unavailable';
  const report = freshAgent(observed, pod);
  if (report !== undefined) return report.phase === 'running' ? 'available' : report.phase === 'fenced' ? 'unavailable' : 'asking';
  const readySince = timeMs(podCondition(pod, 'Ready')?.lastTransitionTime) ?? observed.now;
  return observed.now - readySince >= TRUST_READINESS_MS ? 'available' : 'asking';
}
