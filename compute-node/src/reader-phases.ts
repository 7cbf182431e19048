import { randomUUID } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { join } from 'node:path';
import { lsn } from '@kube-aurora/pg-format';
import { NEVER_PROMOTED } from '@kube-aurora/rpc';
import type { ComputePhasesOptions, ReaderPhases } from './agent-phases.ts';
import { nextWriter } from './election/next-writer.ts';
import { FollowedSlots } from './failover-slots/followed-slots.ts';
import { roomForCache } from './postgres/cache-room.ts';
import { readUntouchedForks } from './postgres/relation-table.ts';
import { fetchComputeImage } from './open/fetch-image.ts';
import { SINGLE_GROUP, homeSegment } from './placement.ts';
import { readsObserved } from './reads-observed.ts';
import { PageReader } from './read-path/page-reader.ts';
import { PageSource } from './read-path/page-source.ts';
import type { WriterIdentity } from './segments.ts';
import { findReaderStart } from './reader/find-start.ts';
import { ReaderSession } from './reader/reader-session.ts';
import { RedoFeed } from './reader/redo-feed.ts';
import { StandbyDatabase } from './reader/standby-database.ts';
import { Walsender } from './reader/walsender.ts';
import { WriterFinder } from './reader/writer-finder.ts';
import { toldReader } from './warm-cache/told-reader.ts';

/** A reader is no writer: it has no epoch, and storage serves it what is durable whatever the epoch. */
const NO_EPOCH = 0n;
/** In the name of the walsender's socket, beside PostgreSQL's own. */
const streamPort = (listenPort: number): number => (listenPort === 5433 ? 5434 : 5433);

/** The phases of a compute that reads. It opens nothing and makes nothing: it looks for where the volume stands. */
export function readerPhases(options: ComputePhasesOptions): ReaderPhases {
  const { config, paths, segments, settings, rules, tls, directory, place, clock, logger } = options;
  const segment = homeSegment(config.volumeId);
  const { zone } = config;
  const stream = { dir: paths.runDir, port: streamPort(config.pgListen.port), applicationName: 'kube-aurora' };
  return {
    open: async ({ signal, onWaiting }) => {
      const found = await findReaderStart({ segments, segment, zone, clock, logger, signal, onWaiting });
      if (found === undefined) return { kind: 'stopped' };
      const upToDate = found.segments.map(({ index }) => index);
      return { kind: 'opened', epoch: NO_EPOCH, history: [], startLsn: found.startLsn, previousEpoch: NO_EPOCH, upToDate };
    },
    session: ({ opened, metrics, onStep, freePort, onWriterSign }) => {
      // Another in each session: what the one before said it still reads is not held for this one.
      const computeId = `${config.instance}/${randomUUID()}`;
      const identity: WriterIdentity = { segment, writerId: computeId };
      const startLsn = lsn(opened.startLsn);
      const slots = new FollowedSlots({ startLsn, replayLsn: () => session.replay.replayLsn, clock, logger });
      const database = new StandbyDatabase({
        paths,
        listen: config.pgListen,
        writerPort: config.writerPort?.port,
        cacheBytes: config.cacheBytes ?? roomForCache(paths.dataDir),
        stream,
        warmPagesPerSecond: () => (config.role === 'auto' ? place.warmPagesPerSecond : 0),
        isNextWriter: async (signal) => (await nextWriter({ segments, segment, place, clock, logger }, signal)) === computeId,
        toldHotPages: toldReader({ segments, segment, place, clock, logger }),
        settings,
        rules,
        tls,
        directory,
        slots,
        freePort,
        clock,
        logger,
      });
      const finder =
        config.writerPort === undefined
          ? undefined
          : new WriterFinder({
              segments,
              segment,
              place,
              addresses: config.writerPort.instances,
              resolve: async (host) => (await lookup(host)).address,
              onFound: (address) => database.server.writerIs(address),
              clock,
              logger,
            });
      const session: ReaderSession = new ReaderSession({
        startLsn,
        feed: (from, events) =>
          new RedoFeed({
            segments,
            segment,
            computeId,
            promotionTier: () => (config.role === 'auto' ? place.tier : NEVER_PROMOTED),
            zone,
            startLsn: from,
            clock,
            logger,
            ...events,
            onWriterSign: (index, sign) => {
              finder?.note(sign);
              database.writerIsOf(sign.writerEpoch);
              onWriterSign(index, sign);
            },
          }),
        sender: (how) =>
          new Walsender({
            ...how,
            socketPath: join(stream.dir, `.s.PGSQL.${stream.port}`),
            owner: paths.account,
            slots: () => slots.slots,
            clock,
            logger,
          }),
        pages: (volume, onTooOld) => {
          const { onRead, onError, onAheadGone } = readsObserved(metrics);
          const pageReader = new PageReader({
            segments,
            identity,
            epoch: NO_EPOCH,
            zone,
            volume,
            placement: SINGLE_GROUP,
            // Nobody has an epoch that is above none.
            onFenced: (message) => logger.error({ reason: message }, 'storage refuses a reader as it would an old writer'),
            onTooOld,
            onRead,
            onError,
            clock,
            logger,
          });
          const pageSource = new PageSource({
            reader: pageReader,
            aheadBytesMax: config.readAheadBytesMax,
            untouchedForks: readUntouchedForks(paths.dataDir, logger),
            onAheadGone,
            clock,
          });
          return { pageReader, pageSource };
        },
        fetchImage: (signal) =>
          fetchComputeImage({
            segments: opened.upToDate.flatMap((index) => segments[index] ?? []),
            identity,
            epoch: NO_EPOCH,
            lsn: startLsn,
            clock,
            logger,
            signal,
          }),
        database,
        onStep,
        clock,
        logger,
      });
      void session.ended.then(() => finder?.stop());
      return session;
    },
  };
}
