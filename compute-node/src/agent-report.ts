import type { Clock } from '@kube-aurora/clock';
import type { StatusVersion } from '@kube-aurora/process';
import type { AdviceStatus } from './advice/adviser.ts';
import type { AgentRole } from './agent-role.ts';
import type { AgentState } from './agent-state.ts';
import { leaseStatus, replayStatus, segmentStatuses, situationStatus, type SegmentName } from './agent-status.ts';
import { cacheStatus } from './cache-status.ts';
import type { CustomQueriesStatus } from './custom-queries/custom-queries.ts';
import type { FailoverSettings } from './election/place-settings.ts';
import type { InsightsStatus } from './insights/insights.ts';
import type { Load } from './load/load-meter.ts';
import type { AgentGauges } from './metrics.ts';
import type { OpeningProgress } from './open/opening-steps.ts';
import { HOME_GROUP } from './placement.ts';
import type { CacheCounters } from './postgres/cache-file.ts';
import type { LostSlotStatus } from './postgres/written-directory.ts';
import type { Session } from './session/session.ts';

export interface AgentReportOptions {
  readonly instance: string;
  readonly segments: readonly SegmentName[];
  /** What the status says of them. */
  readonly settings: { readonly status: unknown };
  readonly rules: { readonly status: unknown };
  readonly tls: { readonly status: unknown };
  readonly passwords: { readonly status: unknown };
  readonly directory: { readonly lostSlots: readonly LostSlotStatus[] };
  /** What the shim counted of the local cache; undefined before PostgreSQL was first started. */
  readonly cache: () => CacheCounters | undefined;
  /** When it takes a lost writer's place; undefined of one that never does. */
  readonly place: FailoverSettings | undefined;
  /** How much it has to do; undefined while that is not known. */
  readonly load: () => Load | undefined;
  /** How PostgreSQL is; undefined where nobody looks. */
  readonly insights?: { readonly status: InsightsStatus } | undefined;
  /** What there is to advise; undefined where nobody looks. */
  readonly advice?: { readonly status: AdviceStatus } | undefined;
  /** The cluster's own; undefined where nobody asks. */
  readonly customQueries?: { readonly status: CustomQueriesStatus | undefined } | undefined;
  readonly clock: Clock;
}

/** What of the agent is read each time that somebody asks. */
export interface AgentView {
  readonly version: StatusVersion;
  readonly state: AgentState;
  readonly role: AgentRole;
  readonly startedAt: string;
  readonly session: () => Session | undefined;
  readonly epoch: () => bigint;
}

/** What an agent tells others: its status, and what its metrics read when they are scraped. Nothing is decided by it. */
export class AgentReport {
  readonly #options: AgentReportOptions;
  readonly #view: AgentView;
  #opening: OpeningProgress | undefined;
  #opens = 0;
  #lastOpenMs: number | undefined;
  /** Of the sessions before. */
  #leaseTimesRunOut = 0;

  constructor(options: AgentReportOptions, view: AgentView) {
    this.#options = options;
    this.#view = view;
  }

  stepBegan(opening: OpeningProgress): void {
    this.#opening = opening;
  }

  sessionBegan(): void {
    this.#opens++;
  }

  /** It came to take connections, so many milliseconds after its opening began. */
  sessionIsReady(openMs: number): void {
    this.#lastOpenMs = openMs;
  }

  sessionEnded(session: Session | undefined): void {
    this.#leaseTimesRunOut += session?.lease?.timesRunOut ?? 0;
  }

  readonly gauges: AgentGauges = {
    replay: () => this.#session?.replay,
    leaseRemainingMs: () => this.#session?.lease?.remainingMs ?? 0,
    leaseTimesRunOut: () => this.#leaseTimesRunOut + (this.#session?.lease?.timesRunOut ?? 0),
    vdl: () => this.#session?.volume.vdl ?? 0n,
    epoch: () => this.#view.epoch(),
    ringBytes: () => this.#session?.writePath?.ringBytes ?? 0,
    waitingFlushes: () => this.#session?.writePath?.waitingFlushes ?? 0,
    flushesReturnEarly: () => (this.#session?.writePath?.flushesReturn === 'sent' ? 1 : 0),
    cache: () => this.#options.cache(),
    load: () => this.#options.load(),
    segments: () =>
      this.#options.segments.map(({ index, id, zone }) => {
        const state = this.#session?.writePath?.segment(HOME_GROUP, index);
        return {
          id,
          zone,
          scl: state?.scl ?? 0n,
          inFlightBytes: state?.inFlightBytes ?? 0,
          streaming: state?.phase === 'streaming',
          errors: state?.errors ?? 0,
        };
      }),
  };

  status(): object {
    const { instance, settings, rules, tls, passwords, directory, cache, place, load, insights, advice, customQueries, clock } =
      this.#options;
    const { version, state, role, startedAt, epoch } = this.#view;
    const session = this.#session;
    const writing = session?.writePath;
    // A reader feeds none.
    const segments = role.isReader ? [] : segmentStatuses(this.#options.segments, writing);
    return {
      version: version.value,
      role: role.present,
      configuredRole: role.configured,
      instance,
      promotionTier: place?.tier,
      failoverAfterMs: place?.failoverAfterMs,
      ...situationStatus(state, {
        segments,
        flushMs: writing?.oldestFlushMs ?? 0,
        lease: session?.lease,
        openingStep: this.#opening?.step,
        wallTime: clock.wallTime(),
      }),
      lastFailure: state.lastFailure,
      epoch: epoch(),
      vdl: session?.volume.vdl ?? 0n,
      ...replayStatus(session?.replay),
      startedAt,
      opens: this.#opens,
      ...(state.situation.phase === 'opening' ? { opening: this.#opening } : {}),
      lastOpenMs: this.#lastOpenMs,
      failover: role.failover?.status,
      ...leaseStatus(session?.lease),
      postgres: { pid: session?.postgresPid, ready: session?.ready ?? false },
      settings: settings.status,
      loginRules: rules.status,
      tls: tls.status,
      // A reader's roles have the passwords that the volume has.
      passwords: role.isReader ? [] : passwords.status,
      load: load(),
      insights: insights?.status,
      advice: advice?.status,
      customQueries: customQueries?.status,
      ...(directory.lostSlots.length === 0 ? {} : { lostReplicationSlots: directory.lostSlots }),
      cache: cacheStatus(cache()),
      segments,
    };
  }

  get #session(): Session | undefined {
    return this.#view.session();
  }
}
