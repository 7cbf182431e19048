import { DEFAULTS } from '../api/defaults.ts';
import {
  ANNOTATION,
  clusterLabels,
  computeName,
  instanceHosts,
  instancesServiceName,
  LABEL,
  PORT,
  segmentZone,
  selectorLabels,
  tlsSecretName,
  tokenReviewSecretName,
  settingsName,
  storageHost,
  storageName,
} from '../api/names.ts';
import { instanceSettings } from '../api/instance-settings.ts';
import { segmentIds, type SegmentId } from '../api/segment-id.ts';
import type { AuroraCluster } from '../api/types.ts';
import type { InstanceRole } from '../api/status-types.ts';
import type { EnvVar, Labels, Pod, PodVolume } from '../kube/objects.ts';
import { cacheEnvironment, cacheMount, cacheVolume } from './cache-volume.ts';
import { initSqlVolume } from './initdb-options.ts';
import { clusterKey, clusterNamespace, fingerprint, objectMetadata, restartMark } from './metadata.ts';
import { placementFields } from './placement.ts';
import { compileCache, containerSecurity, env, identityParts, imagePull, imagePullMark, podSecurity, probes } from './pod-parts.ts';
import { appCredentials, superuserCredentials } from './secrets.ts';
import { roleSuffix } from './storage-pod.ts';

/** Of a compute pod's ports: NAME-rw leads there. */
export const WRITER_PORT = 'writer';
/** The same of those where tokens are passwords. */
export const TOKEN_PORTS = { any: 'token', writer: 'token-writer' } as const;
const DATA_DIR = '/var/lib/kube-aurora/pgdata';
const SUPERUSER_DIR = '/etc/kube-aurora/superuser';
const SETTINGS_DIR = '/etc/kube-aurora/settings';
const INIT_SQL_DIR = '/etc/kube-aurora/init-sql';
const TLS_DIR = '/etc/kube-aurora/server-tls';
const CLIENT_CA_DIR = '/etc/kube-aurora/client-ca';
const APP_DIR = '/etc/kube-aurora/app';
const TOKEN_REVIEW_DIR = '/etc/kube-aurora/token-review';
const QUERIES_DIR = '/etc/kube-aurora/queries';

/** `id=zone=host:port` of all six daemons, with the zone each claim really stands in. */
export function storageAddresses(cluster: AuroraCluster, zoneOf: (segment: SegmentId) => string): string {
  const { name } = cluster.metadata;
  return segmentIds
    .map(
      (segment) =>
        `${storageName(name, segment)}=${zoneOf(segment)}=${storageHost(name, clusterNamespace(cluster), segment)}:${PORT.storage}/${PORT.storageFrames}${roleSuffix(cluster, segment)}`,
    )
    .join(',');
}

export interface ComputePodOptions {
  readonly ordinal: number;
  readonly role: InstanceRole;
  readonly volumeId: string;
  /** The volume held a database: an agent that finds nothing must not make a new one. */
  readonly volumeExists?: boolean;
  /** Zone to run in: compute keeps no data, so any zone will do, and reads are shortest in its own. */
  readonly zone: string;
  readonly image: string;
  /** Whether NAME-r leads to it while it is ready. */
  readonly serves?: boolean;
  /** Whether NAME-ro does. */
  readonly servesReads: boolean;
  /** Labels of the endpoints of spec.endpoints. */
  readonly endpoints?: Labels;
  /** Stands for the versions of what is mounted and may change while the pod runs. */
  readonly mountedVersions: string;
  readonly zoneOfSegment?: (segment: SegmentId) => string;
}

/** Set to what the pod's annotation says, at each start of its container. */
function ofAnnotation(name: string, annotation: string): EnvVar {
  return { name, valueFrom: { fieldRef: { fieldPath: `metadata.annotations['${annotation}']` } } };
}

/**
 * An instance's pod. Its hash leaves out the zone: a pod in another zone than a new one would get is not outdated. Role
 * is a label that Services select by; what an instance is the computes decide among themselves, through storage.
 */
