import type { Clock } from '@kube-aurora/clock';
import type { Logger } from '@kube-aurora/process';
import { AuroraRpcError, type SegmentState } from '@kube-aurora/rpc';
import type { Segment } from '../segment/segment.ts';
import { checkMessage } from '../edge/message-rules.ts';
import {
  areAbreast,
  fingerprint,
  GOSSIP_QUIET_MS,
  GOSSIP_TICK_MS,
  GOSSIP_UNHEARD_MS,
  isGossipDue,
  isSame,
  isUrgentNews,
  tickDelayMs,
} from './gossip-schedule.ts';
import type { Peer } from './peer-set.ts';
import type { PeerTable } from './peer-table.ts';

/**
 * Tells every peer how this daemon's segments stand, and asks how theirs do. When: gossip-schedule.ts.
 *
 * Invariant: only answers to this daemon's own calls are acted on. A caller's word is no more than a reason to ask the
 * peer whose name it gave, at the address in the peer list: a stranger's message changes nothing.
 */

const CALL_DEADLINE_MS = 2000;

/**
 * Throws AuroraRpcError INVALID when a peer says that it is something else than it was when the volume was made:
 * quorums count by that.
 */
function refuseOtherPeerRole({ id, role }: Peer, state: SegmentState): void {
  if (state.role === role) return;
  throw new AuroraRpcError('INVALID', `state.role: ${id} says that it is ${state.role}, and is ${role} by this daemon's list of peers`);
}

export interface GossipOptions {
  readonly segments: () => Iterable<Segment>;
  readonly table: PeerTable;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly stop: AbortSignal;
  /** Takes what a peer said; called after the table knows it. */
  readonly observe: (segment: Segment, peer: SegmentState) => Promise<void>;
  /** What a peer answered was not taken. */
  readonly onRefusal: (segment: Segment, peerId: string, error: unknown) => void;
  /** Once a tick and segment: time passes even when nobody says anything. */
  readonly onTick: (segment: Segment) => void;
}

export class Gossip {
  readonly #options: GossipOptions;
  readonly #calls = new Map<Segment, Map<string, Promise<void>>>();
  /** Peers that have something new to say, by segment: asked at the next tick. */
  readonly #wanted = new Map<Segment, Set<string>>();
  readonly #askedAt = new Map<string, number>();
  #loop: Promise<void> | undefined;
  /** Calls made since start. */
  calls = 0;
  /** Looks at who is to be spoken to since start. */
  ticks = 0;

  constructor(options: GossipOptions) {
    this.#options = options;
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  /** Resolves when the loop and its calls have ended; `stop` must be aborted first. */
  async stopped(): Promise<void> {
    await this.#loop;
    for (const calls of this.#calls.values()) await Promise.all(calls.values());
  }

  async #run(): Promise<void> {
    const { clock, stop, segments, onTick } = this.#options;
    while (!stop.aborted) {
      for (const segment of segments()) {
        // Of a segment that somebody merely asked about there is nothing to tell.
        if (segment.control.epoch > 0n || segment.storage !== undefined) this.#tick(segment);
        onTick(segment);
      }
      this.ticks++;
      await clock.sleep(tickDelayMs(clock.random()), stop);
    }
  }

  #tick(segment: Segment): void {
    const { table, clock } = this.#options;
    const state = segment.state();
    const print = fingerprint(state);
    for (const peer of table.peers) {
      const exchange = table.exchange(segment, peer.id);
      const isWanted = exchange.failures === 0 && this.#wanted.get(segment)?.has(peer.id) === true;
      const isAbreast = areAbreast(state, table.heard(segment, peer.id));
      if (isWanted || isGossipDue(exchange, print, isAbreast, clock.now(), clock.random())) void this.#exchange(segment, peer);
    }
  }

