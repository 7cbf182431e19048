import type { Clock } from '@kube-aurora/clock';
import type { Logger } from '@kube-aurora/process';
import { AuroraRpcError, type SegmentState } from '@kube-aurora/rpc';
import type { Segment } from '../segment/segment.ts';
import { fingerprint, isGossipDue, tickDelayMs } from './gossip-schedule.ts';
import type { Peer } from './peer-set.ts';
import type { PeerTable } from './peer-table.ts';

/** Tells every peer how this daemon's segments stand, and hears how theirs do. When: gossip-schedule.ts. */

const CALL_DEADLINE_MS = 2000;

export interface GossipParts {
  readonly segments: () => Iterable<Segment>;
  readonly table: PeerTable;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly stop: AbortSignal;
  /** Takes what a peer said; called after the table knows it. */
  readonly observe: (segment: Segment, peer: SegmentState) => Promise<void>;
  /** Once a tick and segment: time passes even when nobody says anything. */
  readonly onTick: (segment: Segment) => void;
}

export class Gossip {
  readonly #parts: GossipParts;
  readonly #calls = new Map<Segment, Map<string, Promise<void>>>();
  #loop: Promise<void> | undefined;
  /** Calls made since start. */
  calls = 0;

  constructor(parts: GossipParts) {
    this.#parts = parts;
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
    const { clock, stop, segments, onTick } = this.#parts;
    while (!stop.aborted) {
      for (const segment of segments()) {
        // Of a segment that somebody merely asked about there is nothing to tell.
        if (segment.control.epoch > 0n || segment.content !== undefined) this.#tick(segment);
        onTick(segment);
      }
      await clock.sleep(tickDelayMs(clock.random()), stop);
    }
  }

  #tick(segment: Segment): void {
    const { table, clock } = this.#parts;
    const print = fingerprint(segment.state());
    for (const peer of table.peers) {
      if (isGossipDue(table.exchange(segment, peer.id), print, clock.now(), clock.random())) void this.#exchange(segment, peer);
    }
  }

  /** Calls every peer at once, whatever the schedule says; resolves when all have answered or failed. Never throws. */
  async askAll(segment: Segment): Promise<void> {
    const { peers } = this.#parts.table;
    // A call that is under way may have been answered before now: it does not count.
    const underWay = this.#calls.get(segment);
    if (underWay !== undefined) await Promise.all(underWay.values());
    await Promise.all(peers.map((peer) => this.#exchange(segment, peer)));
  }

  /** A peer called us; gives the answer. Both sides are informed by it. */
  hear(segment: Segment, state: SegmentState): SegmentState {
    const answer = segment.state();
    this.#parts.table.exchanged(segment, state.daemonId, state, fingerprint(answer));
    void this.#observe(segment, state);
    return answer;
  }

  /** Peers heard lately, with what they said. */
  fresh(segment: Segment): { readonly peerId: string; readonly state: SegmentState }[] {
    return this.#parts.table.views(segment);
  }

  /** Lowest SCL among all peers; undefined unless each was heard lately and holds the volume. */
  lowestScl(segment: Segment): bigint | undefined {
    const { table } = this.#parts;
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
    const { table, logger, stop } = this.#parts;
    if (stop.aborted) return;
    this.calls++;
    const state = segment.state();
    let answer: SegmentState;
    try {
      answer = await peer.client.gossip({ segment: segment.id, state }, { deadlineMs: CALL_DEADLINE_MS, signal: stop });
    } catch (error) {
      const isNews = table.exchange(segment, peer.id).failures === 0;
      table.failed(segment, peer.id);
      const code = error instanceof AuroraRpcError ? error.code : 'INTERNAL';
      if (isNews && !stop.aborted) logger.warn({ volume: segment.volumeId, peer: peer.id, code, err: error }, 'a peer does not answer');
      return;
    }
    const wasAway = table.exchange(segment, peer.id).failures > 0;
    table.exchanged(segment, peer.id, answer, fingerprint(state));
    if (wasAway) logger.info({ volume: segment.volumeId, peer: peer.id }, 'the peer answers again');
    await this.#observe(segment, answer);
  }

  async #observe(segment: Segment, state: SegmentState): Promise<void> {
    try {
      await this.#parts.observe(segment, state);
    } catch (error) {
      this.#parts.logger.error({ volume: segment.volumeId, peer: state.daemonId, err: error }, 'what a peer said could not be taken');
    }
  }
}
