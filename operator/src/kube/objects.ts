/**
 * The Kubernetes objects the operator reads and writes, with the fields it uses. The client's own classes describe
 * times as Date where the wire (and so every cache) has text, and make every field optional; these say what is true.
 * Source: https://kubernetes.io/docs/reference/kubernetes-api/
 */

/** RFC 3339 text on the wire; the client's typings call it Date. */
export type Timestamp = string | Date;

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
}

export type Labels = Readonly<Record<string, string>>;

export interface ObjectMeta {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly creationTimestamp?: Timestamp;
  readonly deletionTimestamp?: Timestamp;
  readonly labels?: Labels;
  readonly annotations?: Labels;
  readonly ownerReferences?: readonly OwnerReference[];
  readonly finalizers?: readonly string[];
}

export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMeta;
}

export interface EnvVar {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: { readonly fieldRef: { readonly fieldPath: string } };
}

export interface Probe {
  readonly httpGet: { readonly path: string; readonly port: number | string };
  readonly initialDelaySeconds?: number;
  readonly periodSeconds: number;
  readonly timeoutSeconds: number;
  readonly failureThreshold: number;
}

export interface Container {
  readonly name: string;
  readonly image: string;
  readonly imagePullPolicy?: string;
  /** FallbackToLogsOnError: the end of a failed container's log says why it ended. */
  readonly terminationMessagePolicy?: 'FallbackToLogsOnError';
  readonly env: readonly EnvVar[];
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string; readonly readOnly?: boolean }[];
  readonly resources?: unknown;
  readonly securityContext?: unknown;
  readonly startupProbe?: Probe;
  readonly readinessProbe?: Probe;
  readonly livenessProbe?: Probe;
}

/** A container that starts before the others of its pod and goes on beside them: an init container that restarts always. */
export interface Sidecar {
  readonly name: string;
  readonly image: string;
  readonly imagePullPolicy?: string;
  readonly restartPolicy: 'Always';
  readonly terminationMessagePolicy?: 'FallbackToLogsOnError';
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly env: readonly {
    readonly name: string;
    readonly value?: string;
    readonly valueFrom?: { readonly secretKeyRef: { readonly name: string; readonly key: string } };
  }[];
  readonly volumeMounts: Container['volumeMounts'];
  readonly resources?: unknown;
  readonly securityContext?: unknown;
}

interface KeyProjection {
  readonly name: string;
  readonly items: readonly { readonly key: string; readonly path: string }[];
  readonly optional?: boolean;
}

export interface PodVolume {
  readonly name: string;
  readonly persistentVolumeClaim?: { readonly claimName: string };
  readonly emptyDir?: { readonly sizeLimit?: string };
  /** A claim that is made for the pod and goes with it: POD-VOLUME. */
  readonly ephemeral?: {
    readonly volumeClaimTemplate: {
      readonly metadata?: { readonly labels?: Labels; readonly annotations?: Labels };
      readonly spec: Omit<VolumeClaim['spec'], 'volumeName'>;
    };
  };
  readonly secret?: {
    readonly secretName: string;
    readonly items?: readonly { readonly key: string; readonly path: string }[];
    readonly defaultMode?: number;
    readonly optional?: boolean;
  };
  readonly configMap?: { readonly name: string; readonly optional?: boolean };
  readonly projected?: {
    readonly sources: readonly {
      readonly secret?: KeyProjection;
      readonly configMap?: KeyProjection;
      readonly serviceAccountToken?: { readonly path: string; readonly audience: string; readonly expirationSeconds: number };
    }[];
    readonly defaultMode?: number;
  };
}

export interface PodSpec {
  readonly hostname?: string;
  readonly subdomain?: string;
  readonly nodeName?: string;
  readonly restartPolicy: 'Always';
  readonly terminationGracePeriodSeconds: number;
  readonly automountServiceAccountToken: false;
  readonly enableServiceLinks: false;
  readonly affinity?: unknown;
  readonly nodeSelector?: Labels;
  readonly tolerations?: readonly object[];
  readonly topologySpreadConstraints?: readonly object[];
  readonly priorityClassName?: string;
  readonly imagePullSecrets?: readonly { readonly name: string }[];
  readonly securityContext?: unknown;
  readonly initContainers?: readonly Sidecar[];
  readonly containers: readonly Container[];
  readonly volumes: readonly PodVolume[];
}

