import type { Logger } from '@kube-aurora/process';
import { AuroraRpcError, type SegmentState } from '@kube-aurora/rpc';
import { lastEpoch } from '@kube-aurora/volume';
import type { Segment } from '../segment/segment.ts';
import type { Peer } from './peer-set.ts';

/**
 * Who has what. Every daemon tells every other the state of its segments about once a second; one call informs both
 * sides, so of each pair the one with the lower id calls, and the other only when it has heard nothing for a while.
 * Pairs whose states stand still talk less.
 */

const ROUND_MS = 1000;
const QUIET_ROUNDS = 4;
const SILENT_ROUNDS = 3;
const CALL_MS = 1500;
/** A state older than this says nothing about the present. */
const FRESH_MS = 10_000;

interface Heard {
  readonly state: SegmentState;
  readonly at: number;
}

export interface GossipDeps {
  readonly ownId: string;
  readonly peers: readonly Peer[];
  readonly logger: Logger;
  readonly segments: () => Iterable<Segment>;
  /** A state was heard; what follows from it is decided there. */
  readonly onHeard: (segment: Segment, peer: Peer, state: SegmentState) => void;
}

export class Gossip {
  readonly #deps: GossipDeps;
  readonly #heard = new Map<Segment, Map<string, Heard>>();
  readonly #inFlight = new Set<string>();
  #round = 0;
  #timer: NodeJS.Timeout | undefined;
  readonly #told = new Map<string, string>();

  constructor(deps: GossipDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#timer = setInterval(() => this.#tick(), ROUND_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #tick(): void {
    this.#round++;
    for (const segment of this.#deps.segments()) {
      if (segment.control.epoch === 0n && segment.content === undefined) continue;
      for (const peer of this.#deps.peers) {
        const key = `${segment.volumeId}/${segment.pg}/${peer.id}`;
        const heard = this.#heard.get(segment)?.get(peer.id);
        const silent = heard === undefined || Date.now() - heard.at > SILENT_ROUNDS * QUIET_ROUNDS * ROUND_MS;
        if (this.#deps.ownId > peer.id && !(silent && this.#round % SILENT_ROUNDS === 0)) continue;
        const news = fingerprint(segment);
        if (!silent && this.#told.get(key) === news && this.#round % QUIET_ROUNDS !== 0) continue;
        this.#told.set(key, news);
        void this.ask(segment, peer);
      }
    }
  }

  /** One exchange with one peer; quiet about peers that are away. */
  async ask(segment: Segment, peer: Peer): Promise<void> {
    const key = `${segment.volumeId}/${segment.pg}/${peer.id}`;
    if (this.#inFlight.has(key)) return;
    this.#inFlight.add(key);
    try {
      const state = await peer.client.gossip({ segment: segment.id, state: segment.state() }, { deadlineMs: CALL_MS });
      this.hear(segment, peer.id, state);
    } catch (error) {
      this.#told.delete(key);
      if (!(error instanceof AuroraRpcError && (error.code === 'UNREACHABLE' || error.code === 'DEADLINE'))) {
        this.#deps.logger.warn({ peer: peer.id, err: error }, 'gossip failed');
      }
    } finally {
      this.#inFlight.delete(key);
    }
  }

  askAll(segment: Segment): void {
    for (const peer of this.#deps.peers) void this.ask(segment, peer);
  }

  hear(segment: Segment, peerId: string, state: SegmentState): void {
    const peer = this.#deps.peers.find(({ id }) => id === peerId);
    if (peer === undefined) return;
    let states = this.#heard.get(segment);
    if (states === undefined) this.#heard.set(segment, (states = new Map()));
    states.set(peerId, { state, at: Date.now() });
    this.#deps.onHeard(segment, peer, state);
  }

  /** Peers heard of lately, with what they said, highest SCL first. */
  fresh(segment: Segment): { peer: Peer; state: SegmentState }[] {
    const now = Date.now();
    const fresh: { peer: Peer; state: SegmentState }[] = [];
    for (const peer of this.#deps.peers) {
      const heard = this.#heard.get(segment)?.get(peer.id);
      if (heard !== undefined && now - heard.at < FRESH_MS) fresh.push({ peer, state: heard.state });
    }
    return fresh.toSorted((a, b) => (a.state.scl > b.state.scl ? -1 : a.state.scl < b.state.scl ? 1 : 0));
  }

  /** Lowest SCL among all peers; undefined unless each was heard of and holds the volume. */
  lowestScl(segment: Segment): bigint | undefined {
    let lowest: bigint | undefined;
    for (const peer of this.#deps.peers) {
      const heard = this.#heard.get(segment)?.get(peer.id);
      if (heard === undefined || heard.state.phase !== 'READY') return undefined;
      if (lowest === undefined || heard.state.scl < lowest) lowest = heard.state.scl;
    }
    return lowest;
  }
}

function fingerprint(segment: Segment): string {
  return `${segment.phase} ${segment.control.epoch} ${lastEpoch(segment.control.history)} ${segment.scl} ${segment.content?.ingest.vdl ?? 0}`;
}
