import type { Clock } from '@kube-aurora/clock';
import type { Logger } from '@kube-aurora/process';
import type { PageKey } from '@kube-aurora/redo-engine';
import { AuroraRpcError, type PeerHandlers, type SegmentId, type SegmentState } from '@kube-aurora/rpc';
import type { LogReadError } from '../redo-log/log-errors.ts';
import { emptyState, type SegmentDirectory } from '../segment/segment-directory.ts';
import type { SegmentEvents } from '../segment/content-failures.ts';
import type { PeersHighest } from '../segment/segment-options.ts';
import type { Segment } from '../segment/segment.ts';
import { checkMessage } from '../edge/message-rules.ts';
import type { Refusals } from '../edge/refusals.ts';
import { Gossip } from './gossip.ts';
import { pageSources, redoSources } from './peer-plan.ts';
import { peerHandlers } from './peer-service.ts';
import type { Peer } from './peer-set.ts';
import { PeerTable } from './peer-table.ts';
import { fetchPage, repairLog } from './repair.ts';
import { SegmentSync } from './segment-sync.ts';
import { StandInWatch } from './stand-in.ts';
import { isStoodInFor } from './stand-in-plan.ts';

/** The peers' side of a daemon, wired up: gossip, gap filling, copies, repair and scrub for every segment. */

const SCRUB_INTERVAL_MS = 5000;
/** Volumes that are asked about at a time. */
const PROBES_MAX = 4;
const PROBE_MS = 2000;
const ASK_MS = 500;

/** What the peers' side counts; the daemon's metrics implement it. */
export interface PeerCounters extends SegmentEvents {
  fetched(bytes: number): void;
  scrubbed(bytes: number): void;
}

export interface PeersOptions {
  readonly ownId: string;
  readonly peers: readonly Peer[];
  readonly logger: Logger;
  readonly counters: PeerCounters;
  readonly segments: SegmentDirectory;
  readonly refusals: Refusals;
  readonly scrubBytesPerSecond: number;
  /** Milliseconds after which a tail stands in for its zone's full segment that is away. */
  readonly standInAfterMs: number;
  readonly clock: Clock;
}

export class Peers {
  readonly gossip: Gossip;
  readonly #options: PeersOptions;
  readonly #clock: Clock;
  readonly #table: PeerTable;
  readonly #stop = new AbortController();
  readonly #syncs = new Map<Segment, SegmentSync>();
  readonly #standIns = new Map<Segment, StandInWatch>();
  readonly #repairing = new Map<Segment, Promise<boolean>>();
  readonly #probing = new Set<Promise<void>>();
  #scrubLoop: Promise<void> | undefined;
  #scrubbing: Promise<void> | undefined;

