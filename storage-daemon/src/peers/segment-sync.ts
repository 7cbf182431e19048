import type { Clock } from '@kube-aurora/clock';
import type { Logger } from '@kube-aurora/process';
import { AuroraRpcError, type SegmentState } from '@kube-aurora/rpc';
import { lastEpoch } from '@kube-aurora/volume';
import type { Segment } from '../segment/segment.ts';
import { copyFromPeer, startRedoAt } from './copy-segment.ts';
import { fetchMissingRedo } from './fill-gaps.ts';
import { GapWatch, isProof, planSync, type CopyTerms, type SyncPlan } from './peer-plan.ts';
import type { Peer } from './peer-set.ts';
import type { PeerTable } from './peer-table.ts';

/**
 * Keeps one segment level with its peers: takes what they say, and fetches or copies what is missing. One thing at a
 * time per segment; who failed is left alone for a moment and the next one is asked.
 */

/** A peer's redo may be on its way to us from the writer for this long before it is a gap. */
const GAP_PATIENCE_MS = 900;
const SOURCE_REST_MS = 2000;
/** A peer's damaged redo is asked for so often before it is given up. */
const REFUSALS_MAX = 3;
/** When someone waits for redo: how long gaps are closed without patience, and how often peers are asked. */
const EXPEDITE_MS = 2000;
const EXPEDITE_STEP_MS = 150;

export interface SegmentSyncOptions {
  readonly segment: Segment;
  readonly table: PeerTable;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly stop: AbortSignal;
  /** Asks every peer for its state now; resolves when all have answered or failed. */
  readonly askAll: (segment: Segment) => Promise<void>;
  readonly onFetched: (bytes: number) => void;
  /** A copy took the place of content that was damaged, too old, or not there. */
  readonly onCopied: () => void;
}

export class SegmentSync {
  readonly #options: SegmentSyncOptions;
  readonly #gap = new GapWatch(GAP_PATIENCE_MS);
  readonly #restUntil = new Map<string, number>();
  /**
   * By peer: how often its redo from `fromLsn` on, our end, turned out to be damaged. It has it repaired, if anyone
   * can.
   */
  readonly #refused = new Map<string, { readonly fromLsn: bigint; readonly times: number }>();
  #expediteUntil = -Infinity;
  #expediting: Promise<void> | undefined;
  #running: Promise<void> | undefined;
  #waitingFor = '';

  constructor(options: SegmentSyncOptions) {
    this.#options = options;
  }

  /** What the segment lacks and nobody can give at present; '' otherwise. */
  get waitingFor(): string {
    return this.#waitingFor;
  }

  /**
   * Takes what a peer said of its copy: its history first, where it is the newer one; then its points, which count only
   * when the history is ours. What is at or below VDL is applied, and another history may annul part of our log below
   * it.
   */
  async observe(peer: SegmentState): Promise<void> {
    const { segment } = this.#options;
    const isOfThisVolume =
      segment.storage !== undefined && peer.phase !== 'EMPTY' && peer.phase !== 'IMPORTING' && peer.baseEpoch === segment.control.baseEpoch;
    if (isOfThisVolume) {
      await segment.takeHistory(peer.history);
      const epoch = lastEpoch(peer.history);
      segment.noteVdl(peer.vdl, epoch);
      segment.notePeersReadFloor(peer.pgmrpl, epoch);
      this.#clearRecovery();
    }
    void this.run();
  }