  /** Calls every peer at once, whatever the schedule says; resolves when all have answered or failed. Never throws. */
  async askAll(segment: Segment): Promise<void> {
    const { peers } = this.#options.table;
    // A call that is under way may have been answered before now: it does not count.
    const underWay = this.#calls.get(segment);
    if (underWay !== undefined) await Promise.all(underWay.values());
    await Promise.all(peers.map((peer) => this.#exchange(segment, peer)));
  }

  /**
   * Somebody called as the peer `state.daemonId`: answers, and asks that peer itself when there is news. Throws
   * AuroraRpcError INVALID.
   */
  receive(segment: Segment, state: SegmentState): SegmentState {
    const { table, clock } = this.#options;
    const peer = table.find(state.daemonId);
    if (peer === undefined) throw new AuroraRpcError('INVALID', `state.daemon_id: '${state.daemonId}' is not a peer of this daemon`);
    refuseOtherPeerRole(peer, state);
    const answer = segment.state();
    const known = table.heard(segment, peer.id);
    const said = fingerprint(state);
    const isNews = known === undefined || !isSame(fingerprint(known), said);
    table.told(segment, peer.id, fingerprint(answer), isNews ? GOSSIP_UNHEARD_MS : GOSSIP_QUIET_MS);
    if (isNews) {
      const lastAsked = this.#askedAt.get(peer.id) ?? -Infinity;
      const hasMoved = known !== undefined && fingerprint(known).standing === said.standing && areAbreast(answer, state);
      if (isUrgentNews(state, known) && clock.now() - lastAsked >= GOSSIP_TICK_MS / 2) void this.#exchange(segment, peer);
      else if (!hasMoved) this.#want(segment, peer.id);
    }
    return answer;
  }

  #want(segment: Segment, peerId: string): void {
    const wanted = this.#wanted.get(segment);
    if (wanted === undefined) this.#wanted.set(segment, new Set([peerId]));
    else wanted.add(peerId);
  }

  /** Peers heard lately, with what they said. */
  fresh(segment: Segment): { readonly peerId: string; readonly state: SegmentState }[] {
    return this.#options.table.views(segment);
  }

  /** Lowest SCL among all peers; undefined unless each was heard lately and holds the volume. */
  lowestScl(segment: Segment): bigint | undefined {
    const { table } = this.#options;
    const views = table.views(segment);
    if (views.length < table.peers.length || views.some(({ state }) => state.phase !== 'READY')) return undefined;
    return views.reduce<bigint | undefined>(
      (lowest, { state }) => (lowest === undefined || state.scl < lowest ? state.scl : lowest),
      undefined,
    );
  }

  #exchange(segment: Segment, peer: Peer): Promise<void> {
    let calls = this.#calls.get(segment);
    if (calls === undefined) this.#calls.set(segment, (calls = new Map<string, Promise<void>>()));
    const running = calls.get(peer.id);
    if (running !== undefined) return running;
    const call = this.#call(segment, peer).finally(() => calls.delete(peer.id));
    calls.set(peer.id, call);
    return call;
  }

  async #call(segment: Segment, peer: Peer): Promise<void> {
    const { table, clock, logger, stop } = this.#options;
    if (stop.aborted) return;
    this.calls++;
    this.#askedAt.set(peer.id, clock.now());
    this.#wanted.get(segment)?.delete(peer.id);
    const state = segment.state();
    let answer: SegmentState;
    try {
      answer = await peer.client.gossip({ segment: segment.id, state }, { deadlineMs: CALL_DEADLINE_MS, signal: stop });
      checkMessage('SegmentState', answer, 'state');
      if (answer.daemonId !== peer.id)
        throw new AuroraRpcError('INVALID', `state.daemon_id: '${answer.daemonId}' answers at the address of ${peer.id}`);
      refuseOtherPeerRole(peer, answer);
    } catch (error) {
      const isNews = table.exchange(segment, peer.id).failures === 0;
      table.failed(segment, peer.id);
      const code = error instanceof AuroraRpcError ? error.code : 'INTERNAL';
      if (code === 'INVALID') this.#options.onRefusal(segment, peer.id, error);
      else if (isNews && !stop.aborted)
        logger.warn({ volume: segment.volumeId, peer: peer.id, code, err: error }, 'a peer does not answer');
      return;
    }
    const wasAway = table.exchange(segment, peer.id).failures > 0;
    table.answered(segment, peer.id, answer, fingerprint(state));
    if (wasAway) logger.info({ volume: segment.volumeId, peer: peer.id }, 'the peer answers again');
    await this.#observe(segment, answer);
  }

  async #observe(segment: Segment, state: SegmentState): Promise<void> {
    try {
      await this.#options.observe(segment, state);
    } catch (error) {
      this.#options.onRefusal(segment, state.daemonId, error);
    }
  }
}