  constructor(options: PeersOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.#table = new PeerTable(options.peers, { id: options.ownId, role: options.segments.identity.role }, this.#clock);
    this.gossip = new Gossip({
      segments: options.segments.all,
      table: this.#table,
      clock: this.#clock,
      logger: options.logger,
      stop: this.#stop.signal,
      observe: (segment, state) => this.#sync(segment).observe(state),
      onRefusal: (segment, peerId, error) => {
        if (!options.refusals.note('Gossip', error, { volume: segment.volumeId, peer: peerId }))
          options.logger.error({ volume: segment.volumeId, peer: peerId, err: error }, 'what a peer answered could not be taken');
      },
      onTick: (segment) => {
        segment.raiseReadFloor();
        if (segment.control.role === 'TAIL') {
          this.#dropRedo(segment);
          this.#standIn(segment).run();
        } else if (isStoodInFor(options.ownId, segment.pages?.checkpointLsn ?? 0n, this.#table.views(segment)))
          segment.pages?.requestCheckpoint();
        void this.#sync(segment).run();
      },
    });
  }

  start(): void {
    this.gossip.start();
    if (this.#options.scrubBytesPerSecond > 0) this.#scrubLoop = this.#scrubOn();
  }

  /** Ends everything that is under way, then the connections. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.gossip.stopped();
    await Promise.all(this.#probing);
    for (const sync of this.#syncs.values()) await sync.stopped();
    for (const standIn of this.#standIns.values()) await standIn.stopped();
    await this.#scrubLoop;
    await this.#scrubbing;
    for (const peer of this.#options.peers) peer.client.close();
  }

  #sync(segment: Segment): SegmentSync {
    let sync = this.#syncs.get(segment);
    if (sync === undefined) {
      const { logger, counters } = this.#options;
      sync = new SegmentSync({
        segment,
        table: this.#table,
        clock: this.#clock,
        logger,
        stop: this.#stop.signal,
        askAll: (one) => this.gossip.askAll(one),
        onFetched: (bytes) => counters.fetched(bytes),
        onCopied: () => counters.repair('copy'),
      });
      this.#syncs.set(segment, sync);
    }
    return sync;
  }

  #standIn(segment: Segment): StandInWatch {
    let watch = this.#standIns.get(segment);
    if (watch === undefined) {
      const { logger, counters, standInAfterMs: afterMs } = this.#options;
      const onFetched = (bytes: number): void => counters.fetched(bytes);
      watch = new StandInWatch({ segment, table: this.#table, clock: this.#clock, logger, stop: this.#stop.signal, afterMs, onFetched });
      this.#standIns.set(segment, watch);
    }
    return watch;
  }

  /** Redo is missing and someone waits for it: asks around at once, and fetches. */
  onGap(segment: Segment): void {
    if (!this.#stop.signal.aborted) this.#sync(segment).expedite();
  }

  /** What the segment lacks and no peer can give at present; '' otherwise. */
  waitingFor(segment: Segment): string {
    return this.#syncs.get(segment)?.waitingFor ?? '';
  }

  #peersNamed(ids: readonly string[]): Peer[] {
    return ids.flatMap((id) => this.#table.find(id) ?? []);
  }

  /** A page as of `lsn`; undefined: it does not exist. Throws NoSoundCopyError when no peer can give it. */
  async fetchPage(segment: Segment, page: PageKey, lsn: bigint): Promise<Buffer | undefined> {
    const sources = (): Peer[] => this.#peersNamed(pageSources(segment.state(), this.#table.views(segment), lsn));
    // What was last heard may be seconds old, and is nothing at all right after a start.
    if (sources().length < this.#table.peers.length) await this.askPeers(segment);
    return fetchPage(segment, page, lsn, sources(), this.#options.logger);
  }

  /** Replaces the damaged batches around `lsn`; one repair at a time. True when the log reads soundly there again. */
  repairLog(segment: Segment, lsn: bigint): Promise<boolean> {
    let repair = this.#repairing.get(segment);
    if (repair === undefined) {
      repair = this.#repairLog(segment, lsn).finally(() => this.#repairing.delete(segment));
      this.#repairing.set(segment, repair);
    }
    return repair;
  }

  async #repairLog(segment: Segment, lsn: bigint): Promise<boolean> {
    const { counters, logger } = this.#options;
    const from = segment.storage?.boundaryBefore(lsn)?.lsn ?? lsn;
    await this.askPeers(segment);
    const sources = this.#peersNamed(redoSources(segment.state(), this.#table.views(segment), { fromLsn: from, pastLsn: lsn }));
    if (!(await repairLog(segment, lsn, sources, logger))) return false;
    counters.repair('log');
    logger.warn({ volume: segment.volumeId, lsn }, 'repaired the redo log from a peer');
    return true;
  }

  /** Redo that was to be given is damaged here: it is fetched from a peer. */
  onLogDamage(segment: Segment, error: LogReadError): void {
    const { counters, logger } = this.#options;
    counters.corruption('log');
    logger.error({ volume: segment.volumeId, err: error }, 'redo is damaged here and was not given to who asked for it');
    this.repairLog(segment, error.lsn).catch((failure: unknown) =>
      logger.error({ volume: segment.volumeId, err: failure }, 'the redo log could not be repaired'),
    );
  }

  async #scrubOn(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await this.#clock.sleep(SCRUB_INTERVAL_MS, signal);
      if (!signal.aborted) await this.scrub();
    }
  }

  /** One step over every segment: about `bytes` of pages and as much log of each. Never throws. */
  scrub(bytes = this.#options.scrubBytesPerSecond * (SCRUB_INTERVAL_MS / 1000)): Promise<void> {
    this.#scrubbing ??= this.#scrubStep(bytes).finally(() => {
      this.#scrubbing = undefined;
    });
    return this.#scrubbing;
  }

  async #scrubStep(bytes: number): Promise<void> {
    const { counters } = this.#options;
    for (const segment of this.#options.segments.all()) {
      try {
        if (segment.phase === 'READY' && segment.storage !== undefined)
          counters.scrubbed(await segment.storage.scrubStep(bytes, (lsn) => this.repairLog(segment, lsn)));
        await segment.measure();
      } catch (error) {
        this.#options.logger.warn({ volume: segment.volumeId, err: error }, 'a scrub step failed');
      }
    }
  }

