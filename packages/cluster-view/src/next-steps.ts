import type { Cluster, Condition } from './resources.ts';

/** What to do about a condition, by its reason, as commands that can be pasted. What its message says stands above them. */
export function nextSteps(cluster: Cluster, condition: Condition): readonly string[] {
  const of = STEPS[condition.reason ?? ''];
  return of === undefined ? [] : of(placeOf(cluster));
}

interface Place {
  readonly name: string;
  /** `kubectl aurora`'s arguments for this cluster. */
  readonly ours: string;
  readonly namespace: string;
  readonly writer: string;
  readonly size: string;
  /** Segments that are not up. */
  readonly missing: readonly string[];
  readonly damaged: readonly string[];
  readonly hasReaders: boolean;
  /** Instances that served and do not. */
  readonly lost: readonly string[];
}

function placeOf({ metadata, spec, status }: Cluster): Place {
  const inNamespace = metadata.namespace === undefined || metadata.namespace === 'default' ? '' : ` -n ${metadata.namespace}`;
  const segments = status?.storage?.segments ?? [];
  return {
    name: metadata.name,
    ours: `${metadata.name}${inNamespace}`,
    namespace: inNamespace,
    writer: status?.writer ?? `${metadata.name}-1`,
    size: spec?.storage?.size ?? '',
    missing: segments.filter(({ ready }) => ready !== true).map(({ id }) => id),
    damaged: segments.filter(({ fault }) => fault !== undefined).map(({ id }) => id),
    hasReaders: (status?.instances ?? []).some(({ role }) => role === 'reader'),
    lost: (status?.instances ?? []).filter(({ state }) => state === 'Lost').map(({ name }) => name),
  };
}

const describe = (pod: string, { namespace }: Place): string => `kubectl describe pod ${pod}${namespace}`;
const logs = (flag: string, { ours }: Place): string => `kubectl aurora logs ${ours} ${flag}`;
const explain = ({ name, namespace }: Place): string => `kubectl describe auroracluster ${name}${namespace}`;
const WATCH = ({ ours }: Place): string => `kubectl aurora status ${ours} --watch`;

const missing = (place: Place): readonly string[] => [
  'kubectl get nodes                  # is a node or a zone away?',
  ...place.missing.slice(0, 1).map((pod) => describe(pod, place)),
  WATCH(place),
];
const damaged = (place: Place): readonly string[] =>
  place.damaged.slice(0, 1).flatMap((pod) => [logs(`--segment ${pod}`, place), describe(pod, place)]);
const writer = (place: Place): readonly string[] => [
  WATCH(place),
  logs(`--instance ${place.writer}`, place),
  describe(place.writer, place),
];
const readers = (place: Place): readonly string[] => [
  WATCH(place),
  ...place.lost.slice(0, 1).map((pod) => describe(pod, place)),
  logs('--instance all --since 10m', place),
];
const edit = ({ name, namespace }: Place): string => `kubectl edit auroracluster ${name}${namespace}`;
const manifest = (place: Place): readonly string[] => [explain(place), edit(place)];

const STEPS: Readonly<Record<string, (place: Place) => readonly string[]>> = {
  SegmentsMissing: missing,
  QuorumLost: missing,
  SegmentDamaged: damaged,
  DiskError: damaged,
  DiskFull: (place) => [
    `kubectl patch auroracluster ${place.name}${place.namespace} --type=merge -p '{"spec":{"storage":{"size":"…"}}}'    # more than ${place.size}`,
    `kubectl aurora storage ${place.ours}`,
  ],
  WriterLost: writer,
  WriterStarting: writer,
  WriterFenced: writer,
  OpeningVolume: writer,
  Bootstrapping: writer,
  PostgresFailed: writer,
  WalDamaged: writer,
  WriterReplaced: (place) => [WATCH(place)],
  SettingsRefused: manifest,
  ParameterRefused: manifest,
  ParameterNotAllowed: manifest,
  SpecInvalid: manifest,
  FieldIgnored: manifest,
  BootstrapRefused: manifest,
  ReadersStarting: (place) => [WATCH(place)],
  ReadersLagging: readers,
  ReaderLost: readers,
  Unschedulable: (place) => ['kubectl get nodes', ...place.missing.slice(0, 1).map((pod) => describe(pod, place)), explain(place)],
  CacheVolumePending: (place) => [
    'kubectl get storageclass',
    ...place.missing.slice(0, 1).map((pod) => describe(pod, place)),
    explain(place),
  ],
  ImageUnavailable: (place) => [explain(place)],
  PodsOutdated: (place) => [WATCH(place)],
  StorageGrowing: (place) => [WATCH(place)],
  DataLossRisk: (place) => [explain(place), `kubectl aurora report ${place.ours}    # before anything is changed`],
  ReplicationSlotsLost: ({ ours }) => [`kubectl aurora psql ${ours} --superuser -- -c 'select * from pg_replication_slots'`],
  TokenLoginsUnavailable: (place) => [logs('--instance all --since 10m', place), explain(place)],
  SecretMissing: (place) => [explain(place)],
  PasswordNotApplied: (place) => [logs(`--instance ${place.writer}`, place)],
};
