import { randomUUID } from 'node:crypto';
import type { Clock } from '@kube-aurora/clock';
import type { Logger } from '@kube-aurora/process';
import { noteWriter } from './lease/earlier-writers.ts';
import { bootstrapVolume } from './bootstrap/bootstrap-volume.ts';
import type { AgentConfig } from './config.ts';
import type { AgentMetrics } from './metrics.ts';
import { fetchComputeImage } from './open/fetch-image.ts';
import { openVolume, type OpenHindrance, type OpenOutcome, type OpenedVolume } from './open/open-volume.ts';
import type { OpeningStep } from './open/opening-steps.ts';
import { SINGLE_GROUP, homeSegment } from './placement.ts';
import type { PostgresPaths } from './postgres-paths.ts';
import type { RolePasswords } from './postgres/role-passwords.ts';
import { roomForCache } from './postgres/cache-room.ts';
import { StandIn, type Absence } from './postgres/stand-in.ts';
import { killStrays } from './postgres/strays.ts';
import { PromotedDatabase } from './promotion/promoted-database.ts';
import type { RunningStandby } from './reader/running-standby.ts';
import { readsObserved, type ReadsObserved } from './reads-observed.ts';
import type { SegmentEndpoint, WriterIdentity } from './segments.ts';
import { PostgresDatabase } from './session/postgres-database.ts';
import { volumeDriver, type VolumeDriverOptions } from './session/volume-driver.ts';
import type { Session } from './session/session.ts';
import { WriterSession } from './session/writer-session.ts';
import type { PostgresSettings } from './settings/postgres-settings.ts';

/** Who answers at PostgreSQL's address while there is no PostgreSQL. */
export interface Door {
  take(): void;
  release(): Promise<void>;
  close(): Promise<void>;
}

/**
 * What the agent goes through, in this order and again; each phase does its work and decides nothing of what follows
 * it.
 */
export interface AgentPhases {
  door(absence: () => Absence): Door;
  /** Ends what an earlier agent left behind; the process ids. */
  clear(): readonly number[];
  open(options: {
    readonly heldEpoch: bigint | undefined;
    readonly volumeExists: boolean;
    readonly signal: AbortSignal;
    readonly onWaiting: (hindrance: OpenHindrance | undefined) => void;
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
    /** The reader's PostgreSQL that the writer is made of; undefined: a new one is started. */
    readonly standby?: RunningStandby | undefined;
  }): Session;
}

/** What the phases of any compute are made of. */
export interface ComputePhasesOptions {
  readonly config: AgentConfig;
  readonly paths: PostgresPaths;
  readonly segments: readonly SegmentEndpoint[];
  readonly settings: PostgresSettings;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface WriterPhasesOptions extends ComputePhasesOptions {
  readonly passwords: RolePasswords;
}

/** The phases of a writer. */
export function writerPhases(options: WriterPhasesOptions): AgentPhases {
  const { config, paths, segments, settings, clock, logger } = options;
  const identity: WriterIdentity = {
    segment: homeSegment(config.volumeId),
    writerId: `${config.instance}/${randomUUID()}`,
  };
  /** Its PostgreSQL is dead, as is that of every session of ours before the present one. */
  const dead = new Set([identity.writerId]);
  return {
    door: (absence) => new StandIn({ listen: config.pgListen, absence, clock, logger }),
    clear: () => {
      const strays = killStrays(paths.dataDir);
      for (const earlier of noteWriter(paths.writersFile, identity.writerId)) dead.add(earlier);
      return strays;
    },
    open: (how) => openVolume({ ...how, segments, identity, leaseMs: config.leaseMs, clock, logger }),
    bootstrap: (how) =>
      bootstrapVolume({
        ...how,
        segments,
        identity,
        leaseMs: config.leaseMs,
        paths,
        application: { user: config.appUser, database: config.appDatabase },
        settingsDir: config.settingsDir,
        sqlDir: config.initSqlDir,
        settings,
        clock,
        logger,
      }),
    session: ({ opened, metrics, onStep, freePort, standby }) => {
      const { passwords } = options;
      const database =
        standby === undefined
          ? new PostgresDatabase({
              paths,
              listen: config.pgListen,
              hba: config.pgHba,
              cacheBytes: config.cacheBytes ?? roomForCache(paths.dataDir),
              settings,
              passwords,
              freePort,
              clock,
              logger,
            })
          : new PromotedDatabase({
              standby,
              dataDir: paths.dataDir,
              socket: { dir: paths.runDir, port: config.pgListen.port },
              passwords,
              clock,
              logger,
            });
      const { zone, ringBytesMax, readAheadBytesMax: aheadBytesMax } = config;
      const access = { segments, identity, opened, placement: SINGLE_GROUP, ringBytesMax, aheadBytesMax, zone, clock, logger };
      const lease = { leaseMs: config.leaseMs, isDead: (writerId: string) => dead.has(writerId) };
      return new WriterSession({
        opened,
        driver: (events) => volumeDriver({ ...access, ...lease, ...observed(metrics) }, events),
        fetchImage: (signal) =>
          fetchComputeImage({
            segments: nearest(opened.upToDate, segments, zone),
            identity,
            epoch: opened.epoch,
            lsn: opened.startLsn,
            clock,
            logger,
            signal,
          }),
        database,
        onStep,
        clock,
        logger,
      });
    },
  };
}

/** Those of the segments, our own zone's first. */
function nearest(indexes: readonly number[], segments: readonly SegmentEndpoint[], zone: string): SegmentEndpoint[] {
  const some = indexes.flatMap((index) => segments[index] ?? []);
  return some.sort((a, b) => Number(b.zone === zone) - Number(a.zone === zone));
}

/** What the metrics count of reads and flushes. */
function observed(metrics: AgentMetrics): Pick<VolumeDriverOptions, 'onFlushSent' | 'onFlushed'> & ReadsObserved {
  return {
    onFlushSent: (seconds) => metrics.flushSentSeconds.note(seconds),
    onFlushed: (seconds) => metrics.flushSeconds.note(seconds),
    ...readsObserved(metrics),
  };
}
