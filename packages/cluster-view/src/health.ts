import { isPodReady, type Condition } from './resources.ts';
import { formatAge, plural } from './units.ts';
import { copiesVerdict, type CopiesVerdict } from './copies.ts';
import { nextSteps } from './next-steps.ts';
import type { ClusterView } from './view.ts';

/** Well: nothing to do. Busy: it is on its way by itself. Degraded: it serves, with something missing. Down: reads or writes wait. */
export type HealthLevel = 'well' | 'busy' | 'degraded' | 'down';

export interface Problem {
  readonly about: string;
  readonly reason: string;
  readonly message: string;
  /** RFC 3339. */
  readonly since: string | undefined;
}

export interface Health {
  readonly level: HealthLevel;
  /** One line. */
  readonly headline: string;
  readonly since: string | undefined;
  readonly problems: readonly Problem[];
  /** What it means for the data and those who use it, as far as it is known. */
  readonly meaning: readonly string[];
  /** Commands, the first one first. */
  readonly next: readonly string[];
}

/** The gravest first. Ready repeats what the others say, and counts where none of them is False. */
const ORDER = [
  'StorageQuorum',
  'WriterAvailable',
  'StorageRedundant',
  'ReadersAvailable',
  'CredentialsApplied',
  'SpecAccepted',
  'UpToDate',
  'Ready',
];

/** Phases of a cluster that is being made or changed, and comes by itself. */
const ON_ITS_WAY = new Set(['Creating', 'Bootstrapping', 'Opening', 'Updating', 'Deleting']);

/** Conditions that leave a cluster as good as it was. */
const HARMLESS = new Set(['UpToDate', 'ReadersAvailable']);

/** A pod's readiness that the operator has not taken up by then tells that it is away. */
const OPERATOR_LATE_MS = 15_000;
/** More is not read at night. */
const STEPS_SHOWN = 4;
const OUTDATED = 'StatusOutdated';

/** How a cluster is, by what its operator says and by what its pods are. Pure. */
export function healthOf(view: ClusterView): Health {
  const { cluster, now } = view;
  const { status } = cluster;
  const conditions = status?.conditions ?? [];
  const copies = copiesVerdict(status);
  const phase = status?.phase;
  if (phase === undefined)
    return {
      level: 'busy',
      headline: 'Not taken up yet: no operator has written a status',
      since: cluster.metadata.creationTimestamp,
      problems: [],
      meaning: [],
      next: [`kubectl aurora logs ${cluster.metadata.name} --operator    # does one run, and does it watch this namespace?`],
    };
  const failing = failingConditions(conditions, phase);
  const late = operatorLate(view);
  const serves = isTrue(conditions, 'StorageQuorum') && isTrue(conditions, 'WriterAvailable');
  const serious = failing.some(({ type }) => !HARMLESS.has(type));
  const level: HealthLevel =
    failing.length === 0 && late === undefined
      ? 'well'
      : ON_ITS_WAY.has(phase)
        ? 'busy'
        : !serves
          ? 'down'
          : serious || phase === 'Degraded' || phase === 'Blocked' || late?.reason === OUTDATED
            ? 'degraded'
            : 'busy';
  const since = failing[0]?.lastTransitionTime ?? conditions.find(({ type }) => type === 'Ready')?.lastTransitionTime;
  return {
    level,
    headline: `${phase}${ageText(since, now)}: ${sentence(view, level, copies)}`,
    since,
    problems: [
      ...failing.map(({ type, reason = '', message = '', lastTransitionTime }) => ({
        about: type,
        reason,
        message,
        since: lastTransitionTime,
      })),
      ...(late === undefined ? [] : [late]),
    ],
    meaning: level === 'well' ? [] : meaningOf(view, copies),
    next: [
      ...new Set([
        ...(late?.reason === OUTDATED ? [`kubectl aurora logs ${cluster.metadata.name} --operator`] : []),
        ...failing.flatMap((condition) => nextSteps(cluster, condition)),
      ]),
    ].slice(0, STEPS_SHOWN),
  };
}

function failingConditions(conditions: readonly Condition[], phase: string): readonly Condition[] {
  const failing = conditions.filter(({ status }) => status === 'False').toSorted((a, b) => rank(a.type) - rank(b.type));
  const says = (type: string): boolean => failing.some((condition) => condition.type === type);
  const others = failing.filter(({ type, reason }) => {
    // Without a quorum the same copies are missing that the quorum lacks; without a writer nobody tells of passwords.
    if (type === 'StorageRedundant') return !says('StorageQuorum');
    if (type === 'CredentialsApplied' && reason === 'WriterStarting') return !says('WriterAvailable');
    return type !== 'Ready';
  });
  // A person must decide, or it is being deleted: Ready alone says so.
  return others.length === 0 || phase === 'Blocked' || phase === 'Deleting' ? failing : others;
}

