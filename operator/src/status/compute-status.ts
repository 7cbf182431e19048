import type { Condition, ConditionType, Phase } from '../api/conditions.ts';
import { appCredentials, superuserCredentials } from '../specs/secrets.ts';
import { PORT, readOnlyServiceName, readServiceName, readWriteServiceName, storageName, storageServiceName } from '../api/names.ts';
import { segmentIds } from '../api/segment-id.ts';
import type { AuroraClusterStatus } from '../api/status-types.ts';
import { describeProblems } from '../api/validate.ts';
import { isInitialized, type Observed } from '../observed/observed.ts';
import type { ClusterPlan } from '../plan/plan.ts';
import { writerOf } from '../plan/plan-instances.ts';
import { growingVolumes } from '../plan/growth.ts';
import { clusterNamespace } from '../specs/metadata.ts';
import { adviceStatus } from './advice.ts';
import { encryptionStatus, encryptionVerdict } from './encryption-verdict.ts';
import { certificatesStatus, certificatesVerdict } from './certificates-verdict.ts';
import { credentialStatuses, credentialTrouble } from './credentials-verdict.ts';
import { failoverStatus } from './failover-status.ts';
import { computeSummary, customEndpoints, instanceStatuses } from './instances.ts';
import { lostSlots, slotsVerdict } from './lost-slots.ts';
import { isPaused } from '../plan/pause.ts';
import { pauseVerdict } from './pause-verdict.ts';
import { present } from './present.ts';
import { readersVerdict } from './readers-verdict.ts';
import { segmentStatuses } from './segments.ts';
import { storageVerdicts } from './storage-verdict.ts';
import { tokenLoginsStatus, tokenLoginsVerdict } from './token-logins.ts';
import { bad, good, type Verdict } from './verdict.ts';
import { writerVerdict } from './writer-verdict.ts';

function describeDeletion({ cluster, computePods }: Observed): string {
  const claims = cluster.spec.storage.reclaimPolicy === 'Retain' ? 'its claims stay, with the data' : 'its claims and their data go too';
  const step =
    computePods.length === 0
      ? 'storage ends now'
      : `${computePods.map(({ metadata }) => metadata.name).join(', ')} ${computePods.length === 1 ? 'ends' : 'end'} first, then storage`;
  return `${step}; ${claims}`;
}

interface PhaseVerdicts {
  readonly quorum: Verdict;
  readonly redundant: Verdict;
  readonly writer: Verdict;
  readonly readers: Verdict;
}

function phaseOf(observed: Observed, plan: ClusterPlan, { quorum, redundant, writer, readers }: PhaseVerdicts): Phase {
  if (observed.cluster.metadata.deletionTimestamp !== undefined) return 'Deleting';
  if (plan.obstacles.some(({ blocking }) => blocking)) return 'Blocked';
  if (quorum.status === 'False')
    return isInitialized(observed) && observed.cluster.status?.firstReadyAt !== undefined ? 'QuorumLost' : 'Creating';
  if (writer.status === 'False') {
    if (writer.reason === 'Bootstrapping') return 'Bootstrapping';
    if (observed.cluster.status?.firstReadyAt !== undefined) return 'WriterUnavailable';
    return writer.reason === 'OpeningVolume' ? 'Opening' : 'Creating';
  }
  if (plan.outdated.length > 0 && !isPaused(observed.cluster)) return 'Updating';
  if (redundant.status === 'False') return 'Degraded';
  if (readers.status === 'False') return readers.reason === 'ReadersStarting' ? 'Updating' : 'Degraded';
  return 'Ready';
}

