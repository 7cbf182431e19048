/**
 * What is read of the cluster's objects. The API server has held them against their schemas; a field that is not there is one that
 * another release does not have, or that has not been written yet.
 */

export interface Metadata {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly generation?: number;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
  readonly lastTransitionTime?: string;
}

export interface Segment {
  readonly id: string;
  readonly zone?: string;
  readonly role?: 'FULL' | 'TAIL';
  readonly node?: string;
  readonly ready?: boolean;
  readonly state?: string;
  /** Its daemon says that it holds all that it ever acknowledged. */
  readonly sound?: boolean;
  readonly fault?: string;
  readonly message?: string;
  readonly scl?: string;
  readonly behindBytes?: number;
  readonly bytesUsed?: number;
  readonly standIn?: { readonly of?: string; readonly since?: string; readonly reason?: string };
  readonly size?: string;
}

export interface Instance {
  readonly name: string;
  readonly role?: string;
  readonly state?: string;
  readonly since?: string;
  readonly zone?: string;
  readonly node?: string;
  readonly phase?: string;
  readonly reason?: string;
  readonly ready?: boolean;
  readonly restarts?: number;
  readonly message?: string;
  readonly replayLsn?: string;
  readonly lagMs?: number;
  readonly promotionTier?: number;
  readonly cacheWarmPercent?: number;
}

/** Parts of a failover or switchover in their order, and what a person calls them. */
export const HANDOVER_PARTS = ['detectedMs', 'drainedMs', 'openedMs', 'fedMs', 'promotedMs', 'readyMs'] as const;
export type HandoverParts = Readonly<Partial<Record<(typeof HANDOVER_PARTS)[number], number>>>;

export interface Switchover {
  readonly to: string;
  readonly from?: string;
  readonly cause?: string;
  readonly state: string;
  readonly message?: string;
  readonly startedAt?: string;
  readonly endedAt?: string;
  readonly phases?: HandoverParts;
  readonly transactions?: { readonly finished: number; readonly cutOff: number };
}

export interface Failover {
  readonly from?: string;
  readonly to?: string;
  readonly reason?: string;
  readonly at?: string;
  readonly tookMs?: number;
  readonly inPlace?: boolean;
  readonly phases?: HandoverParts;
}

export interface Credential {
  readonly role: string;
  readonly secret: string;
  readonly state: string;
  readonly message?: string;
}

/** How programs prove who they are; times are RFC 3339. */
export interface Certificates {
  readonly mode?: string;
  readonly authority?: { readonly secret?: string; readonly validUntil?: string };
  readonly rotation?: string;
  readonly programs?: readonly { readonly role: string; readonly secret?: string; readonly validUntil?: string }[];
}

/** What an administrator would do in the database, as the writer's agent found. */
export interface Advice {
  readonly id: string;
  readonly severity: string;
  readonly subject?: string;
  readonly what: string;
  readonly since: string;
  readonly remedy: string;
  readonly query: string;
}

export interface ClusterStatus {
  readonly observedGeneration?: number;
  readonly phase?: string;
  readonly message?: string;
  readonly volumeId?: string;
  readonly writer?: string;
  readonly firstReadyAt?: string;
  readonly epoch?: number;
  readonly vdl?: string;
  readonly instances?: readonly Instance[];
  readonly compute?: {
    readonly summary?: string;
    readonly lag?: string;
    readonly readOnly?: readonly string[];
    readonly leaving?: readonly string[];
  };
  readonly autoscaling?: { readonly state?: string; readonly message?: string };
  readonly switchover?: Switchover;
  readonly failover?: Failover;
  readonly storage?: {
    readonly summary?: string;
    readonly ready?: number;
    readonly desired?: number;
    readonly initialized?: boolean;
    readonly bytesUsed?: number;
    readonly encryption?: { readonly secret?: string; readonly key?: string; readonly kms?: string } | undefined;
    readonly segments?: readonly Segment[];
  };
  readonly endpoints?: {
    readonly readWrite?: string;
    readonly readOnly?: string;
    readonly read?: string;
    readonly custom?: readonly { readonly name: string; readonly address?: string; readonly instances?: readonly string[] }[];
  };
  readonly secrets?: { readonly superuser?: string; readonly app?: string };
  readonly advice?: readonly Advice[];
  readonly credentials?: readonly Credential[];
  readonly certificates?: Certificates;
  readonly tokenLogins?: { readonly endpoint: string; readonly audience: string };
  readonly conditions?: readonly Condition[];
}

/** A ServiceAccount that may log in as a role by its token. */
export interface TokenLogin {
  readonly serviceAccount: string;
  /** The cluster's own when absent. */
  readonly namespace?: string;
  readonly role: string;
}

export interface Cluster {
  readonly metadata: Metadata;
  readonly spec?: {
    readonly storage?: { readonly size?: string };
    readonly postgresVersion?: string;
    readonly bootstrap?: { readonly initdb?: { readonly database?: string } };
    readonly postgresql?: { readonly logins?: readonly TokenLogin[] };
  };
  readonly status?: ClusterStatus;
}

export interface Pod {
  readonly metadata: Metadata;
  readonly spec?: { readonly nodeName?: string; readonly containers?: readonly { readonly name: string }[] };
  readonly status?: {
    readonly phase?: string;
    readonly podIP?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly lastTransitionTime?: string }[];
    readonly containerStatuses?: readonly {
      readonly restartCount?: number;
      readonly state?: { readonly waiting?: { readonly reason?: string } };
    }[];
  };
}

export interface ClusterEvent {
  readonly metadata: Metadata;
  readonly involvedObject?: { readonly kind?: string; readonly name?: string; readonly namespace?: string };
  readonly type?: string;
  readonly reason?: string;
  readonly message?: string;
  readonly count?: number;
  readonly firstTimestamp?: string;
  readonly lastTimestamp?: string;
  readonly eventTime?: string;
}

export const GROUP = 'kube-aurora.dev';
export const CLUSTERS = `${GROUP}/v1alpha1`;
export const PLURAL = 'auroraclusters';
export const CLUSTER_LABEL = `${GROUP}/cluster`;
export const COMPONENT_LABEL = `${GROUP}/component`;
export const ROLE_LABEL = `${GROUP}/role`;
export const SERVES_READS_LABEL = `${GROUP}/serves-reads`;
export const SERVES_LABEL = `${GROUP}/serves`;
/** Set on a cluster by a person; the operator does what it says. */
export const RESTARTED_AT = `${GROUP}/restartedAt`;
export const SWITCHOVER_TO = `${GROUP}/switchover-to`;

/** The namespace's part of a path; all namespaces when undefined. */
function within(namespace: string | undefined): string {
  return namespace === undefined ? '' : `/namespaces/${encodeURIComponent(namespace)}`;
}

/** Paths of the API. A name is given for one object. */
export const path = {
  clusters: (namespace: string | undefined, name?: string): string =>
    `/apis/${CLUSTERS}${within(namespace)}/${PLURAL}${name === undefined ? '' : `/${encodeURIComponent(name)}`}`,
  core: (
    kind: 'pods' | 'events' | 'secrets' | 'services' | 'persistentvolumeclaims' | 'configmaps' | 'serviceaccounts',
    namespace: string | undefined,
    name?: string,
  ): string => `/api/v1${within(namespace)}/${kind}${name === undefined ? '' : `/${encodeURIComponent(name)}`}`,
};

export function isPodReady(pod: Pod | undefined): boolean {
  return (
    pod?.metadata.deletionTimestamp === undefined &&
    pod?.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true
  );
}
