import type { SegmentRole } from '@kube-aurora/volume';
import type { Condition, Phase } from './conditions.ts';

/** UNREACHABLE: its daemon cannot be asked; UNKNOWN: it says something that this operator does not know. */
export const SEGMENT_STATES = ['READY', 'EMPTY', 'IMPORTING', 'DAMAGED', 'UNREACHABLE', 'UNKNOWN'] as const;
export type SegmentStateName = (typeof SEGMENT_STATES)[number];

/** Why a tail stands in for a full segment: it did not answer, held nothing, was damaged, took no redo; or something that this operator does not know. */
export const STAND_IN_REASONS = ['SILENT', 'EMPTY', 'DAMAGED', 'UNWRITABLE', 'UNKNOWN'] as const;
export type StandInReasonName = (typeof STAND_IN_REASONS)[number];

/** The agent's own phases, and what is said where it cannot be asked. */
export const INSTANCE_PHASES = ['bootstrapping', 'opening', 'running', 'fenced', 'stopping', 'Pending', 'Unreachable', 'unknown'] as const;
export type InstancePhase = (typeof INSTANCE_PHASES)[number];

/** What one segment (copy) of the volume reports, as far as it could be reached. */
export interface SegmentStatus {
  readonly id: string;
  readonly zone: string;
  readonly role: SegmentRole;
  readonly node?: string;
  readonly ready: boolean;
  readonly state: SegmentStateName;
  /** Its daemon says, now, that it holds all that it ever acknowledged. A read quorum of such copies has every acknowledged commit. */
  readonly sound: boolean;
  /** What is wrong with it, in one word (see FAULT_KINDS). */
  readonly fault?: string;
  /** The same in its daemon's words. */
  readonly message?: string;
  readonly scl?: string;
  readonly behindBytes?: number;
  readonly bytesUsed?: number;
  /** A tail that holds pages in the place of its zone's full segment. */
  readonly standIn?: { readonly of: string; readonly since: string; readonly reason: StandInReasonName };
  /** What its claim has, as a quantity. */
  readonly size?: string;
}

/** What an instance is to the volume. Pods carry it as a label, and Services select by it. */
export const INSTANCE_ROLES = ['writer', 'reader'] as const;
export type InstanceRole = (typeof INSTANCE_ROLES)[number];

/**
 * How an instance serves. Starting: it has not served yet. Lagging: a reader that is further behind than
 * readers.maxLag. Lost: it served, and does not.
 */
export const INSTANCE_STATES = ['Starting', 'Serving', 'Lagging', 'Lost'] as const;
export type InstanceState = (typeof INSTANCE_STATES)[number];

export interface InstanceStatus {
  readonly name: string;
  readonly role: InstanceRole;
  readonly state: InstanceState;
  /** RFC 3339: since when the state is what it is. */
  readonly since: string;
  readonly zone?: string;
  readonly node?: string;
  readonly phase: InstancePhase;
  /** Why it is in that phase, as one word; `none` when there is nothing to say (see AGENT_REASONS). */
  readonly reason?: string;
  readonly ready: boolean;
  readonly restarts: number;
  /** Why it does not serve, in its agent's words. */
  readonly message?: string;
  readonly epoch?: number;
  /** Of a reader: it shows the database as of this LSN. */
  readonly replayLsn?: string;
  /** Of a reader: how old what it shows is; 0 when it shows all that is durable. */
  readonly lagMs?: number;
  readonly startedAt?: string;
  /** That its pod runs with. */
  readonly promotionTier?: number;
  /** Of the reader that would be the next writer: of the pages in the writer's cache, how many of a hundred are in its own. */
  readonly cacheWarmPercent?: number;
}

/** A person's annotation, or a pod that is to be replaced. */
export const SWITCHOVER_CAUSES = ['Annotation', 'Update'] as const;
export type SwitchoverCause = (typeof SWITCHOVER_CAUSES)[number];

