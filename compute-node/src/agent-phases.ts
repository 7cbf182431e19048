import { randomUUID } from 'node:crypto';
import type { Clock } from '@kube-aurora/clock';
import type { Logger } from '@kube-aurora/process';
import { bootstrapVolume } from './bootstrap/bootstrap-volume.ts';
import type { AgentConfig } from './config.ts';
import type { AgentMetrics } from './metrics.ts';
import { openVolume, type OpenOutcome, type OpenedVolume } from './open/open-volume.ts';
import type { OpeningStep } from './open/opening-steps.ts';
import { homeSegment } from './placement.ts';
import type { PostgresPlace } from './postgres-place.ts';
import type { RolePasswords } from './postgres/role-passwords.ts';
import { StandIn, type Absence } from './postgres/stand-in.ts';
import { killStrays } from './postgres/strays.ts';
import type { SegmentEndpoint, WriterIdentity } from './segments.ts';
import { WriterSession, type SessionEnd } from './session.ts';
import type { PostgresSettings } from './settings/postgres-settings.ts';
import type { VolumeView } from './read-path/volume-view.ts';
import type { WriteProgress } from './agent-status.ts';

/** One epoch of a compute, as the agent sees it. */
export interface Session {
  /** Settles once, when this epoch is over; PostgreSQL is dead by then. */
  readonly ended: Promise<SessionEnd>;
  /** PostgreSQL takes connections. */
  readonly ready: boolean;
  readonly postgresPid: number | undefined;
  readonly volume: VolumeView;
  /** Undefined for a compute that only reads. */
  readonly writePath: (WriteProgress & { readonly ringBytes: number; readonly waitingFlushes: number }) | undefined;
  /** Never rejects: failures end the session. */
  start(): Promise<void>;
  /** Does PostgreSQL take connections? Asks it, for a bounded time. */
  answers(): Promise<boolean>;
  stop(): Promise<void>;
  kill(): Promise<void>;
}

/** Who answers at PostgreSQL's address while there is no PostgreSQL. */
export interface Door {
  take(): void;
  release(): Promise<void>;
  close(): Promise<void>;
}

/** What the agent goes through, in this order and again; each phase does its work and decides nothing of what follows it. */
export interface AgentPhases {
  door(absence: () => Absence): Door;
  /** Ends what an earlier agent left behind; the process ids. */
  clear(): readonly number[];
  open(options: {
    readonly heldEpoch: bigint | undefined;
    readonly volumeExists: boolean;
    readonly signal: AbortSignal;
    readonly onWaiting: (reason: string) => void;
  }): Promise<OpenOutcome>;
  /** False when there is no volume still. */
  bootstrap(options: {
    readonly epoch: bigint;
    readonly signal: AbortSignal;
    readonly onTrying: () => void;
    readonly onRefused: (why: string) => void;
  }): Promise<boolean>;
  session(options: {
    readonly opened: OpenedVolume;
    readonly metrics: AgentMetrics;
    /** Told as each step of the opening begins. */
    readonly onStep: (step: OpeningStep) => void;
    /** Gives PostgreSQL its port. */
    readonly freePort: () => Promise<void>;
  }): Session;
}

export interface WriterPhasesOptions {
  readonly config: AgentConfig;
  readonly place: PostgresPlace;
  readonly segments: readonly SegmentEndpoint[];
  readonly settings: PostgresSettings;
  readonly passwords: RolePasswords;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The phases of a writer. */
export function writerPhases(options: WriterPhasesOptions): AgentPhases {
  const { config, place, segments, settings, clock, logger } = options;
  const identity: WriterIdentity = {
    segment: homeSegment(config.volumeId),
    writerId: `${config.instance}/${randomUUID()}`,
  };
  return {
    door: (absence) => new StandIn({ listen: config.pgListen, absence, clock, logger }),
    clear: () => killStrays(place.dataDir),
    open: (how) => openVolume({ ...how, segments, identity, clock, logger }),
    bootstrap: (how) =>
      bootstrapVolume({
        ...how,
        segments,
        identity,
        place,
        application: { user: config.appUser, database: config.appDatabase },
        settingsDir: config.settingsDir,
        sqlDir: config.initSqlDir,
        settings,
        clock,
        logger,
      }),
    session: (how) => new WriterSession({ ...options, ...how, identity }),
  };
}