  /**
   * A read quorum of sound peers that do not have what was lost, and have promised an epoch past ours, shows that it
   * was never on a write quorum and never will be. While they may still take redo of the epoch that it was acknowledged
   * in, its writer may count us and get them to complete a quorum.
   */
  #clearRecovery(): void {
    const { segment, table, logger } = this.#options;
    if (!segment.mustRecover) return;
    const { baseEpoch, epoch } = segment.control;
    const sound = table.views(segment).filter(({ state }) => isProof(state) && state.baseEpoch === baseEpoch && state.epoch > epoch);
    const isEnough = table.quorums.isRead(sound.map(({ state }) => state.role));
    if (!isEnough || sound.some(({ state }) => state.scl > segment.scl)) return;
    logger.warn(
      { volume: segment.volumeId, scl: segment.scl, recoverToLsn: segment.control.recoverToLsn },
      'a read quorum of peers that follow a later writer does not have what was lost: it was never durable',
    );
    segment
      .clearRecovery()
      .catch((error: unknown) => logger.error({ volume: segment.volumeId, err: error }, 'the control file could not be written'));
  }

  /**
   * Someone waits for redo: asks around at once and closes gaps without patience. Returns at once; may be called often.
   */
  expedite(): void {
    const { clock, logger, segment } = this.#options;
    this.#expediteUntil = clock.now() + EXPEDITE_MS;
    this.#expediting ??= this.#expediteOn()
      .catch((error: unknown) => logger.error({ volume: segment.volumeId, err: error }, 'catching up failed'))
      .finally(() => {
        this.#expediting = undefined;
      });
  }

  async #expediteOn(): Promise<void> {
    const { segment, clock, askAll, stop } = this.#options;
    const { scl } = segment;
    while (clock.now() < this.#expediteUntil && !stop.aborted) {
      // A peer that is gone must not hold up what the others can give.
      await Promise.race([askAll(segment), clock.sleep(EXPEDITE_STEP_MS, stop)]);
      await this.run();
      if (segment.scl > scl && this.#plan(-Infinity).kind === 'idle') return;
      await clock.sleep(EXPEDITE_STEP_MS, stop);
    }
  }

  /** Looks whether anything is missing and gets it; cheap when not. Never throws. */
  run(): Promise<void> {
    this.#running ??= this.#work()
      .catch((error: unknown) =>
        this.#options.logger.error(
          { volume: this.#options.segment.volumeId, err: error },
          'keeping level with the peers failed; it is tried again',
        ),
      )
      .finally(() => {
        this.#running = undefined;
      });
    return this.#running;
  }

  /** Resolves when nothing is under way; `stop` must be aborted first. */
  async stopped(): Promise<void> {
    await this.#expediting;
    await this.#running;
  }

  async #work(): Promise<void> {
    while (!this.#options.stop.aborted) {
      const plan = this.#plan(-Infinity);
      this.#report(plan);
      if (plan.kind === 'fetch' && this.#isDue(plan.toLsn)) {
        if (!(await this.#fetch(plan))) return;
      } else if (plan.kind === 'copy') {
        if (!(await this.#copy())) return;
      } else return;
    }
  }

  #plan(since: number): SyncPlan {
    const { segment, table } = this.#options;
    // One that stands in lets go of pages that are damaged: its log is sound, and must not begin anew for them.
    const isStandIn = segment.control.standIn !== undefined;
    const needsCopy = segment.needsCopy && !isStandIn ? (segment.damage ?? 'the segment is empty') : undefined;
    const plan = planSync({
      own: segment.state(),
      needsCopy,
      peers: table.views(segment, since),
      quorums: table.quorums,
      inAllPages: table.inAllPages(segment),
      peerCount: table.peers.length,
      unableToServe: this.#unableToServe(),
    });
    const { unwritable } = segment;
    return unwritable !== undefined && (plan.kind === 'fetch' || plan.kind === 'copy') ? { kind: 'wait', reason: unwritable } : plan;
  }

  #unableToServe(): ReadonlySet<string> {
    const { scl } = this.#options.segment;
    return new Set(
      [...this.#refused].filter(([, { fromLsn, times }]) => fromLsn === scl && times >= REFUSALS_MAX).map(([peerId]) => peerId),
    );
  }

  #noteRefusal(peerId: string): void {
    const { scl } = this.#options.segment;
    const before = this.#refused.get(peerId);
    this.#refused.set(peerId, { fromLsn: scl, times: before?.fromLsn === scl ? before.times + 1 : 1 });
  }

  #isDue(aheadLsn: bigint): boolean {
    const now = this.#options.clock.now();
    return this.#gap.isDue(this.#options.segment.scl, aheadLsn, now) || now < this.#expediteUntil;
  }

  #report(plan: SyncPlan): void {
    const { segment, logger } = this.#options;
    const reason = plan.kind === 'wait' ? plan.reason : '';
    if (reason !== '' && reason !== this.#waitingFor) logger.warn({ volume: segment.volumeId, reason }, 'the segment waits for its peers');
    this.#waitingFor = reason;
  }

  /** True when SCL moved: then there may be more. */
  async #fetch(plan: Extract<SyncPlan, { kind: 'fetch' }>): Promise<boolean> {
    const { segment, clock, stop, logger, onFetched } = this.#options;
    for (const peer of this.#rested(plan.sources)) {
      const from = segment.scl;
      const bytes = await this.#from(peer, 'redo', () => fetchMissingRedo(segment, peer, clock, stop));
      if (segment.scl > from) {
        onFetched(bytes ?? 0);
        logger.info({ volume: segment.volumeId, peer: peer.id, bytes, from, to: segment.scl }, 'fetched missing redo');
        return true;
      }
      // It said that it had more than it gave: its words are out of date.
      this.#rest(peer);
    }
    return false;
  }

  /**
   * True when there is more to do. Plans on what peers say now: what they said before may be out of date, and more have
   * to be recovered.
   */
  async #copy(): Promise<boolean> {
    const { segment, clock, logger, askAll, onFetched, onCopied } = this.#options;
    const since = clock.now();
    await askAll(segment);
    const plan = this.#plan(since);
    this.#report(plan);
    if (plan.kind !== 'copy') return plan.kind === 'fetch';
    for (const peer of this.#rested(plan.sources)) {
      logger.info(
        { volume: segment.volumeId, peer: peer.id, reason: plan.reason, recoverToLsn: plan.recoverToLsn },
        'copying the segment from a peer',
      );
      const bytes = await this.#from(peer, 'copy', () => this.#take(peer, plan));
      if (bytes === undefined) continue;
      onFetched(bytes);
      onCopied();
      logger.info(
        { volume: segment.volumeId, peer: peer.id, bytes, ms: Math.round(clock.now() - since), scl: segment.scl },
        'copied the segment from a peer',
      );
      // Redo past the copied checkpoint is not on its way from the writer.
      this.#expediteUntil = clock.now() + EXPEDITE_MS;
      return true;
    }
    return false;
  }

  /** Gives the bytes received. */
  async #take(peer: Peer, terms: CopyTerms): Promise<number> {
    const { segment, table, clock, stop } = this.#options;
    if (segment.control.role === 'FULL') return copyFromPeer(segment, peer, terms, clock, stop);
    const state = table.heard(segment, peer.id);
    if (state === undefined) throw new AuroraRpcError('NOT_READY', `${peer.id} does not answer any more`);
    await startRedoAt(segment, state, terms);
    return 0;
  }

  #rested(sources: readonly string[]): Peer[] {
    const now = this.#options.clock.now();
    return sources.filter((id) => (this.#restUntil.get(id) ?? -Infinity) <= now).flatMap((id) => this.#options.table.find(id) ?? []);
  }

  #rest(peer: Peer): void {
    this.#restUntil.set(peer.id, this.#options.clock.now() + SOURCE_REST_MS);
  }

  /** What `take` gives; undefined when that peer failed, which is logged and rests it. */
  async #from<T>(peer: Peer, what: 'redo' | 'copy', take: () => Promise<T>): Promise<T | undefined> {
    const { stop, logger, segment } = this.#options;
    try {
      return await take();
    } catch (error) {
      this.#rest(peer);
      const code = error instanceof AuroraRpcError ? error.code : 'INTERNAL';
      if (what === 'redo' && code === 'DAMAGED') this.#noteRefusal(peer.id);
      if (!stop.aborted)
        logger.warn({ volume: segment.volumeId, peer: peer.id, what, code, err: error }, 'a peer could not give what the segment lacks');
      return undefined;
    }
  }
}
