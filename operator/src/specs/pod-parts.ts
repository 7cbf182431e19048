import { MEMORY_ENVIRONMENT } from '@kube-aurora/process';
import type { ProgramRole } from '@kube-aurora/identity';
import { DEFAULTS } from '../api/defaults.ts';
import { ANNOTATION, IDENTITY_DIR, IDENTITY_ENV, tlsSecretName } from '../api/names.ts';
import type { AuroraCluster } from '../api/types.ts';
import type { Container, EnvVar, Labels, PodSpec, PodVolume } from '../kube/objects.ts';
import { fingerprint } from './metadata.ts';

/** Parts that storage and compute pods share. */

/** First in the list: later entries refer to it as $(POD_IP). */
export const podIpEnv: EnvVar = { name: 'POD_IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } };

const COMPILE_CACHE_DIR = '/var/cache/kube-aurora';

/** Compiled code outlives a container that was killed: the next one of its pod starts in half the time. */
export const compileCache = {
  volume: { name: 'compile-cache', emptyDir: { sizeLimit: '256Mi' } },
  mount: { name: 'compile-cache', mountPath: COMPILE_CACHE_DIR },
} as const;

/** Who a program is to others, and whom it believes; kept up to date in the pod. */
export function identityParts(
  cluster: string,
  role: ProgramRole,
): {
  readonly env: Readonly<Record<string, string>>;
  readonly volume: PodVolume;
  readonly mount: { readonly name: string; readonly mountPath: string; readonly readOnly: true };
} {
  return {
    env: { [IDENTITY_ENV]: IDENTITY_DIR },
    volume: { name: 'identity', secret: { secretName: tlsSecretName(cluster, role), defaultMode: 0o440 } },
    mount: { name: 'identity', mountPath: IDENTITY_DIR, readOnly: true },
  };
}

export function env(values: Readonly<Record<string, string>>): readonly EnvVar[] {
  return [
    podIpEnv,
    ...Object.entries({ ...MEMORY_ENVIRONMENT, NODE_COMPILE_CACHE: COMPILE_CACHE_DIR, ...values }).map(([name, value]) => ({
      name,
      value,
    })),
  ];
}

/** User and group the images run as; the kubelet gives volumes to the group. */
const RUN_AS = 10_001;

export const podSecurity = {
  runAsNonRoot: true,
  runAsUser: RUN_AS,
  runAsGroup: RUN_AS,
  fsGroup: RUN_AS,
  fsGroupChangePolicy: 'OnRootMismatch',
  seccompProfile: { type: 'RuntimeDefault' },
} as const;

/** What the Pod Security Standard `restricted` asks of any container. */
export const withoutRights = { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } };

export const containerSecurity: NonNullable<Container['securityContext']> = {
  ...withoutRights,
  // They write to volumes alone.
  readOnlyRootFilesystem: true,
};

/**
 * A process that answers nothing for this long is killed. Machines stall for many seconds; a kill makes a stall longer.
 */
export const HUNG_SECONDS = 80;

export interface ProbeTimes {
  readonly readinessSeconds: number;
}

/**
 * How long a program may take until it answers at all: it reads its disks, or the machine starts everything at once.
 */
const START_SECONDS = 600;

/**
 * A killed process is seen by the kubelet at once; probes find one that lives and does not do its work.
 * - startup: once a second until the first answer. Readiness is asked for only after it, so it has to be quick to see.
 * - readiness: one "no" is enough, so that clients stay away at once; an answer may take five seconds, so that a slow
 *   machine's "yes" still counts as one.
 * - liveness: `HUNG_SECONDS` without a single answer. After a kill the startup probe's time begins anew, so a slow
 *   machine cannot turn the two into a restart loop.
 */
export function probes(port: string, times: ProbeTimes): Pick<Container, 'startupProbe' | 'readinessProbe' | 'livenessProbe'> {
  const get = (path: string) => ({ httpGet: { path, port } });
  return {
    startupProbe: { ...get('/healthz'), periodSeconds: 1, timeoutSeconds: 5, failureThreshold: START_SECONDS },
    readinessProbe: { ...get('/readyz'), periodSeconds: times.readinessSeconds, timeoutSeconds: 5, failureThreshold: 1 },
    livenessProbe: { ...get('/healthz'), periodSeconds: 20, timeoutSeconds: 20, failureThreshold: HUNG_SECONDS / 20 + 1 },
  };
}

/** How images come to nodes, for the pod and for its container; part of no hash: it matters to a pod that waits for its image alone. */
export function imagePull({ spec }: AuroraCluster): {
  readonly pod: Pick<PodSpec, 'imagePullSecrets'>;
  readonly container: Pick<Container, 'imagePullPolicy'>;
} {
  const { imagePullPolicy, imagePullSecrets } = spec;
  return { pod: imagePullSecrets.length === 0 ? {} : { imagePullSecrets }, container: { imagePullPolicy } };
}

/** Stands for it on a pod; nothing where the manifest says nothing. */
export function imagePullMark({ spec }: AuroraCluster): Labels {
  const { imagePullPolicy, imagePullSecrets } = spec;
  if (imagePullPolicy === DEFAULTS.imagePullPolicy && imagePullSecrets.length === 0) return {};
  return { [ANNOTATION.imagePull]: fingerprint({ imagePullPolicy, imagePullSecrets }) };
}
