import type { Logger } from '@kube-aurora/process';
import { decodePageKey, PAGE_KEY_BYTES, type PageId } from '@kube-aurora/redo';
import { AuroraRpcError, type PeerHandlers, type SegmentId, type SegmentState } from '@kube-aurora/rpc';
import { lastEpoch, READ_QUORUM } from '@kube-aurora/volume';
import type { DaemonMetrics } from '../metrics.ts';
import { LogGoneError, LogReadError } from '../redo-log/redo-log.ts';
import type { Segment } from '../segment/segment.ts';
import { asRpcError, checkSegmentId, deadlineOf } from '../service/segment-service.ts';
import { copyFrom, serveCopy } from './copy.ts';
import { fillFromPeers } from './fill.ts';
import { Gossip } from './gossip.ts';
import type { Peer } from './peer-set.ts';
import { fetchPage, repairLog } from './repair.ts';
import { Scrubber } from './scrubber.ts';

/** What follows from what peers say: gaps are filled, empty and damaged segments copied, damaged bytes replaced. */

const FETCH_CHUNK_BYTES = 512 * 1024;
/** An import may be about to reach an empty segment; a copy waits that long unless the volume is on three peers. */
const COPY_PATIENCE_MS = 5000;
const COPY_RETRY_MS = 5000;
const SCRUB_INTERVAL_MS = 5000;
const ASK_INTERVAL_MS = 100;

export interface PeersDeps {
  readonly ownId: string;
  readonly peers: readonly Peer[];
  readonly logger: Logger;
  readonly metrics: DaemonMetrics;
  readonly segments: () => Iterable<Segment>;
  readonly find: (volumeId: string, pg: number) => Promise<Segment>;
  readonly scrubBytesPerSecond: number;
}

interface Activity {
  filling: Promise<void> | undefined;
  copying: boolean;
  copyNotBefore: number;
  /** When a peer that holds the volume was first heard of, while this segment was empty. */
  readyPeerSince: number | undefined;
  sclAtLastGossip: bigint;
  lastAsked: number;
  scrubber: Scrubber;
}

export class Peers {
  readonly #deps: PeersDeps;
  readonly #activity = new WeakMap<Segment, Activity>();
  readonly gossip: Gossip;
  #scrubTimer: NodeJS.Timeout | undefined;
  #scrubbing = false;
  #stopped = false;

