// Typed views of the built-in kinds that local-kube itself acts upon: only the fields that it reads or writes.
// https://kubernetes.io/docs/reference/kubernetes-api/
import type { Json, JsonObject, ObjectMeta } from './store/object.ts';

export type Condition = {
  type: string;
  status: string;
  reason?: string;
  message?: string;
  lastTransitionTime?: string;
  lastProbeTime?: null;
  lastHeartbeatTime?: string;
  observedGeneration?: number;
};

type Kind<Spec, Status> = { apiVersion: string; kind: string; metadata: ObjectMeta; spec: Spec; status?: Status };

export type KeySelector = { name?: string; key: string; optional?: boolean };
export type EnvVar = {
  name: string;
  value?: string;
  valueFrom?: {
    fieldRef?: { fieldPath: string };
    secretKeyRef?: KeySelector;
    configMapKeyRef?: KeySelector;
    resourceFieldRef?: JsonObject;
  };
};
export type EnvFromSource = {
  prefix?: string;
  configMapRef?: { name?: string; optional?: boolean };
  secretRef?: { name?: string; optional?: boolean };
};
export type Probe = {
  exec?: { command?: string[] };
  httpGet?: { path?: string; port: number | string; host?: string; scheme?: string; httpHeaders?: { name: string; value: string }[] };
  tcpSocket?: { port: number | string; host?: string };
  initialDelaySeconds?: number;
  periodSeconds?: number;
  timeoutSeconds?: number;
  successThreshold?: number;
  failureThreshold?: number;
};
export type ContainerPort = { name?: string; containerPort: number; protocol?: string };
export type VolumeMount = { name: string; mountPath: string; subPath?: string; readOnly?: boolean };
export type Container = {
  terminationMessagePolicy?: string;
  name: string;
  image?: string;
  command?: string[];
  args?: string[];
  workingDir?: string;
  env?: EnvVar[];
  envFrom?: EnvFromSource[];
  ports?: ContainerPort[];
  volumeMounts?: VolumeMount[];
  livenessProbe?: Probe;
  readinessProbe?: Probe;
  startupProbe?: Probe;
  restartPolicy?: string;
  resources?: { requests?: { [resource: string]: Json }; limits?: { [resource: string]: Json } };
};
export type KeyToPath = { key: string; path: string; mode?: number };
export type DownwardItem = { path: string; fieldRef?: { fieldPath: string }; mode?: number };
export type ServiceAccountTokenSource = { path: string; audience?: string; expirationSeconds?: number };
export type VolumeProjection = {
  secret?: { name?: string; items?: KeyToPath[]; optional?: boolean };
  configMap?: { name?: string; items?: KeyToPath[]; optional?: boolean };
  downwardAPI?: { items?: DownwardItem[] };
  serviceAccountToken?: ServiceAccountTokenSource;
};
export type Volume = {
  name: string;
  emptyDir?: JsonObject;
  hostPath?: { path: string; type?: string };
  secret?: { secretName?: string; items?: KeyToPath[]; optional?: boolean; defaultMode?: number };
  configMap?: { name?: string; items?: KeyToPath[]; optional?: boolean; defaultMode?: number };
  downwardAPI?: { items?: DownwardItem[]; defaultMode?: number };
  projected?: { sources?: VolumeProjection[]; defaultMode?: number };
  persistentVolumeClaim?: { claimName: string; readOnly?: boolean };
  ephemeral?: { volumeClaimTemplate?: ClaimTemplate };
};
/** Of a claim that is made for a pod, and goes with it. */
export type ClaimTemplate = { metadata?: { labels?: StringMap; annotations?: StringMap }; spec?: JsonObject };
type StringMap = { [key: string]: string };
export type NodeSelectorTerm = { matchExpressions?: JsonObject[]; matchFields?: JsonObject[] };
export type PodAffinityTerm = { labelSelector?: JsonObject; topologyKey: string; namespaces?: string[] };
export type Affinity = {
  nodeAffinity?: {
    requiredDuringSchedulingIgnoredDuringExecution?: { nodeSelectorTerms: NodeSelectorTerm[] };
    preferredDuringSchedulingIgnoredDuringExecution?: { weight: number; preference: NodeSelectorTerm }[];
  };
  podAffinity?: PodAffinity;
  podAntiAffinity?: PodAffinity;
};
export type PodAffinity = {
  requiredDuringSchedulingIgnoredDuringExecution?: PodAffinityTerm[];
  preferredDuringSchedulingIgnoredDuringExecution?: { weight: number; podAffinityTerm: PodAffinityTerm }[];
};
export type PodSpec = {
  nodeName?: string;
  nodeSelector?: { [key: string]: string };
  affinity?: Affinity;
  tolerations?: { key?: string; operator?: string; value?: string; effect?: string }[];
  containers: Container[];
  initContainers?: Container[];
  volumes?: Volume[];
  restartPolicy?: string;
  terminationGracePeriodSeconds?: number;
  hostname?: string;
  subdomain?: string;
  serviceAccountName?: string;
  automountServiceAccountToken?: boolean;
  schedulingGates?: { name: string }[];
};
export type ContainerState = {
  waiting?: { reason: string; message?: string };
  running?: { startedAt: string };
  terminated?: {
    exitCode: number;
    signal?: number;
    reason: string;
    message?: string;
    startedAt?: string;
    finishedAt?: string;
    containerID?: string;
  };
};
export type ContainerStatus = {
  name: string;
  state: ContainerState;
  lastState: ContainerState;
  ready: boolean;
  restartCount: number;
  image: string;
  imageID: string;
  containerID?: string;
  started?: boolean;
};
export type PodStatus = {
  phase?: string;
  conditions?: Condition[];
  podIP?: string;
  podIPs?: { ip: string }[];
  hostIP?: string;
  hostIPs?: { ip: string }[];
  startTime?: string;
  containerStatuses?: ContainerStatus[];
  initContainerStatuses?: ContainerStatus[];
  reason?: string;
  message?: string;
  qosClass?: string;
};
export type Pod = Kind<PodSpec, PodStatus>;

export type Taint = { key: string; value?: string; effect: string; timeAdded?: string };
export type Node = Kind<{ taints?: Taint[]; unschedulable?: boolean; podCIDR?: string }, JsonObject>;

export type ServicePort = {
  name?: string;
  port: number;
  targetPort?: number | string;
  protocol?: string;
  nodePort?: number;
  appProtocol?: string;
};
export type Service = Kind<
  {
    type?: string;
    clusterIP?: string;
    clusterIPs?: string[];
    selector?: { [key: string]: string };
    ports?: ServicePort[];
    publishNotReadyAddresses?: boolean;
    externalName?: string;
    sessionAffinity?: string;
  },
  JsonObject
>;

export type Claim = Kind<
  {
    accessModes?: string[];
    volumeName?: string;
    storageClassName?: string;
    resources?: { requests?: { storage?: Json } };
    volumeMode?: string;
  },
  { phase?: string; capacity?: JsonObject; accessModes?: string[] }
>;

export function podIsReady(pod: Pod): boolean {
  return pod.status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True') === true;
}