/** The status as it should be shown. Pure: the same observation, plan and clock give the same status. */
export function computeStatus(observed: Observed, plan: ClusterPlan): AuroraClusterStatus {
  const { cluster } = observed;
  const { name } = cluster.metadata;
  const previous = cluster.status;
  const namespace = clusterNamespace(cluster);
  const segments = segmentStatuses(observed);
  const up = segments.filter((segment) => segment.ready).length;
  const { pod } = writerOf(observed);
  const agent = pod === undefined ? undefined : observed.agents.get(pod.metadata.name);
  const { quorum, redundant } = storageVerdicts(observed, segments);
  const writer = writerVerdict(observed, plan);
  const readers = readersVerdict(observed, plan);
  const instances = instanceStatuses(observed, plan);
  const blocker = plan.obstacles.find(({ blocking }) => blocking);
  const hindrance = plan.obstacles.map(({ message }) => message).join('; ');
  const phase = phaseOf(observed, plan, { quorum, redundant, writer, readers });
  const firstBad = [quorum, writer].find(({ status }) => status === 'False');
  const ready: Verdict =
    phase === 'Deleting'
      ? bad('Deleting', isPaused(cluster) ? 'it is to be deleted, which waits for the end of the pause' : describeDeletion(observed))
      : blocker !== undefined && firstBad !== undefined
        ? bad(blocker.reason, blocker.message)
        : firstBad !== undefined
          ? bad(firstBad.reason, hindrance === '' ? firstBad.message : `${firstBad.message}; ${hindrance}`)
          : good(`connect to ${readWriteServiceName(name)}.${namespace}:${PORT.postgres}`);
  const accepted: Verdict =
    plan.problems.length === 0
      ? good('every field is carried out')
      : bad(
          plan.problems.some(({ fatal }) => fatal)
            ? 'SpecInvalid'
            : (plan.problems.find(({ reason }) => reason !== undefined)?.reason ?? 'ParameterNotAllowed'),
          describeProblems(plan.problems),
        );
  const credentials = credentialStatuses(observed);
  const trouble = credentialTrouble(credentials);
  const waiting = credentials.filter(({ state }) => state !== 'Applied').map(({ role }) => role);
  const applied: Verdict =
    trouble !== undefined
      ? bad(credentials.some(({ state }) => state === 'Failed') ? 'PasswordNotApplied' : 'SecretMissing', trouble)
      : waiting.length > 0
        ? bad('WriterStarting', `the database has not said yet that it has the passwords of ${waiting.join(' and ')}`)
        : good('every role has the password that its Secret holds');
  const growing = growingVolumes(observed);
  const paused = isPaused(cluster);
  const upToDate: Verdict =
    plan.outdated.length > 0
      ? bad('PodsOutdated', `to be replaced, one at a time${paused ? ', once the pause is over' : ''}: ${plan.outdated.join(', ')}`)
      : growing.length > 0
        ? bad('StorageGrowing', `volumes grow: ${growing.join('; ')}`)
        : good('every pod and claim is as the spec says');
  const lost = lostSlots(observed);
  const encrypted = encryptionVerdict(observed);
  const tokens = tokenLoginsVerdict(observed, plan);
  const verdicts: readonly (readonly [ConditionType, Verdict])[] = [
    ['Ready', ready],
    ['SpecAccepted', accepted],
    ['StorageQuorum', quorum],
    ['StorageRedundant', redundant],
    ['WriterAvailable', writer],
    ['ReadersAvailable', readers],
    ['UpToDate', upToDate],
    ['CredentialsApplied', applied],
    ['ReplicationSlotsKept', slotsVerdict(lost)],
    ['Managed', pauseVerdict(cluster)],
    ['CertificatesValid', certificatesVerdict(observed, plan)],
    ...(encrypted === undefined ? [] : [['DataEncrypted', encrypted] as const]),
    ...(tokens === undefined ? [] : [['TokenLoginsReady', tokens] as const]),
  ];
  const bytes = segments.flatMap(({ bytesUsed }) => (bytesUsed === undefined ? [] : [bytesUsed]));
  const asides = [...(upToDate.reason === 'StorageGrowing' ? [upToDate.message] : []), ...(hindrance === '' ? [] : [hindrance])];
  const rest = paused ? ['paused: the operator changes nothing'] : [];
  const aside = [...(firstBad === undefined ? asides : []), ...rest].map((text) => `; ${text}`).join('');
  return present<AuroraClusterStatus>({
    observedGeneration: cluster.metadata.generation,
    phase,
    message: blocker?.message ?? `${summaryOf(phase, { ready, redundant, readers, upToDate })}${aside}`,
    volumeId: plan.volumeId ?? previous?.volumeId,
    writer: pod?.metadata.name ?? previous?.writer,
    firstReadyAt: previous?.firstReadyAt ?? (writer.status === 'True' ? new Date(observed.now).toISOString() : undefined),
    // One that reads by now names the epoch in which it last wrote.
    epoch: (agent?.role === 'reader' ? undefined : agent?.epoch) ?? previous?.epoch,
    vdl: agent?.vdl ?? newestVdl(observed) ?? previous?.vdl,
    instances,
    compute: computeSummary(observed, instances),
    autoscaling: plan.autoscaling ?? (cluster.spec.autoscaling === undefined ? undefined : previous?.autoscaling),
    switchover: plan.switchover ?? previous?.switchover,
    failover: failoverStatus(observed),
    lostReplicationSlots: lost,
    advice: adviceStatus(observed, agent),
    storage: {
      summary: `${up}/${segmentIds.length}`,
      ready: up,
      desired: segmentIds.length,
      initialized: isInitialized(observed) || [...observed.daemons.values()].some(({ state }) => state === 'READY'),
      ...(bytes.length === 0 ? {} : { bytesUsed: bytes.reduce((sum, value) => sum + value, 0) }),
      ...(encrypted === undefined ? {} : { encryption: encryptionStatus(observed) }),
      segments,
    },
    endpoints: {
      readWrite: `${readWriteServiceName(name)}.${namespace}.svc:${PORT.postgres}`,
      readOnly: `${readOnlyServiceName(name)}.${namespace}.svc:${PORT.postgres}`,
      read: `${readServiceName(name)}.${namespace}.svc:${PORT.postgres}`,
      storage: `${storageServiceName(name)}.${namespace}.svc:${PORT.storage}`,
      ...(cluster.spec.endpoints.length === 0 ? {} : { custom: customEndpoints(observed) }),
    },
    secrets: { superuser: superuserCredentials(cluster).secretName, app: appCredentials(cluster).secretName },
    credentials,
    tokenLogins: tokenLoginsStatus(observed),
    certificates: certificatesStatus(observed),
    conditions: verdicts.map(([type, verdict]) => conditionOf(observed, type, verdict)),
  });
}

/** The phase as a sentence. */
function summaryOf(
  phase: Phase,
  { ready, redundant, readers, upToDate }: { ready: Verdict; redundant: Verdict; readers: Verdict; upToDate: Verdict },
): string {
  const bad = [redundant, readers].filter(({ status }) => status === 'False').map(({ message }) => message);
  if (phase === 'Degraded') return `${bad.join('; ')}; reads and writes go on`;
  if (phase !== 'Updating') return ready.message;
  return upToDate.status === 'False' ? upToDate.message : `${readers.message}; reads and writes go on`;
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
  const known = segmentIds.flatMap((segment) => observed.daemons.get(storageName(observed.cluster.metadata.name, segment))?.vdl ?? []);
  return known.length === 0 ? undefined : known.reduce((a, b) => (order(b) > order(a) ? b : a));
}
