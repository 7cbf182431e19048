import type { Health, HealthLevel } from '@kube-aurora/cluster-view';

/**
 * What the server tells the page, field by field. Nothing else of an object of Kubernetes leaves the server: no annotation, no Secret's name,
 * no environment. Times are milliseconds since 1970, sizes bytes, durations milliseconds unless a name says otherwise. `null`: not known.
 */

/** How the console itself hears of the clusters. */
export interface WatchState {
  /** When the API server last answered; null: never. */
  readonly heardAt: number | null;
  /** Since when it does not; null while it does. */
  readonly silentSince: number | null;
  /** Why not, for people. */
  readonly problem: string | null;
}

export interface ClusterLine {
  readonly namespace: string;
  readonly name: string;
  readonly level: HealthLevel;
  readonly headline: string;
  readonly since: string | null;
  readonly copiesUp: number;
  readonly copies: number;
  readonly writer: string | null;
  readonly serving: number;
  readonly instances: number;
}

export interface OverviewAnswer {
  readonly at: number;
  readonly watch: WatchState;
  readonly clusters: readonly ClusterLine[];
}

/** When a program last answered the console, and since when it does not. */
export interface Heard {
  readonly heardAt: number | null;
  readonly silentSince: number | null;
}

export interface SegmentView extends Heard {
  readonly id: string;
  readonly zone: string | null;
  readonly node: string | null;
  readonly role: 'FULL' | 'TAIL';
  readonly ready: boolean;
  readonly state: string;
  readonly fault: string | null;
  readonly message: string | null;
  /** Redo that it has yet to get. */
  readonly lagBytes: number | null;
  readonly bytesUsed: number | null;
  readonly diskFree: number | null;
  readonly diskBytes: number | null;
  /** Full segment that it stands in for. */
  readonly standsInFor: string | null;
}

export interface InstanceView extends Heard {
  readonly name: string;
  readonly role: string;
  readonly state: string;
  readonly since: string | null;
  readonly zone: string | null;
  readonly node: string | null;
  readonly phase: string | null;
  readonly message: string | null;
  readonly restarts: number;
  readonly lagMs: number | null;
  readonly promotionTier: number | null;
  readonly cacheWarmPercent: number | null;
  readonly connections: number | null;
  /** Sessions at work, on average since the look before. */
  readonly load: number | null;
  readonly cpuCores: number | null;
  readonly cpuLimit: number | null;
}

/** Of the writer, over the time between the last two looks. */
export interface WriterNow {
  /** From a WAL flush's beginning until its redo is on a write quorum: half of all took no longer. */
  readonly commitP50Ms: number | null;
  readonly commitP99Ms: number | null;
  readonly transactionsPerSecond: number | null;
  readonly redoBytesPerSecond: number | null;
  readonly load: number | null;
  readonly cpuLimit: number | null;
  readonly connections: number | null;
  readonly connectionsLimit: number | null;
}

export interface EventView {
  readonly at: string;
  readonly warning: boolean;
  readonly reason: string;
  readonly message: string;
  readonly count: number;
}

export interface HandoverPart {
  readonly name: string;
  readonly ms: number;
}

export interface HandoverView {
  readonly kind: 'failover' | 'switchover';
  readonly at: string;
  readonly from: string | null;
  readonly to: string;
  /** InProgress, Done, Refused or Failed; a failover that is told of is Done. */
  readonly state: string;
  readonly reason: string | null;
  readonly message: string | null;
  readonly tookMs: number | null;
  readonly inPlace: boolean | null;
  readonly parts: readonly HandoverPart[];
  readonly transactions: { readonly finished: number; readonly cutOff: number } | null;
}

export interface AdviceView {
  readonly id: string;
  readonly severity: string;
  readonly subject: string | null;
  readonly what: string;
  readonly since: string;
  readonly remedy: string;
  readonly query: string;
}

export interface ClusterAnswer {
  readonly at: number;
  readonly watch: WatchState;
  readonly namespace: string;
  readonly name: string;
  readonly health: Health;
  readonly phase: string | null;
  readonly writer: string | null;
  readonly epoch: number | null;
  readonly vdl: string | null;
  readonly size: string | null;
  readonly bytesUsed: number | null;
  readonly copies: { readonly up: number; readonly all: number; readonly writesGoOn: boolean; readonly toSpare: number } | null;
  readonly segments: readonly SegmentView[];
  readonly instances: readonly InstanceView[];
  readonly now: WriterNow | null;
  readonly endpoints: { readonly readWrite: string | null; readonly readOnly: string | null };
  /** Newest first. */
  readonly events: readonly EventView[] | null;
  /** Newest first. */
  readonly handovers: readonly HandoverView[];
  readonly advice: readonly AdviceView[];
}

/** Values at `firstAt`, `firstAt + stepMs` …; null: nobody knows, which is not nought. */
export interface HistoryAnswer {
  readonly at: number;
  readonly stepMs: number;
  readonly firstAt: number;
  readonly length: number;
  readonly series: Readonly<Record<string, readonly (number | null)[]>>;
}

/** Names of series: those with a part after the colon are one for each segment, instance or wait event. */
export const SERIES = {
  commitP50: 'commitP50Ms',
  commitP99: 'commitP99Ms',
  transactions: 'transactionsPerSecond',
  redo: 'redoBytesPerSecond',
  connections: 'connections',
  cpuLimit: 'cpuLimit',
  load: 'load:',
  segmentLag: 'segmentLag:',
  readerLag: 'readerLag:',
} as const;
/** Wait events past those that have series of their own. */
export const OTHER_LOAD = 'Other';
