import type {
  AuroraClusterSpec,
  LoginSpec,
  AutoscalingSpec,
  CacheVolumeSpec,
  InitdbSpec,
  Metadata,
  PlacementSpec,
  Resources,
  EncryptionSpec,
} from './types.ts';

/** One place for every default: the schema publishes them, withDefaults applies them to objects that never met it. */
export const DEFAULTS = {
  postgresVersion: '18',
  instances: 1,
  maxLag: '30s',
  drainTimeout: '60s',
  minInstances: 2,
  /** Of spec.autoscaling, in both directions; Aurora's own. */
  cooldown: '300s',
  failoverAfter: '2s',
  switchoverDrain: '2s',
  warmCache: true,
  warmPagesPerSecond: 1000,
  promotionTier: 1,
  endpointType: 'Reader',
  requireTLS: false,
  zones: ['zone-a', 'zone-b', 'zone-c'],
  /** Of volumes that are made from now on: what a volume was made with stands in its cluster's spec. */
  copies: 'Full',
  /** Long enough for a node that restarts, short enough that tails do not fill their disks meanwhile. */
  standInAfterSeconds: 600,
  reclaimPolicy: 'Retain',
  deletionProtection: true,
  database: 'app',
  owner: 'app',
  /**
   * A pod that asks for nothing is BestEffort: on a node that is short of CPU it gets next to none, and on one that is short of memory it is
   * the first to be killed or evicted. So a database's pods ask for what they need when little is done.
   */
  storageResources: { requests: { cpu: '100m', memory: '256Mi' } },
  imagePullPolicy: 'IfNotPresent',
  computeResources: { requests: { cpu: '250m', memory: '512Mi' } },
} as const;

/** A year: one that is away for longer than that is gone. */
export const STAND_IN_AFTER_SECONDS_MAX = 31_536_000;

/**
 * Of spec.failover.after. A writer's lease of two seconds is renewed twice a second, and one renewal may be late; a lost
 * writer's lease has to run out as well, so less would gain nothing.
 */
export const FAILOVER_AFTER_MIN = '1s';
export const FAILOVER_AFTER_MAX = '60s';

/** Of spec.failover.switchoverDrain: nobody begins a transaction for so long. */
export const SWITCHOVER_DRAIN_MAX = '10s';
/** Of spec.failover.warmCache: 781 MiB a second, more than storage gives to one that asks for one run of pages after another. */
export const WARM_PAGES_PER_SECOND_MAX = 100_000;

/** Of spec.readers.drainTimeout and of spec.autoscaling's cool-downs. */
export const DRAIN_TIMEOUT_MAX = '1h';
export const COOLDOWN_MAX = '24h';

/** 0 is the first to take a lost writer's place. */
export const PROMOTION_TIER_MAX = 15;

type DeepPartial<T> = T extends readonly unknown[] ? T : T extends object ? { readonly [K in keyof T]?: DeepPartial<T[K]> | undefined } : T;

function autoscalingWithDefaults(spec: DeepPartial<AutoscalingSpec>): AutoscalingSpec {
  return {
    minInstances: spec.minInstances ?? DEFAULTS.minInstances,
    // The schema demands it; without, nothing is added.
    maxInstances: spec.maxInstances ?? spec.minInstances ?? DEFAULTS.minInstances,
    target: (spec.target ?? {}) as AutoscalingSpec['target'],
    scaleOutCooldown: spec.scaleOutCooldown ?? DEFAULTS.cooldown,
    scaleInCooldown: spec.scaleInCooldown ?? DEFAULTS.cooldown,
  };
}

/** Only what is there: an absent field is no field, in the hash of a pod as well. */
function placementOf(spec: DeepPartial<PlacementSpec> | undefined): PlacementSpec {
  const { nodeSelector, tolerations, affinity, topologySpreadConstraints, priorityClassName } = spec ?? {};
  const all = { nodeSelector, tolerations, affinity, topologySpreadConstraints, priorityClassName };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as PlacementSpec;
}

/**
 * The spec with every default filled in. An API server does the same from the schema; objects stored before a field
 * got its default have not been through it.
 */
