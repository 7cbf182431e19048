import type { VolumeCopies } from '@kube-aurora/volume';
import type { KubeObject, Labels } from '../kube/objects.ts';
import type { AuroraClusterStatus } from './status-types.ts';

export const API_GROUP = 'kube-aurora.dev';
export const API_VERSION = 'v1alpha1';
export const API_GROUP_VERSION = `${API_GROUP}/${API_VERSION}`;
export const CLUSTER_KIND = 'AuroraCluster';
export const CLUSTER_PLURAL = 'auroraclusters';

/** Six segments (copies) make a protection group; two stand in each of three zones. */
export const SEGMENTS = 6;

/** One writer and at most fifteen readers. */
export const INSTANCES_MAX = 16;

/** Requests and limits as Kubernetes has them: resource name to quantity. */
export interface Resources {
  readonly requests?: Readonly<Record<string, string | number>>;
  readonly limits?: Readonly<Record<string, string | number>>;
}

/** Keys of objects in the cluster's namespace. */
export interface KeyReference {
  readonly name: string;
  readonly key: string;
}

/** Where the key that wraps data keys is: exactly one of the two. */
export interface EncryptionKeySource {
  readonly secret?: KeyReference;
  readonly kms?: KmsSpec;
}

/** `spec.storage.encryption`. */
export interface EncryptionSpec {
  readonly key: EncryptionKeySource;
  /** That wrapped before, and unwraps. */
  readonly before?: EncryptionKeySource;
}

/** A plugin of Kubernetes' KMS v2 API, as a container beside each storage daemon. */
export interface KmsSpec {
  readonly image: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly env?: readonly {
    readonly name: string;
    readonly value?: string;
    readonly valueFrom?: { readonly secretKeyRef: KeyReference };
  }[];
  readonly secret?: { readonly name: string };
  readonly serviceAccountToken?: { readonly audience: string };
  readonly resources?: Resources;
}

/** Statements that stand in Secrets and ConfigMaps; those of the Secrets run first. */
export interface SqlReferences {
  readonly secretRefs?: readonly KeyReference[];
  readonly configMapRefs?: readonly KeyReference[];
}

/** How a new database system is made; names as CloudNativePG has them. */
export interface InitdbSpec {
  readonly database: string;
  readonly owner: string;
  readonly secret?: { readonly name: string };
  readonly encoding?: string;
  readonly locale?: string;
  readonly localeCollate?: string;
  readonly localeCType?: string;
  readonly localeProvider?: 'builtin' | 'icu' | 'libc';
  readonly icuLocale?: string;
  readonly icuRules?: string;
  readonly builtinLocale?: string;
  readonly postInitSQL?: readonly string[];
  readonly postInitTemplateSQL?: readonly string[];
  readonly postInitApplicationSQL?: readonly string[];
  readonly postInitSQLRefs?: SqlReferences;
  readonly postInitTemplateSQLRefs?: SqlReferences;
  readonly postInitApplicationSQLRefs?: SqlReferences;
}

/** A Service of its own for some of the instances. */
export interface EndpointSpec {
  readonly name: string;
  /** Reader: without the one that writes, and without readers that are too far behind. */
  readonly type: 'Reader' | 'Any';
  /** Numbers of its instances; all when absent. */
  readonly instances?: readonly number[];
  /** Numbers of instances that are left out. */
  readonly excludedInstances?: readonly number[];
}

/** What is different for one instance. */
export interface InstanceOverride {
  /** 2 is NAME-2. */
  readonly instance: number;
  /** 0 is the first to take a lost writer's place. */
  readonly promotionTier?: number;
  /** In place of spec.compute.resources. */
  readonly resources?: Resources;
}

/** How many instances there are to be, by what readers have to do. */
export interface AutoscalingSpec {
  /** Instances, the writer among them. */
  readonly minInstances: number;
  readonly maxInstances: number;
  /** On average of all readers; one of them at least. */
  readonly target: {
    readonly connections?: number;
    /** Percent. */
    readonly cpuUtilization?: number;
  };
  readonly scaleOutCooldown: string;
  readonly scaleInCooldown: string;
}

export type ReclaimPolicy = 'Retain' | 'Delete';

/** What the next writer has in its cache of what the writer has in its own. */
export interface WarmCacheSpec {
  readonly enabled: boolean;
  /** Fetched in a second, at most. */
  readonly pagesPerSecond: number;
}

/** Labels and annotations. */
export interface Metadata {
  readonly labels?: Labels;
  readonly annotations?: Labels;
}

export interface Toleration {
  readonly key?: string;
  readonly operator?: 'Exists' | 'Equal';
  readonly value?: string;
  readonly effect?: 'NoSchedule' | 'PreferNoSchedule' | 'NoExecute';
  readonly tolerationSeconds?: number;
}

export interface NodeExpression {
  readonly key: string;
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist' | 'Gt' | 'Lt';
  readonly values?: readonly string[];
}

/** All of it must hold. */
export interface NodeSelectorTerm {
  readonly matchExpressions?: readonly NodeExpression[];
  readonly matchFields?: readonly NodeExpression[];
}