export interface ContainerStatus {
  readonly name: string;
  readonly ready?: boolean;
  readonly restartCount?: number;
  readonly state?: {
    readonly waiting?: { readonly reason?: string; readonly message?: string };
    readonly running?: { readonly startedAt?: Timestamp };
    readonly terminated?: ContainerTermination;
  };
  readonly lastState?: { readonly terminated?: ContainerTermination };
}

export interface ContainerTermination {
  readonly exitCode: number;
  readonly reason?: string;
  readonly message?: string;
  readonly startedAt?: Timestamp;
  readonly finishedAt?: Timestamp;
}

export interface PodCondition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
  readonly lastTransitionTime?: Timestamp;
}

export interface Pod extends KubeObject {
  readonly spec: PodSpec;
  readonly status?: {
    readonly phase?: string;
    readonly reason?: string;
    readonly message?: string;
    readonly podIP?: string;
    readonly conditions?: readonly PodCondition[];
    readonly initContainerStatuses?: readonly ContainerStatus[];
    readonly containerStatuses?: readonly ContainerStatus[];
  };
}

export interface VolumeClaim extends KubeObject {
  readonly spec: {
    readonly accessModes: readonly string[];
    readonly storageClassName?: string;
    readonly resources: { readonly requests: { readonly storage: string } };
    readonly volumeName?: string;
  };
  readonly status?: {
    readonly phase?: string;
    readonly capacity?: { readonly storage?: string };
    readonly conditions?: readonly PodCondition[];
  };
}

export interface StorageClass extends KubeObject {
  readonly allowVolumeExpansion?: boolean;
}

export interface Service extends KubeObject {
  readonly spec: {
    readonly type: 'ClusterIP' | 'LoadBalancer';
    readonly loadBalancerClass?: string;
    readonly clusterIP?: string;
    readonly selector: Labels;
    readonly publishNotReadyAddresses?: boolean;
    readonly ports: readonly {
      readonly name: string;
      readonly port: number;
      readonly targetPort: number | string;
      readonly protocol: 'TCP';
    }[];
  };
}

export interface Secret extends KubeObject {
  readonly type?: string;
  /** Base64 on the wire. */
  readonly data?: Readonly<Record<string, string>>;
}

export interface ConfigMap extends KubeObject {
  readonly data?: Readonly<Record<string, string>>;
}

export interface Node extends KubeObject {
  readonly spec?: {
    readonly unschedulable?: boolean;
    readonly taints?: readonly { readonly key: string; readonly value?: string; readonly effect: string }[];
  };
  readonly status?: { readonly conditions?: readonly PodCondition[] };
}

export interface DisruptionBudget extends KubeObject {
  readonly spec: {
    readonly minAvailable: number;
    readonly selector: {
      readonly matchLabels: Labels;
      readonly matchExpressions?: readonly { readonly key: string; readonly operator: 'NotIn'; readonly values: readonly string[] }[];
    };
  };
}

/** `namespace/name`: how a queue and a map name an object. */
export function objectKey(object: KubeObject): string {
  return `${object.metadata.namespace ?? ''}/${object.metadata.name}`;
}

/** Milliseconds since 1970; NaN-free: an absent time is undefined. */
export function timeMs(time: Timestamp | undefined): number | undefined {
  if (time === undefined) return undefined;
  const ms = new Date(time).getTime();
  return Number.isNaN(ms) ? undefined : ms;
}

export function isTerminating(object: KubeObject): boolean {
  return object.metadata.deletionTimestamp !== undefined;
}

export function podCondition(pod: Pod, type: string): PodCondition | undefined {
  return pod.status?.conditions?.find((condition) => condition.type === type);
}

export function isPodReady(pod: Pod): boolean {
  return !isTerminating(pod) && podCondition(pod, 'Ready')?.status === 'True';
}

export function isNodeReady(node: Node): boolean {
  return node.status?.conditions?.find((condition) => condition.type === 'Ready')?.status === 'True';
}
