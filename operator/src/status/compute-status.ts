import type { Condition, ConditionReason, ConditionType, Phase } from '../api/conditions.ts';
import { appCredentials, superuserCredentials } from '../specs/secrets.ts';
import { PORT, readWriteServiceName, segmentIndexes, storageName, storageServiceName } from '../api/names.ts';
import { SEGMENTS, WRITE_QUORUM, type AuroraClusterStatus, type SegmentStatus } from '../api/types.ts';
import { describeProblems } from '../api/validate.ts';
import { freshAgent, isInitialized, writerPod, writerState, type Observed } from '../observed/observed.ts';
import type { ClusterPlan } from '../plan/plan.ts';
import { isTerminating } from '../kube/objects.ts';
import { clusterNamespace } from '../specs/metadata.ts';
import { instanceStatuses, podState, present, segmentStatuses } from './segments.ts';

interface Verdict {
  readonly status: 'True' | 'False';
  readonly reason: ConditionReason;
  readonly message: string;
}

const good = (message: string): Verdict => ({ status: 'True', reason: 'AllGood', message });
const bad = (reason: ConditionReason, message: string): Verdict => ({ status: 'False', reason, message });

/** "zone-b is down" rather than two names, where a whole zone is missing. */
export function describeMissing(segments: readonly SegmentStatus[]): string {
  const parts: string[] = [];
  for (const zone of new Set(segments.map((segment) => segment.zone))) {
    const here = segments.filter((segment) => segment.zone === zone);
    const down = here.filter((segment) => !segment.ready);
    if (down.length > 0 && down.length === here.length) parts.push(`all of ${zone} (${down.map(({ id }) => id).join(', ')})`);
    else parts.push(...down.map(({ id }) => id));
  }
  return parts.join(', ');
}

function storageVerdicts(observed: Observed, segments: readonly SegmentStatus[]): { quorum: Verdict; redundant: Verdict } {
  const up = segments.filter((segment) => segment.ready).length;
  const begun = isInitialized(observed) && observed.cluster.status?.firstReadyAt !== undefined;
  const missing = describeMissing(segments);
  const damaged = segments.filter(({ state }) => state === 'DAMAGED').map(({ id }) => id);
  const quorum =
    up >= WRITE_QUORUM
      ? good(`${up} of ${SEGMENTS} segments are up; four are enough`)
      : bad(
          begun ? 'QuorumLost' : 'Creating',
          `${up} of ${SEGMENTS} segments are up and four are needed; ${begun ? 'writes wait, nothing is lost; missing' : 'to come'}: ${missing}`,
        );
  if (damaged.length > 0) {
    return {
      quorum,
      redundant: bad(
        'SegmentDamaged',
        `${damaged.join(', ')} found damaged data and stopped; its log says where. To have the copy made anew from its peers, delete its claim and pod`,
      ),
    };
  }
  const redundant =
    up === SEGMENTS
      ? good('all six copies are up, two in each zone')
      : bad(
          begun ? 'SegmentsMissing' : 'Creating',
          `${up} of ${SEGMENTS} segments are up; missing: ${missing}${begun ? '; they catch up by themselves when they are back' : ''}`,
        );
  return { quorum, redundant };
}

/** Why there is no writer to talk to, and what it waits for. */
function writerVerdict(observed: Observed, segmentsUp: number): Verdict {
  const pod = writerPod(observed);
  const report = freshAgent(observed);
  if (pod !== undefined && writerState(observed) === 'available') return good(`${pod.metadata.name} takes connections`);
  const name = pod?.metadata.name ?? 'the writer';
  if (report !== undefined) {
    const because = report.message === undefined ? '' : `: ${report.message}`;
    if (report.phase === 'bootstrapping') return bad('Bootstrapping', `${name} makes the first database`);
    if (report.phase === 'opening') return bad('OpeningVolume', `${name} opens the volume${because}`);
    if (report.phase === 'running' && observed.cluster.status?.firstReadyAt === undefined)
      return bad('OpeningVolume', `${name} runs PostgreSQL and is about to be ready`);
    if (report.phase === 'fenced') return bad('WriterFenced', `${name} was fenced by a writer of a higher epoch and is made anew`);
  }
  if (observed.cluster.metadata.deletionTimestamp !== undefined) return bad('Deleting', `${name} ${podState(pod)}`);
  if (pod !== undefined && pod.status?.phase === 'Running' && !isTerminating(pod) && segmentsUp < WRITE_QUORUM) {
    const waits = `${name} waits for storage: ${segmentsUp} of ${SEGMENTS} segments are up, ${WRITE_QUORUM} are needed`;
    return bad('OpeningVolume', waits);
  }
  const everRan = observed.cluster.status?.firstReadyAt !== undefined;
  return bad(
    everRan ? 'WriterLost' : 'WriterStarting',
    `${name} ${podState(pod)}; ${everRan ? 'it comes back by itself' : 'it is starting'}`,
  );
}

function describeDeletion({ cluster, computePods }: Observed): string {
  const claims = cluster.spec.storage.reclaimPolicy === 'Retain' ? 'its claims stay, with the data' : 'its claims and their data go too';
  const step =
    computePods.length === 0
      ? 'storage ends now'
      : `${computePods.map(({ metadata }) => metadata.name).join(', ')} ends first, then storage`;
  return `${step}; ${claims}`;
}