/** Terms for pods, as a pod has them: handed on unread. */
export interface PodTerms {
  readonly requiredDuringSchedulingIgnoredDuringExecution?: readonly object[];
  readonly preferredDuringSchedulingIgnoredDuringExecution?: readonly object[];
}

export interface Affinity {
  readonly nodeAffinity?: {
    /** One of the terms must hold. */
    readonly requiredDuringSchedulingIgnoredDuringExecution?: { readonly nodeSelectorTerms: readonly NodeSelectorTerm[] };
    readonly preferredDuringSchedulingIgnoredDuringExecution?: readonly object[];
  };
  readonly podAffinity?: PodTerms;
  readonly podAntiAffinity?: PodTerms;
}

/** Where pods run, beside the zone that the operator gives each. */
export interface PlacementSpec {
  readonly nodeSelector?: Labels;
  readonly tolerations?: readonly Toleration[];
  readonly affinity?: Affinity;
  readonly topologySpreadConstraints?: readonly { readonly topologyKey: string; readonly labelSelector?: object }[];
  readonly priorityClassName?: string;
}

/** Services for clients that every cluster has, as status.endpoints names them. */
export type ServiceEndpoint = 'readWrite' | 'readOnly' | 'read';

/** What is said of one of the Services for clients. */
export interface ServiceSettings extends Metadata {
  readonly type?: 'ClusterIP' | 'LoadBalancer';
  readonly loadBalancerClass?: string;
}

/** The spec as it stands after the API server has filled in the defaults (see withDefaults). */
export interface AuroraClusterSpec {
  readonly postgresVersion: '18';
  /** One writes, the others read. */
  readonly instances: number;
  /** Who deletes the cluster is refused. */
  readonly deletionProtection: boolean;
  readonly readers: {
    /** A reader that is further behind gets no new connections of NAME-ro. */
    readonly maxLag: string;
    /** Sessions on a reader that is to be no more get this long to end. */
    readonly drainTimeout: string;
  };
  /** Undefined: there are as many instances as `instances` says. */
  readonly autoscaling?: AutoscalingSpec;
  readonly failover: {
    /** A writer that storage does not hear for this long is replaced. */
    readonly after: string;
    /** At a switchover, transactions that are under way have this long to end. */
    readonly switchoverDrain: string;
    readonly warmCache: WarmCacheSpec;
  };
  readonly instanceOverrides: readonly InstanceOverride[];
  readonly endpoints: readonly EndpointSpec[];
  readonly storage: PlacementSpec & {
    readonly size: string;
    readonly storageClassName?: string;
    readonly zones: readonly string[];
    readonly copies: VolumeCopies;
    /** Of mixed copies; 0: never. */
    readonly standInAfterSeconds: number;
    readonly reclaimPolicy: ReclaimPolicy;
    /** Undefined: what is stored stands on the disks as it is. */
    readonly encryption?: EncryptionSpec;
    readonly resources?: Resources;
  };
  readonly bootstrap: {
    readonly initdb: InitdbSpec;
  };
  readonly superuserSecret?: { readonly name: string };
  readonly postgresql: {
    readonly parameters: Readonly<Record<string, string>>;
    /** Lines that stand before ours. */
    readonly pg_hba: readonly string[];
    /** Who comes without TLS is refused. */
    readonly requireTLS: boolean;
    /** Who may log in by a token. */
    readonly logins: readonly LoginSpec[];
  };
  readonly certificates: {
    /** With the authority that issues the programs' certificates, which somebody else keeps; one of our own when absent. */
    readonly authoritySecret?: { readonly name: string };
    /** With the CA whose certificates clients may log in with; the cluster's own when absent. */
    readonly clientCASecret?: { readonly name: string };
  };
  readonly compute: PlacementSpec & {
    readonly resources?: Resources;
    readonly cacheSize?: string;
    /** Undefined: the compute's files are on its node's disk. */
    readonly cacheVolume?: CacheVolumeSpec;
  };
  readonly monitoring: { readonly customQueriesConfigMap?: { readonly name: string } };
  readonly images: { readonly storageDaemon?: string; readonly computeNode?: string };
  readonly imagePullPolicy: 'Always' | 'IfNotPresent' | 'Never';
  readonly imagePullSecrets: readonly { readonly name: string }[];
  /** For everything that is made for the cluster. */
  readonly inheritedMetadata?: Metadata;
  readonly services?: Readonly<Partial<Record<ServiceEndpoint, ServiceSettings>>>;
}

/** spec.compute.cacheVolume: a volume for each compute pod's files, which is made and goes with the pod. */
export interface CacheVolumeSpec {
  readonly size: string;
  /** The cluster's default when absent. */
  readonly storageClassName?: string;
}

/** One of spec.postgresql.logins: pods of a ServiceAccount may log in as a role, with their tokens. */
export interface LoginSpec {
  readonly serviceAccount: string;
  /** The cluster's own when absent. */
  readonly namespace?: string;
  readonly role: string;
  /** Also where the role is a superuser. */
  readonly allowSuperuser?: boolean;
}

export interface AuroraCluster extends KubeObject {
  readonly spec: AuroraClusterSpec;
  readonly status?: AuroraClusterStatus;
}