/** Silent: storage did not hear it any more. PostgresDied: its agent said that it is dead. */
export const FAILOVER_CAUSES = ['Silent', 'PostgresDied'] as const;

/** Parts of a failover in their order; drainedMs is one of a switchover alone. */
export const FAILOVER_PHASES = ['detectedMs', 'drainedMs', 'openedMs', 'fedMs', 'promotedMs', 'readyMs'] as const;
/** Milliseconds of each part that is over. */
export type FailoverPhases = Readonly<Partial<Record<(typeof FAILOVER_PHASES)[number], number>>>;

export const SWITCHOVER_STATES = ['InProgress', 'Done', 'Refused', 'Failed'] as const;

/** Of clients, at the old writer, when a switchover began. */
export interface SwitchoverTransactions {
  /** Ended by themselves within spec.failover.switchoverDrain. */
  readonly finished: number;
  /** Were under way still: rolled back, unless they ended before the new writer had opened the volume. */
  readonly cutOff: number;
}

/** The last time that the writer's place was given away on purpose. */
export interface SwitchoverStatus {
  readonly to: string;
  readonly from: string;
  readonly cause: SwitchoverCause;
  readonly state: (typeof SWITCHOVER_STATES)[number];
  /** What is done, or what came of it and why. */
  readonly message: string;
  /** RFC 3339. */
  readonly startedAt: string;
  readonly endedAt?: string;
  /** Of one that was done: what each part took at the new writer, where its agent tells. */
  readonly phases?: FailoverPhases;
  /** Of one that was done: what became of the transactions that were under way, where that is known. */
  readonly transactions?: SwitchoverTransactions;
  /** It is over, and the annotation that asked for it is yet to be seen gone. */
  readonly annotated?: boolean;
}

/** A replication slot that did not go on with another writer. */
export interface LostSlot {
  readonly name: string;
  readonly why: string;
  /** RFC 3339: when the writer that has it not found so. */
  readonly at: string;
}

/** The last time that an instance took the place of a lost writer. */
export interface FailoverStatus {
  readonly from: string;
  readonly to: string;
  readonly reason: (typeof FAILOVER_CAUSES)[number];
  /** RFC 3339: when it was decided. */
  readonly at: string;
  /** From the last that was heard of the lost writer until the new one answered, in milliseconds. */
  readonly tookMs: number;
  /** The reader's PostgreSQL went on as the writer's: its sessions and its cache stayed. */
  readonly inPlace: boolean;
  /** What each part took, in milliseconds, one after the other. */
  readonly phases: FailoverPhases;
}

export const AUTOSCALING_STATES = [
  'Steady',
  'ScalingOut',
  'ScalingIn',
  'CoolingDown',
  'WaitingToScaleIn',
  'AtMaximum',
  'FiguresMissing',
] as const;
export type AutoscalingState = (typeof AUTOSCALING_STATES)[number];

/** What spec.autoscaling came to. Times are RFC 3339. */
export interface AutoscalingStatus {
  readonly desiredInstances: number;
  readonly minInstances: number;
  readonly maxInstances: number;
  readonly state: AutoscalingState;
  readonly since: string;
  readonly message: string;
  readonly connections?: number;
  readonly cpuUtilization?: number;
  readonly lowSince?: string;
  readonly lastScaleOutAt?: string;
  readonly lastScaleInAt?: string;
  readonly lastScaling?: string;
}

/** A role's password, in its Secret and in the database. */
export interface CredentialStatus {
  readonly role: string;
  readonly secret: string;
  /** Missing and Empty: the Secret; the role keeps the password it has. */
  readonly state: 'Applied' | 'Pending' | 'Missing' | 'Empty' | 'Failed';
  /** RFC 3339: when a changed password was last given to the role. */
  readonly passwordChangedAt?: string;
  readonly message?: string;
}

export interface CustomEndpointStatus {
  readonly name: string;
  readonly address: string;
  /** Instances that it leads to now. */
  readonly instances: readonly string[];
}