function phaseOf(observed: Observed, plan: ClusterPlan, verdicts: { quorum: Verdict; redundant: Verdict; writer: Verdict }): Phase {
  const { quorum, redundant, writer } = verdicts;
  if (observed.cluster.metadata.deletionTimestamp !== undefined) return 'Deleting';
  if (plan.obstacles.some(({ blocking }) => blocking)) return 'Blocked';
  if (quorum.status === 'False')
    return isInitialized(observed) && observed.cluster.status?.firstReadyAt !== undefined ? 'QuorumLost' : 'Creating';
  if (writer.status === 'False') {
    if (writer.reason === 'Bootstrapping') return 'Bootstrapping';
    if (observed.cluster.status?.firstReadyAt !== undefined) return 'WriterUnavailable';
    return writer.reason === 'OpeningVolume' ? 'Opening' : 'Creating';
  }
  if (plan.outdated.length > 0) return 'Updating';
  return redundant.status === 'True' ? 'Ready' : 'Degraded';
}

/** The status as it should be shown. Pure: the same picture, plan and clock give the same status. */
export function computeStatus(observed: Observed, plan: ClusterPlan): AuroraClusterStatus {
  const { cluster } = observed;
  const { name } = cluster.metadata;
  const previous = cluster.status;
  const namespace = clusterNamespace(cluster);
  const segments = segmentStatuses(observed);
  const up = segments.filter((segment) => segment.ready).length;
  const pod = writerPod(observed);
  const agent = pod === undefined ? undefined : observed.agents.get(pod.metadata.name);
  const { quorum, redundant } = storageVerdicts(observed, segments);
  const writer = writerVerdict(observed, up);
  const blocker = plan.obstacles.find(({ blocking }) => blocking);
  const hindrance = plan.obstacles.map(({ message }) => message).join('; ');
  const phase = phaseOf(observed, plan, { quorum, redundant, writer });
  const firstBad = [quorum, writer].find(({ status }) => status === 'False');
  const ready: Verdict =
    phase === 'Deleting'
      ? bad('Deleting', describeDeletion(observed))
      : blocker !== undefined && firstBad !== undefined
        ? bad(blocker.reason, blocker.message)
        : firstBad !== undefined
          ? bad(firstBad.reason, hindrance === '' ? firstBad.message : `${firstBad.message}; ${hindrance}`)
          : good(`connect to ${readWriteServiceName(name)}.${namespace}:${PORT.postgres}`);
  const accepted: Verdict =
    plan.problems.length === 0
      ? good('every field is carried out')
      : bad(plan.problems.some(({ fatal }) => fatal) ? 'SpecInvalid' : 'ParameterNotAllowed', describeProblems(plan.problems));
  const upToDate: Verdict =
    plan.outdated.length === 0
      ? good('every pod runs the spec as it is')
      : bad('PodsOutdated', `to be replaced, one at a time: ${plan.outdated.join(', ')}`);
  const verdicts: readonly (readonly [ConditionType, Verdict])[] = [
    ['Ready', ready],
    ['SpecAccepted', accepted],
    ['StorageQuorum', quorum],
    ['StorageRedundant', redundant],
    ['WriterAvailable', writer],
    ['UpToDate', upToDate],
  ];
  const bytes = segments.flatMap(({ bytesUsed }) => (bytesUsed === undefined ? [] : [bytesUsed]));
  const summary =
    phase === 'Ready' || phase === 'Degraded'
      ? phase === 'Ready'
        ? ready.message
        : `${redundant.message}; reads and writes go on`
      : phase === 'Updating'
        ? upToDate.message
        : ready.message;
  return present<AuroraClusterStatus>({
    observedGeneration: cluster.metadata.generation,
    phase,
    message: blocker?.message ?? summary,
    volumeId: plan.volumeId ?? previous?.volumeId,
    writer: pod?.metadata.name ?? previous?.writer,
    firstReadyAt: previous?.firstReadyAt ?? (writer.status === 'True' ? new Date(observed.now).toISOString() : undefined),
    epoch: agent?.epoch ?? previous?.epoch,
    vdl: agent?.vdl ?? newestVdl(observed) ?? previous?.vdl,
    instances: instanceStatuses(observed),
    storage: {
      summary: `${up}/${SEGMENTS}`,
      ready: up,
      desired: SEGMENTS,
      initialized: isInitialized(observed) || [...observed.daemons.values()].some(({ state }) => state === 'READY'),
      ...(bytes.length === 0 ? {} : { bytesUsed: bytes.reduce((sum, value) => sum + value, 0) }),
      segments,
    },
    endpoints: {
      readWrite: `${readWriteServiceName(name)}.${namespace}.svc:${PORT.postgres}`,
      storage: `${storageServiceName(name)}.${namespace}.svc:${PORT.storage}`,
    },
    secrets: { superuser: superuserCredentials(cluster).secretName, app: appCredentials(cluster).secretName },
    conditions: verdicts.map(([type, verdict]) => conditionOf(observed, type, verdict)),
  });
}

function conditionOf(observed: Observed, type: ConditionType, verdict: Verdict): Condition {
  const before = observed.cluster.status?.conditions?.find((condition) => condition.type === type);
  return {
    type,
    ...verdict,
    observedGeneration: observed.cluster.metadata.generation ?? 0,
    lastTransitionTime:
      before !== undefined && before.status === verdict.status ? before.lastTransitionTime : new Date(observed.now).toISOString(),
  };
}

/** The daemons' word when no writer can be asked: LSN texts compare by their numbers. */
function newestVdl(observed: Observed): string | undefined {
  const order = (text: string): bigint =>
    BigInt(
      `0x${text
        .split('/')
        .map((half) => half.padStart(8, '0'))
        .join('')}`,
    );
  const known = segmentIndexes.flatMap((index) => observed.daemons.get(storageName(observed.cluster.metadata.name, index))?.vdl ?? []);
  return known.length === 0 ? undefined : known.reduce((a, b) => (order(b) > order(a) ? b : a));
}
