import { noteEpoch } from './lease/earlier-writers.ts';
import type { ComputePhasesOptions, WriterPhases } from './agent-phases.ts';
import { bootstrapVolume } from './bootstrap/bootstrap-volume.ts';
import type { AgentMetrics } from './metrics.ts';
import { fetchComputeImage } from './open/fetch-image.ts';
import { openVolume } from './open/open-volume.ts';
import { SINGLE_GROUP } from './placement.ts';
import { roomForCache } from './postgres/cache-room.ts';
import { readUntouchedForks } from './postgres/relation-table.ts';
import type { RolePasswords } from './postgres/role-passwords.ts';
import { PromotedDatabase } from './promotion/promoted-database.ts';
import { readsObserved, type ReadsObserved } from './reads-observed.ts';
import type { SegmentEndpoint, WriterIdentity } from './segments.ts';
import { toldReader } from './warm-cache/told-reader.ts';
import { PostgresDatabase } from './session/postgres-database.ts';
import { volumeDriver, type VolumeDriverOptions } from './session/volume-driver.ts';
import { WriterSession } from './session/writer-session.ts';

interface WriterPhasesOptions extends ComputePhasesOptions {
  readonly identity: WriterIdentity;
  readonly passwords: RolePasswords;
  /** Is the PostgreSQL of that earlier writer known to be dead? */
  readonly isDead: (writerId: string) => boolean;
}

/** The phases of a writer. */
export function writerPhases(options: WriterPhasesOptions): WriterPhases {
  const { config, identity, paths, segments, settings, rules, tls, directory, isDead, clock, logger } = options;
  return {
    open: async (how) => {
      const outcome = await openVolume({ ...how, segments, identity, leaseMs: config.leaseMs, clock, logger });
      // Before a lease can be had in it: whoever comes after us here gives it back.
      if (outcome.kind === 'opened') noteEpoch(paths.writersFile, identity.writerId, outcome.epoch);
      return outcome;
    },
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
              writerPort: config.writerPort?.port,
              cacheBytes: config.cacheBytes ?? roomForCache(paths.dataDir),
              settings,
              rules,
              tls,
              directory,
              opened,
              passwords,
              toldHotPages: toldReader({ segments, segment: identity.segment, place: options.place, clock, logger }),
              freePort,
              clock,
              logger,
            })
          : new PromotedDatabase({
              standby,
              dataDir: paths.dataDir,
              socket: { dir: paths.runDir, port: config.pgListen.port },
              passwords,
              directory,
              epoch: opened.epoch,
              clock,
              logger,
            });
      const untouchedForks = readUntouchedForks(paths.dataDir, logger);
      const { zone, ringBytesMax, readAheadBytesMax: aheadBytesMax } = config;
      const access = {
        segments,
        identity,
        opened,
        placement: SINGLE_GROUP,
        ringBytesMax,
        aheadBytesMax,
        zone,
        clock,
        logger,
        untouchedForks,
      };
      const lease = { leaseMs: config.leaseMs, isDead };
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
function observed(metrics: AgentMetrics): Pick<VolumeDriverOptions, 'onFlushSent' | 'onFlushed' | 'onTook'> & ReadsObserved {
  return {
    onFlushSent: (seconds) => metrics.flushSentSeconds.note(seconds),
    onFlushed: (seconds) => metrics.flushSeconds.note(seconds),
    onTook: ({ id, zone }, seconds) => metrics.segmentAckSeconds.of({ segment: id, zone }).note(seconds),
    ...readsObserved(metrics),
  };
}
