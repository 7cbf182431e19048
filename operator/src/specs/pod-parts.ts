import { MEMORY_ENVIRONMENT } from '@kube-aurora/process';
import { HOST_TOPOLOGY, ZONE_TOPOLOGY } from '../api/names.ts';
import type { Container, EnvVar, Labels, Probe } from '../kube/objects.ts';

/** Parts that storage and compute pods share. */

/** First in the list: later entries refer to it as $(POD_IP). */
export const podIpEnv: EnvVar = { name: 'POD_IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } };

const COMPILE_CACHE_DIR = '/var/cache/kube-aurora';

/** Compiled code outlives a container that was killed: the next one of its pod starts in half the time. */
export const compileCache = {
  volume: { name: 'compile-cache', emptyDir: { sizeLimit: '256Mi' } },
  mount: { name: 'compile-cache', mountPath: COMPILE_CACHE_DIR },
} as const;

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

export const containerSecurity: NonNullable<Container['securityContext']> = {
  allowPrivilegeEscalation: false,
  capabilities: { drop: ['ALL'] },
};

function probe(path: string, port: string, periodSeconds: number, failureThreshold: number): Probe {
  return { httpGet: { path, port }, periodSeconds, timeoutSeconds: 2, failureThreshold };
}

export interface ProbeTimes {
  readonly readinessSeconds: number;
  /** For a program that answers only once it has read its disks: how long that may take. Without it, there is no startup probe. */
  readonly startSeconds?: number;
}

/**
 * A killed process is seen by the kubelet at once; probes find one that lives and does not do its work. Killed only after
 * 30 s of silence, since a slow disk is no reason. After a startup probe the kubelet asks for readiness at once; where
 * readiness itself is waited for there is none, as it would only delay.
 */
export function probes(port: string, times: ProbeTimes): Pick<Container, 'startupProbe' | 'readinessProbe' | 'livenessProbe'> {
  const { readinessSeconds, startSeconds } = times;
  return {
    ...(startSeconds === undefined ? {} : { startupProbe: probe('/healthz', port, 1, startSeconds) }),
    readinessProbe: probe('/readyz', port, readinessSeconds, readinessSeconds === 1 ? 3 : 2),
    livenessProbe: probe('/healthz', port, 15, 2),
  };
}

export function zoneAffinity(zone: string): object {
  return {
    requiredDuringSchedulingIgnoredDuringExecution: {
      nodeSelectorTerms: [{ matchExpressions: [{ key: ZONE_TOPOLOGY, operator: 'In', values: [zone] }] }],
    },
  };
}

/** Rather not on a node that has a pod like this one; a zone may have one node only, so it is no demand. */
export function spreadOverNodes(matchLabels: Labels): object {
  return {
    preferredDuringSchedulingIgnoredDuringExecution: [
      { weight: 100, podAffinityTerm: { labelSelector: { matchLabels }, topologyKey: HOST_TOPOLOGY } },
    ],
  };
}