function rank(type: string): number {
  const at = ORDER.indexOf(type);
  return at < 0 ? ORDER.length : at;
}

function isTrue(conditions: readonly Condition[], type: string): boolean {
  return conditions.find((condition) => condition.type === type)?.status === 'True';
}

function ageText(since: string | undefined, now: number): string {
  const ms = since === undefined ? Number.NaN : now - Date.parse(since);
  return Number.isNaN(ms) ? '' : ` for ${formatAge(ms)}`;
}

function sentence({ cluster: { status } }: ClusterView, level: HealthLevel, copies: CopiesVerdict | undefined): string {
  const conditions = status?.conditions ?? [];
  const instances = status?.instances ?? [];
  const serving = instances.filter(({ state }) => state === 'Serving').length;
  if (level === 'well')
    return `reads and writes go on; ${copies === undefined ? '' : `all ${copies.all} copies are up, `}${serving} of ${plural(instances.length, 'instance')} ${serving === 1 ? 'serves' : 'serve'}`;
  if (status?.phase === 'Deleting') return 'the cluster is being deleted';
  if (status?.firstReadyAt === undefined) return 'it has not served yet';
  const readers = instances.filter(({ role, state }) => role === 'reader' && state === 'Serving').length;
  const reads = readers > 0 ? `reads go on at ${plural(readers, 'reader')}` : 'nothing can be read';
  if (!isTrue(conditions, 'WriterAvailable')) return `there is no writer at present; ${reads}`;
  if (!isTrue(conditions, 'StorageQuorum')) return `writes wait: ${copies?.up ?? 0} of ${copies?.all ?? 0} copies are up`;
  return `reads and writes go on${copies === undefined || copies.up === copies.all ? '' : `, with ${copies.up} of ${copies.all} copies`}`;
}

function meaningOf({ cluster: { status } }: ClusterView, copies: CopiesVerdict | undefined): readonly string[] {
  if (copies === undefined || status?.storage?.initialized !== true) return [];
  const lines: string[] = [];
  if (copies.nothingLost === true) lines.push(`Nothing acknowledged is lost: ${copies.sound} sound copies answer.`);
  else if (copies.sound !== undefined)
    lines.push(
      `Whether anything acknowledged is lost is not known while ${copies.sound} sound ${copies.sound === 1 ? 'copy answers' : 'copies answer'}: keep all claims and disks.`,
    );
  if (!copies.writesGoOn) lines.push('Commits wait until a write quorum of copies is up again; they are not refused.');
  else if (copies.up < copies.all) {
    // Without a writer nothing commits, whatever the copies would allow.
    const allow = isTrue(status.conditions ?? [], 'WriterAvailable') ? 'Commits go on' : 'The copies allow commits';
    lines.push(
      copies.toSpare === 0
        ? `${allow}. No further copy may be lost, or commits wait.`
        : `${allow}, also without ${copies.toSpare === 1 ? 'one more copy' : `${copies.toSpare} more copies`}.`,
    );
  }
  return lines;
}

/** The operator is away, or behind: then what it says is of earlier. Undefined while nothing tells so. */
function operatorLate({ cluster, pods, now }: ClusterView): Problem | undefined {
  const { metadata, status } = cluster;
  const differing = (status?.instances ?? []).find(({ name, ready }) => {
    const pod = pods?.find((one) => one.metadata.name === name);
    const changedAt = pod?.status?.conditions?.find(({ type }) => type === 'Ready')?.lastTransitionTime;
    return pod !== undefined && ready !== isPodReady(pod) && changedAt !== undefined && now - Date.parse(changedAt) > OPERATOR_LATE_MS;
  });
  const about = 'Operator';
  if (differing !== undefined)
    return {
      about,
      reason: OUTDATED,
      message: `what it says is of earlier: pod ${differing.name} is ${differing.ready === true ? 'not ready' : 'ready'}, and the status does not know; is the operator away?`,
      since: undefined,
    };
  if (metadata.generation !== undefined && status?.observedGeneration !== undefined && status.observedGeneration < metadata.generation)
    return {
      about,
      reason: 'ChangeNotSeen',
      message: `the manifest's last change (generation ${metadata.generation}) has not been taken up yet; the status is about generation ${status.observedGeneration}`,
      since: undefined,
    };
  return undefined;
}