  constructor(deps: PeersDeps) {
    this.#deps = deps;
    this.gossip = new Gossip({ ...deps, onHeard: (segment, peer, state) => this.#onHeard(segment, peer, state) });
  }

  start(): void {
    this.gossip.start();
    if (this.#deps.scrubBytesPerSecond > 0) this.#scrubTimer = setInterval(() => void this.scrub(), SCRUB_INTERVAL_MS);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.gossip.stop();
    clearInterval(this.#scrubTimer);
    for (const segment of this.#deps.segments()) await this.#activity.get(segment)?.filling;
    for (const peer of this.#deps.peers) peer.client.close();
  }

  #of(segment: Segment): Activity {
    let activity = this.#activity.get(segment);
    if (activity === undefined) {
      activity = {
        filling: undefined,
        copying: false,
        copyNotBefore: 0,
        readyPeerSince: undefined,
        sclAtLastGossip: 0n,
        lastAsked: 0,
        scrubber: this.#scrubberFor(segment),
      };
      this.#activity.set(segment, activity);
    }
    return activity;
  }

  #sources = (segment: Segment) => (): { peer: Peer; state: SegmentState }[] => this.gossip.fresh(segment);

  #onHeard(segment: Segment, peer: Peer, state: SegmentState): void {
    if (this.#stopped) return;
    void this.#consider(segment, state).catch((error: unknown) =>
      this.#deps.logger.warn({ volume: segment.volumeId, peer: peer.id, err: error }, 'what a peer said could not be followed'),
    );
  }

  async #consider(segment: Segment, state: SegmentState): Promise<void> {
    const activity = this.#of(segment);
    if (segment.needsCopy || this.#isOfDeadImport(segment, state)) {
      await this.#considerCopy(segment, activity);
      return;
    }
    activity.readyPeerSince = undefined;
    if (segment.content === undefined || state.baseEpoch !== segment.control.baseEpoch) return;
    await segment.takeHistory(state.history);
    const epoch = lastEpoch(state.history);
    segment.noteVdl(state.vdl, epoch);
    segment.notePgmrpl(state.pgmrpl, epoch);
    // Redo that is on its way from the writer needs no fetching: only what did not move since the last time.
    const stands = segment.scl === activity.sclAtLastGossip;
    activity.sclAtLastGossip = segment.scl;
    if (state.scl > segment.scl && (stands || activity.lastAsked > Date.now() - 2000)) this.#fill(segment);
    this.#considerForgiving(segment);
  }

  /** A base that an import left behind before it died, superseded by another's. Nothing was ever written to it. */
  #isOfDeadImport(segment: Segment, state: SegmentState): boolean {
    const { baseEpoch, baseLsn } = segment.control;
    return segment.phase === 'READY' && state.phase === 'READY' && state.baseEpoch > baseEpoch && segment.scl === baseLsn;
  }

  async #considerCopy(segment: Segment, activity: Activity): Promise<void> {
    const now = Date.now();
    const ready = this.gossip.fresh(segment).filter(({ state }) => state.phase === 'READY');
    const highest = ready.reduce((base, { state }) => (state.baseEpoch > base ? state.baseEpoch : base), 0n);
    const sources = ready.filter(({ state }) => state.baseEpoch === highest);
    const best = sources[0];
    if (best === undefined || activity.copying || now < activity.copyNotBefore) return;
    activity.readyPeerSince ??= now;
    if (sources.length < READ_QUORUM && now - activity.readyPeerSince < COPY_PATIENCE_MS) return;
    activity.copying = true;
    try {
      await copyFrom(segment, best.peer, this.#deps.logger, (bytes) => this.#deps.metrics.fetchedBytes.inc(bytes));
      this.#deps.metrics.repairs.inc({ kind: 'copy' });
    } catch (error) {
      this.#deps.logger.warn({ volume: segment.volumeId, peer: best.peer.id, err: error }, 'could not copy the segment');
      activity.copyNotBefore = Date.now() + COPY_RETRY_MS;
    } finally {
      activity.copying = false;
      activity.readyPeerSince = undefined;
    }
    this.#fill(segment);
  }

  /** Three sound peers that never heard of lost redo show that it was not on four segments. */
  #considerForgiving(segment: Segment): void {
    if (!segment.owes) return;
    const sound = this.gossip.fresh(segment).filter(({ state }) => state.phase === 'READY' && state.message === '');
    if (sound.length >= READ_QUORUM && sound.every(({ state }) => state.scl <= segment.scl)) void segment.forgiveOwed();
  }

  /** Redo is missing: asks around at once, and fetches. */
  onGap(segment: Segment): void {
    const activity = this.#of(segment);
    const now = Date.now();
    if (now - activity.lastAsked < ASK_INTERVAL_MS) return;
    activity.lastAsked = now;
    this.gossip.askAll(segment);
    this.#fill(segment);
  }

  #fill(segment: Segment): void {
    const activity = this.#of(segment);
    if (this.#stopped || activity.filling !== undefined || segment.content === undefined) return;
    activity.filling = fillFromPeers(segment, this.#sources(segment), this.#deps.logger, (bytes) => this.#deps.metrics.fetchedBytes.inc(bytes))
      .then((outcome) => {
        if (outcome === 'too-old') void this.#considerCopy(segment, activity);
      })
      .catch((error: unknown) => this.#deps.logger.warn({ volume: segment.volumeId, err: error }, 'fetching redo failed'))
      .finally(() => {
        activity.filling = undefined;
      });
  }

  fetchPage(segment: Segment, page: PageId, lsn: number): Promise<Buffer | undefined> {
    return fetchPage(segment, page, lsn, this.#sources(segment), this.#deps.logger);
  }

  #scrubberFor(segment: Segment): Scrubber {
    const { metrics, logger } = this.#deps;
    return new Scrubber(segment, {
      onCorruption: (kind, error) => {
        metrics.corruptions.inc({ kind });
        logger.error({ volume: segment.volumeId, kind, err: error }, 'the scrubber found damaged data');
      },
      repairLog: (one, lsn) => repairLog(one, lsn, this.#sources(one), logger),
      onLogRepaired: () => {
        metrics.repairs.inc({ kind: 'log' });
        logger.warn({ volume: segment.volumeId }, 'repaired the redo log from a peer');
      },
      onScrubbed: (bytes) => metrics.scrubbedBytes.inc(bytes),
    });
  }

  /** One step over every segment. */
  async scrub(bytes = this.#deps.scrubBytesPerSecond * (SCRUB_INTERVAL_MS / 1000)): Promise<void> {
    if (this.#scrubbing) return;
    this.#scrubbing = true;
    try {
      for (const segment of this.#deps.segments()) {
        await this.#of(segment).scrubber.step(bytes);
        await segment.measure();
      }
    } catch (error) {
      this.#deps.logger.warn({ err: error }, 'a scrub step failed');
    } finally {
      this.#scrubbing = false;
    }
  }

  handlers(): PeerHandlers {
    const find = (id: SegmentId | undefined): Promise<Segment> => {
      const { volumeId, pg } = checkSegmentId(id);
      return this.#deps.find(volumeId, pg);
    };
    return {
      gossip: async ({ segment, state }) => {
        const found = await find(segment);
        if (state === undefined) throw new AuroraRpcError('INVALID', 'state: is missing');
        this.gossip.hear(found, state.daemonId, state);
        return found.state();
      },
      fetchRedo: (request) => this.#serveRedo(find(request.segment), request.fromLsn, request.fromEpoch, request.toLsn),
      copySegment: ({ segment }) => this.#serveCopy(find(segment)),
      getPeerPage: async ({ segment, key, lsn }, context) => {
        const found = await find(segment);
        if (key.length !== PAGE_KEY_BYTES) throw new AuroraRpcError('INVALID', `key: ${key.length} bytes, not ${PAGE_KEY_BYTES}`);
        if (found.content === undefined || found.phase !== 'READY') throw new AuroraRpcError('NOT_READY', `the segment is ${found.phase}`);
        const { content } = found;
        if (!(await found.wait(() => content.ingest.hasApplied(Number(lsn)), deadlineOf(context)))) {
          throw new AuroraRpcError('BEHIND', `redo is applied up to ${content.ingest.appliedLsn}, not ${lsn}`);
        }
        try {
          // Not pageAt of the content: two damaged copies must not ask each other in circles.
          const { page } = await content.reader.pageAt(decodePageKey(key), Number(lsn));
          return { key, page: page ?? Buffer.alloc(0) };
        } catch (error) {
          throw asRpcError(error);
        }
      },
    };
  }

  async *#serveCopy(finding: Promise<Segment>): ReturnType<PeerHandlers['copySegment']> extends AsyncIterable<infer T> ? AsyncGenerator<T> : never {
    yield* serveCopy(await finding);
  }

  async *#serveRedo(finding: Promise<Segment>, fromLsn: bigint, fromEpoch: bigint, toLsn: bigint): AsyncGenerator<{ batches: Buffer }> {
    const segment = await finding;
    const log = segment.content?.log;
    if (log === undefined) throw new AuroraRpcError('NOT_READY', `the segment is ${segment.phase}`);
    try {
      if (fromLsn < log.startLsn) throw new LogGoneError(fromLsn, Number(log.startLsn));
      const epoch = log.epochAt(fromLsn);
      if (epoch !== fromEpoch) throw new AuroraRpcError('INVALID', `from_epoch: the batch that ends at ${fromLsn} is of epoch ${epoch ?? 'none'} here, not ${fromEpoch}`);
      const end = toLsn > 0n && toLsn < log.durable.lsn ? toLsn : log.durable.lsn;
      let from = fromLsn;
      while (from < end) {
        const batches = log.batchesFrom(from, FETCH_CHUNK_BYTES);
        if (batches.length === 0) return;
        yield { batches };
        from = endOf(batches);
      }
    } catch (error) {
      if (error instanceof LogReadError) {
        this.#deps.metrics.corruptions.inc({ kind: 'log' });
        if (await repairLog(segment, error.lsn, this.#sources(segment), this.#deps.logger)) this.#deps.metrics.repairs.inc({ kind: 'log' });
      }
      throw asRpcError(error);
    }
  }
}

/** End LSN of the last of some whole, checked batches. */
function endOf(batches: Buffer): bigint {
  let at = 0;
  let end = 0n;
  while (at < batches.length) {
    end = batches.readBigUInt64LE(at + 24);
    at += batches.readUInt32LE(at + 4);
  }
  return end;
}