export function withDefaults(spec: DeepPartial<AuroraClusterSpec>): AuroraClusterSpec {
  const initdb = spec.bootstrap?.initdb;
  const secretName = initdb?.secret?.name;
  const superuserName = spec.superuserSecret?.name;
  const clientCaName = spec.certificates?.clientCASecret?.name;
  const storage = spec.storage;
  const authorityName = spec.certificates?.authoritySecret?.name;
  return {
    postgresVersion: spec.postgresVersion ?? DEFAULTS.postgresVersion,
    instances: spec.instances ?? DEFAULTS.instances,
    deletionProtection: spec.deletionProtection ?? DEFAULTS.deletionProtection,
    readers: {
      maxLag: spec.readers?.maxLag ?? DEFAULTS.maxLag,
      drainTimeout: spec.readers?.drainTimeout ?? DEFAULTS.drainTimeout,
    },
    ...(spec.autoscaling === undefined ? {} : { autoscaling: autoscalingWithDefaults(spec.autoscaling) }),
    failover: {
      after: spec.failover?.after ?? DEFAULTS.failoverAfter,
      switchoverDrain: spec.failover?.switchoverDrain ?? DEFAULTS.switchoverDrain,
      warmCache: {
        enabled: spec.failover?.warmCache?.enabled ?? DEFAULTS.warmCache,
        pagesPerSecond: spec.failover?.warmCache?.pagesPerSecond ?? DEFAULTS.warmPagesPerSecond,
      },
    },
    instanceOverrides: spec.instanceOverrides ?? [],
    endpoints: (spec.endpoints ?? []).map((endpoint) => ({ ...endpoint, type: endpoint.type ?? DEFAULTS.endpointType })),
    storage: {
      size: storage?.size ?? '',
      zones: storage?.zones ?? DEFAULTS.zones,
      copies: storage?.copies ?? DEFAULTS.copies,
      standInAfterSeconds: storage?.standInAfterSeconds ?? DEFAULTS.standInAfterSeconds,
      reclaimPolicy: storage?.reclaimPolicy ?? DEFAULTS.reclaimPolicy,
      ...(storage?.storageClassName === undefined ? {} : { storageClassName: storage.storageClassName }),
      ...(storage?.encryption === undefined ? {} : { encryption: storage.encryption as EncryptionSpec }),
      resources: (storage?.resources ?? DEFAULTS.storageResources) as Resources,
      ...placementOf(storage),
    },
    bootstrap: {
      initdb: {
        ...(initdb as Partial<InitdbSpec> | undefined),
        database: initdb?.database ?? DEFAULTS.database,
        owner: initdb?.owner ?? DEFAULTS.owner,
        ...(secretName === undefined ? {} : { secret: { name: secretName } }),
      },
    },
    ...(superuserName === undefined ? {} : { superuserSecret: { name: superuserName } }),
    postgresql: {
      parameters: (spec.postgresql?.parameters ?? {}) as Readonly<Record<string, string>>,
      pg_hba: (spec.postgresql?.pg_hba ?? []) as readonly string[],
      requireTLS: spec.postgresql?.requireTLS ?? DEFAULTS.requireTLS,
      logins: (spec.postgresql?.logins ?? []) as readonly LoginSpec[],
    },
    certificates: {
      ...(authorityName === undefined ? {} : { authoritySecret: { name: authorityName } }),
      ...(clientCaName === undefined ? {} : { clientCASecret: { name: clientCaName } }),
    },
    compute: {
      resources: (spec.compute?.resources ?? DEFAULTS.computeResources) as Resources,
      ...(spec.compute?.cacheSize === undefined ? {} : { cacheSize: spec.compute.cacheSize }),
      ...(spec.compute?.cacheVolume === undefined ? {} : { cacheVolume: spec.compute.cacheVolume as CacheVolumeSpec }),
      ...placementOf(spec.compute),
    },
    monitoring: monitoringOf(spec.monitoring?.customQueriesConfigMap?.name),
    images: {
      ...(spec.images?.storageDaemon === undefined ? {} : { storageDaemon: spec.images.storageDaemon }),
      ...(spec.images?.computeNode === undefined ? {} : { computeNode: spec.images.computeNode }),
    },
    imagePullPolicy: spec.imagePullPolicy ?? DEFAULTS.imagePullPolicy,
    imagePullSecrets: spec.imagePullSecrets ?? [],
    ...(spec.inheritedMetadata === undefined ? {} : { inheritedMetadata: spec.inheritedMetadata as Metadata }),
    ...(spec.services === undefined ? {} : { services: spec.services as NonNullable<AuroraClusterSpec['services']> }),
  };
}

function monitoringOf(queries: string | undefined): AuroraClusterSpec['monitoring'] {
  return queries === undefined ? {} : { customQueriesConfigMap: { name: queries } };
}