export function computePod(cluster: AuroraCluster, input: ComputePodOptions): Pod {
  const { name } = cluster.metadata;
  const podName = computeName(name, input.ordinal);
  const { resources } = instanceSettings(cluster.spec, input.ordinal);
  const identity = identityParts(name, 'compute');
  const clientCa = cluster.spec.certificates.clientCASecret?.name;
  const zoneOf = input.zoneOfSegment ?? ((segment: SegmentId) => segmentZone(cluster.spec.storage.zones, segment));
  // Statements for the first database are mounted, and no reason to replace a pod once there is one: see initSql below.
  const sqlVolume = initSqlVolume(cluster);
  const pull = imagePull(cluster);
  const queries = cluster.spec.monitoring.customQueriesConfigMap?.name;
  // Not `made`: for the hash, without what is no reason to replace a pod.
  const build = (zone: string, sql: PodVolume | undefined, made: boolean): Pod['spec'] => ({
    hostname: podName,
    subdomain: instancesServiceName(name),
    restartPolicy: 'Always',
    terminationGracePeriodSeconds: 30,
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    ...placementFields(cluster.spec.compute, zone, selectorLabels(name, 'compute')),
    ...(made ? pull.pod : {}),
    securityContext: podSecurity,
    containers: [
      {
        name: 'compute-node',
        image: input.image,
        imagePullPolicy: DEFAULTS.imagePullPolicy,
        ...(made ? pull.container : {}),
        terminationMessagePolicy: 'FallbackToLogsOnError',
        env: [
          ...env({
            AURORA_CLUSTER: clusterKey(cluster),
            AURORA_INSTANCE: podName,
            AURORA_ROLE: 'auto',
            AURORA_ZONE: zone,
            AURORA_VOLUME_ID: input.volumeId,
            AURORA_STORAGE: storageAddresses(cluster, zoneOf),
            AURORA_DATA_DIR: DATA_DIR,
            AURORA_PG_LISTEN: `$(POD_IP):${PORT.postgres}`,
            AURORA_PG_WRITER_PORT: String(PORT.writer),
            AURORA_TOKEN_PORT: String(PORT.token),
            AURORA_TOKEN_WRITER_PORT: String(PORT.tokenWriter),
            AURORA_TOKEN_REVIEW_DIR: TOKEN_REVIEW_DIR,
            AURORA_INSTANCES: `${instanceHosts(name, clusterNamespace(cluster))}:${PORT.postgres}`,
            AURORA_METRICS_LISTEN: `$(POD_IP):${PORT.agentStatus}`,
            AURORA_SUPERUSER_PASSWORD_FILE: `${SUPERUSER_DIR}/password`,
            AURORA_APP_PASSWORD_FILE: `${APP_DIR}/password`,
            AURORA_APP_USER: cluster.spec.bootstrap.initdb.owner,
            AURORA_APP_DATABASE: cluster.spec.bootstrap.initdb.database,
            AURORA_SETTINGS_DIR: SETTINGS_DIR,
            ...identity.env,
            AURORA_TLS_DIR: TLS_DIR,
            ...(clientCa === undefined ? {} : { AURORA_CLIENT_CA_FILE: `${CLIENT_CA_DIR}/ca.crt` }),
            ...cacheEnvironment(cluster.spec.compute, resources),
            ...(sql === undefined ? {} : { AURORA_INIT_SQL_DIR: INIT_SQL_DIR }),
            ...(queries === undefined ? {} : { AURORA_QUERIES_DIR: QUERIES_DIR }),
          }),
          // From the pod's annotation, so that a container that starts again in a pod that once made the volume knows.
          ofAnnotation('AURORA_VOLUME_EXISTS', ANNOTATION.volumeExists),
        ],
        ports: [
          { name: 'postgres', containerPort: PORT.postgres },
          { name: WRITER_PORT, containerPort: PORT.writer },
          { name: TOKEN_PORTS.any, containerPort: PORT.token },
          { name: TOKEN_PORTS.writer, containerPort: PORT.tokenWriter },
          { name: 'metrics', containerPort: PORT.agentStatus },
        ],
        volumeMounts: [
          cacheMount(DATA_DIR),
          identity.mount,
          compileCache.mount,
          { name: 'superuser', mountPath: SUPERUSER_DIR, readOnly: true },
          { name: 'app', mountPath: APP_DIR, readOnly: true },
          { name: 'settings', mountPath: SETTINGS_DIR, readOnly: true },
          ...(queries === undefined ? [] : [{ name: 'queries', mountPath: QUERIES_DIR, readOnly: true }]),
          { name: 'server-tls', mountPath: TLS_DIR, readOnly: true },
          { name: 'token-review', mountPath: TOKEN_REVIEW_DIR, readOnly: true },
          ...(clientCa === undefined ? [] : [{ name: 'client-ca', mountPath: CLIENT_CA_DIR, readOnly: true }]),
          ...(sql === undefined ? [] : [{ name: sql.name, mountPath: INIT_SQL_DIR, readOnly: true }]),
        ],
        ...(resources === undefined ? {} : { resources }),
        securityContext: containerSecurity,
        ...probes('metrics', { readinessSeconds: 1 }),
      },
    ],
    volumes: [
      cacheVolume(cluster, made),
      // Optional: a Secret that is gone must not keep a writer from starting; its role keeps the password it has.
      { name: 'superuser', secret: { secretName: superuserCredentials(cluster).secretName, defaultMode: 0o440, optional: true } },
      { name: 'app', secret: { secretName: appCredentials(cluster).secretName, defaultMode: 0o440, optional: true } },
      { name: 'settings', configMap: { name: settingsName(name) } },
      identity.volume,
      // The same of these: PostgreSQL goes on with the certificate that it has.
      { name: 'server-tls', secret: { secretName: tlsSecretName(name, 'server'), defaultMode: 0o440, optional: true } },
      // It comes with the first login by a token.
      { name: 'token-review', secret: { secretName: tokenReviewSecretName(name), defaultMode: 0o440, optional: true } },
      ...(clientCa === undefined
        ? []
        : [
            {
              name: 'client-ca',
              // Not its key, should that be there too.
              secret: { secretName: clientCa, defaultMode: 0o440, optional: true, items: [{ key: 'ca.crt', path: 'ca.crt' }] },
            },
          ]),
      compileCache.volume,
      // Optional: a database is there without its metrics.
      ...(queries === undefined ? [] : [{ name: 'queries', configMap: { name: queries, optional: true } }]),
      ...(sql === undefined ? [] : [sql]),
    ],
  });
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: objectMetadata(cluster, {
      name: podName,
      labels: {
        ...clusterLabels(name, 'compute'),
        [LABEL.role]: input.role,
        [LABEL.serves]: String(input.serves ?? true),
        [LABEL.servesReads]: String(input.servesReads),
        ...input.endpoints,
        [LABEL.zone]: input.zone,
      },
      annotations: {
        [ANNOTATION.specHash]: fingerprint(build('', undefined, false)),
        ...imagePullMark(cluster),
        [ANNOTATION.volumeExists]: String(input.volumeExists ?? false),
        [ANNOTATION.mountedVersions]: input.mountedVersions,
        ...(sqlVolume === undefined ? {} : { [ANNOTATION.initSql]: fingerprint(sqlVolume) }),
        ...restartMark(cluster),
      },
    }),
    spec: build(input.zone, sqlVolume, true),
  };
}