export const ADVICE_SEVERITIES = ['critical', 'warning', 'hint'] as const;
/** Findings in a status at most; an agent tells no more. */
export const ADVICE_MAX = 10;

/** What there is to do in the database, as the writer's agent found, or for its disks, as the storage daemons. */
export interface AdviceStatus {
  /** What kind of finding it is: transactionIds, deadRows ... */
  readonly id: string;
  readonly severity: (typeof ADVICE_SEVERITIES)[number];
  /** What it is about: a database, and a table or an index in it; absent: all of PostgreSQL. */
  readonly subject?: string;
  readonly what: string;
  /** RFC 3339. */
  readonly since: string;
  readonly remedy: string;
  /** SQL, or a command, to see it oneself. */
  readonly query: string;
}

/** Where a token of a ServiceAccount is a password. */
export interface TokenLoginsStatus {
  readonly endpoint: string;
  readonly audience: string;
}

export interface AuroraClusterStatus {
  readonly observedGeneration?: number;
  readonly phase?: Phase;
  readonly message?: string;
  readonly volumeId?: string;
  readonly writer?: string;
  /** RFC 3339: when a writer first took connections. Until then nothing that is missing is news. */
  readonly firstReadyAt?: string;
  readonly epoch?: number;
  readonly vdl?: string;
  readonly instances?: readonly InstanceStatus[];
  readonly compute?: {
    readonly summary: string;
    /** Pods that there are; the scale subresource shows it. */
    readonly pods: number;
    readonly ready: number;
    readonly desired: number;
    /** Label selector of the pods, for the scale subresource. */
    readonly selector: string;
    /** Lag of the reader that is furthest behind, for people. */
    readonly lag?: string;
    /** Instances that NAME-ro leads to. */
    readonly readOnly: readonly string[];
    /** Readers that are to be no more, and whose sessions have time to end. */
    readonly leaving?: readonly string[];
  };
  readonly autoscaling?: AutoscalingStatus;
  readonly switchover?: SwitchoverStatus;
  readonly failover?: FailoverStatus;
  readonly lostReplicationSlots?: readonly LostSlot[];
  /** Most urgent first. */
  readonly advice?: readonly AdviceStatus[];
  readonly storage?: {
    readonly summary: string;
    readonly ready: number;
    readonly desired: number;
    /** True once the volume holds a database: from then on an empty volume must never take its place. */
    readonly initialized: boolean;
    readonly bytesUsed?: number;
    readonly encryption?: EncryptionStatus | undefined;
    readonly segments: readonly SegmentStatus[];
  };
  readonly endpoints?: {
    readonly readWrite: string;
    readonly readOnly: string;
    readonly read: string;
    readonly storage: string;
    /** Of spec.endpoints. */
    readonly custom?: readonly CustomEndpointStatus[];
  };
  readonly secrets?: { readonly superuser: string; readonly app: string };
  readonly credentials?: readonly CredentialStatus[];
  readonly certificates?: CertificatesStatus;
  /** While spec.postgresql.logins names somebody. */
  readonly tokenLogins?: TokenLoginsStatus;
  readonly conditions?: readonly Condition[];
}

/** Of a cluster with spec.storage.encryption. */
export interface EncryptionStatus {
  /** Of a Secret. */
  readonly secret?: string;
  readonly key?: string;
  /** Of a KMS: image of its plugin. */
  readonly kms?: string;
  /** Names of the keys that wrap the copies' data keys: more than one while the key is rotated. */
  readonly wrappedBy: readonly string[];
}

export interface CertificatesStatus {
  /** How programs speak: require is TLS alone, the others are on the way there from plain text. */
  readonly mode: 'permit' | 'prefer' | 'require';
  /** Which issues; times are RFC 3339. */
  readonly authority: { readonly secret: string; readonly validUntil: string; readonly renewedAt: string };
  /** While another takes its place. */
  readonly rotation?: 'Announced' | 'IssuingByNew';
  readonly programs: readonly { readonly role: string; readonly secret: string; readonly validUntil: string }[];
}
