import { randomUUID } from 'node:crypto';
import { statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Clock } from '@kube-aurora/clock';
import type { Logger } from '@kube-aurora/process';
import { bootstrapVolume } from './bootstrap/bootstrap-volume.ts';
import type { AgentConfig } from './config.ts';
import type { AgentMetrics } from './metrics.ts';
import { fetchComputeImage } from './open/fetch-image.ts';
import { openVolume, type OpenHindrance, type OpenOutcome, type OpenedVolume } from './open/open-volume.ts';
import type { OpeningStep } from './open/opening-steps.ts';
import { SINGLE_GROUP, homeSegment } from './placement.ts';
import type { PostgresPaths } from './postgres-paths.ts';
import type { RolePasswords } from './postgres/role-passwords.ts';
import { readCacheFile } from './postgres/cache-file.ts';
import { StandIn, type Absence } from './postgres/stand-in.ts';
import { killStrays } from './postgres/strays.ts';
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
  }): Session;
}

export interface WriterPhasesOptions {
  readonly config: AgentConfig;
  readonly paths: PostgresPaths;
  readonly segments: readonly SegmentEndpoint[];
  readonly settings: PostgresSettings;
  readonly passwords: RolePasswords;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The phases of a writer. */
export function writerPhases(options: WriterPhasesOptions): AgentPhases {
  const { config, paths, segments, settings, clock, logger } = options;
  const identity: WriterIdentity = {
    segment: homeSegment(config.volumeId),
    writerId: `${config.instance}/${randomUUID()}`,
  };
  return {
    door: (absence) => new StandIn({ listen: config.pgListen, absence, clock, logger }),
    clear: () => killStrays(paths.dataDir),
    open: (how) => openVolume({ ...how, segments, identity, clock, logger }),
    bootstrap: (how) =>
      bootstrapVolume({
        ...how,
        segments,
        identity,
        paths,
        application: { user: config.appUser, database: config.appDatabase },
        settingsDir: config.settingsDir,
        sqlDir: config.initSqlDir,
        settings,
        clock,
        logger,
      }),
    session: ({ opened, metrics, onStep, freePort }) => {
      const database = new PostgresDatabase({
        paths,
        listen: config.pgListen,
        hba: config.pgHba,
        cacheBytes: config.cacheBytes ?? roomForCache(paths.dataDir),
        settings,
        passwords: options.passwords,
        freePort,
        clock,
        logger,
      });
      const { zone, ringBytesMax, readAheadBytesMax: aheadBytesMax } = config;
      const access = { segments, identity, opened, placement: SINGLE_GROUP, ringBytesMax, aheadBytesMax, zone, clock, logger };
      return new WriterSession({
        opened,
        driver: (events) => volumeDriver({ ...access, ...observed(metrics) }, events),
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

/** Half of what is free for the data directory, with what an earlier one takes that is about to go. */
function roomForCache(dataDir: string): number {
  const { bavail, bsize } = statfsSync(dirname(dataDir));
  return (bavail * bsize + (readCacheFile(dataDir)?.residentBytes ?? 0)) / 2;
}

/** Those of the segments, our own zone's first. */
function nearest(indexes: readonly number[], segments: readonly SegmentEndpoint[], zone: string): SegmentEndpoint[] {
  const some = indexes.flatMap((index) => segments[index] ?? []);
  return some.sort((a, b) => Number(b.zone === zone) - Number(a.zone === zone));
}

/** What the metrics count of reads and flushes. */
function observed(metrics: AgentMetrics): Pick<VolumeDriverOptions, 'onFlushSent' | 'onFlushed' | 'onRead' | 'onAheadGone' | 'onError'> {
  return {
    onFlushSent: (seconds) => metrics.flushSentSeconds.note(seconds),
    onFlushed: (seconds) => metrics.flushSeconds.note(seconds),
    onRead: ({ seconds, pages, hedged }) => {
      metrics.pageReadSeconds.observe(seconds);
      metrics.pagesRead.inc(pages);
      if (hedged) metrics.pageReadsHedged.inc();
    },
    onAheadGone: (pages, used) => {
      metrics.pagesReadAhead.inc(pages);
      metrics.pagesReadAheadUnused.inc(Math.max(0, pages - used));
    },
    onError: (segment, code) => metrics.pageReadErrors.inc({ segment, code }),
  };
}