  /**
   * Somebody said that a peer holds a volume that is not here: when that peer itself says so too, this daemon gets a
   * copy.
   */
  #learnOfVolume(id: SegmentId, said: SegmentState): void {
    const peer = this.#table.find(said.daemonId);
    if (peer === undefined) throw new AuroraRpcError('INVALID', `state.daemon_id: '${said.daemonId}' is not a peer of this daemon`);
    // Empty ones are nothing to ask about: two daemons without a volume would ask each other for ever.
    if (said.phase !== 'READY' && said.phase !== 'DAMAGED') return;
    if (this.#probing.size >= PROBES_MAX || this.#stop.signal.aborted) return;
    const probe = this.#probe(id, peer)
      .catch((error: unknown) =>
        this.#options.logger.warn(
          { volume: id.volumeId, peer: peer.id, err: error },
          'a volume that a peer may hold could not be asked for',
        ),
      )
      .finally(() => this.#probing.delete(probe));
    this.#probing.add(probe);
  }

  async #probe(id: SegmentId, peer: Peer): Promise<void> {
    const { segments } = this.#options;
    const state = emptyState(segments.identity);
    const answer = await peer.client.gossip({ segment: id, state }, { deadlineMs: PROBE_MS, signal: this.#stop.signal });
    checkMessage('SegmentState', answer, 'state');
    if (answer.phase === 'READY' || answer.phase === 'DAMAGED') await segments.take(id);
  }

  /** Up to where a peer's stored pages have all redo, as it said last; 0n while it did not. */
  checkpointOf(segment: Segment, peerId: string): bigint {
    return this.#table.checkpointLsn(segment, peerId);
  }

  /** A tail has no checkpoints of its own to drop redo after. */
  #dropRedo(segment: Segment): void {
    segment
      .dropRedo()
      .catch((error: unknown) =>
        this.#options.logger.error({ volume: segment.volumeId, err: error }, 'redo that nobody needs could not be dropped'),
      );
  }

  /** What the peers last answered of a segment. */
  highest(segment: Segment): PeersHighest {
    let [scl, epoch, isWritten] = [0n, 0n, false];
    for (const { state } of this.#table.views(segment)) {
      if (state.scl > scl) scl = state.scl;
      if (state.epoch > epoch) epoch = state.epoch;
      isWritten ||= state.scl > state.baseLsn;
    }
    return { scl, epoch, isWritten };
  }

  /** Asks every peer now; who is silent is not waited for. */
  askPeers(segment: Segment): Promise<void> {
    return Promise.race([this.gossip.askAll(segment), this.#clock.sleep(ASK_MS, this.#stop.signal)]);
  }

  handlers(): PeerHandlers {
    return peerHandlers({
      clock: this.#clock,
      segments: this.#options.segments,
      refusals: this.#options.refusals,
      receive: (segment, state) => this.gossip.receive(segment, state),
      learnOfVolume: (id, state) => this.#learnOfVolume(id, state),
      onLogDamage: (segment, error) => this.onLogDamage(segment, error),
    });
  }
}
