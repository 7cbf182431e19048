import type { Clock } from '@kube-aurora/clock';
import type { SegmentState } from '@kube-aurora/rpc';
import { Quorums, type SegmentRole } from '@kube-aurora/volume';
import type { Segment } from '../segment/segment.ts';
import { HEARD_LATELY_MS, NO_EXCHANGE, type Exchange, type Fingerprint } from './gossip-schedule.ts';
import type { PeerView } from './peer-plan.ts';
import type { Peer } from './peer-set.ts';

/**
 * Who the peers are, and what they last answered of each segment, at the addresses that this daemon has for them.
 * Memory only. What a caller says of itself is not kept: anybody may call, under any name.
 */

interface Heard {
  readonly state: SegmentState;
  readonly at: number;
}

/** What a peer's stored pages have. */
interface Checkpoint {
  readonly baseEpoch: bigint;
  readonly lsn: bigint;
  /** It is a tail, and has them in the place of this peer's. */
  readonly standsInFor: string | undefined;
}

interface Known {
  readonly heard: Map<string, Heard>;
  readonly exchanges: Map<string, Exchange>;
  /** Checkpoints as they were told last, however long ago. */
  readonly checkpoints: Map<string, Checkpoint>;
  /** Zones, as they were told last. */
  readonly zones: Map<string, string>;
}

export class PeerTable {
  /** From the one after this daemon on and round, so that not all lean on the same one. */
  readonly peers: readonly Peer[];
  /** Of the volumes that they and this daemon hold. */
  readonly quorums: Quorums;
  readonly #known = new WeakMap<Segment, Known>();
  readonly #clock: Clock;

  constructor(peers: readonly Peer[], own: { readonly id: string; readonly role: SegmentRole }, clock: Clock) {
    const { id: ownId } = own;
    this.quorums = new Quorums([own.role, ...peers.map(({ role }) => role)]);
    this.peers = [...peers.filter(({ id }) => id > ownId), ...peers.filter(({ id }) => id < ownId)];
    this.#clock = clock;
  }

  #of(segment: Segment): Known {
    let known = this.#known.get(segment);
    if (known === undefined) {
      known = { heard: new Map(), exchanges: new Map(), checkpoints: new Map(), zones: new Map() };
      this.#known.set(segment, known);
    }
    return known;
  }

  find(peerId: string): Peer | undefined {
    return this.peers.find(({ id }) => id === peerId);
  }

  exchange(segment: Segment, peerId: string): Exchange {
    return this.#of(segment).exchanges.get(peerId) ?? NO_EXCHANGE;
  }

  /** The peer answered a call: it said `state`, and was told what `told` stands for. */
  answered(segment: Segment, peerId: string, state: SegmentState, told: Fingerprint): void {
    const at = this.#clock.now();
    const { exchanges, heard, checkpoints, zones } = this.#of(segment);
    exchanges.set(peerId, { told, at, failures: 0, failedAt: -Infinity });
    heard.set(peerId, { state, at });
    zones.set(peerId, state.zone);
    const { phase, baseEpoch, checkpointLsn: lsn, standIn } = state;
    if (phase === 'READY') checkpoints.set(peerId, { baseEpoch, lsn, standsInFor: standIn?.of });
    else checkpoints.delete(peerId);
  }

  /**
   * Somebody called as this peer, and was told what `told` stands for. That counts while the peer itself was heard in the
   * last `heardMs`.
   */
  told(segment: Segment, peerId: string, told: Fingerprint, heardMs: number): void {
    const { exchanges, heard } = this.#of(segment);
    const now = this.#clock.now();
    const before = this.exchange(segment, peerId);
    if (before.failures > 0 || now - (heard.get(peerId)?.at ?? -Infinity) >= heardMs) return;
    exchanges.set(peerId, { ...before, told, at: now });
  }

  /** What the peer last answered; undefined when it did not lately. */
  heard(segment: Segment, peerId: string): SegmentState | undefined {
    return this.views(segment).find((view) => view.peerId === peerId)?.state;
  }

  /**
   * Up to where the full peer said last that its stored pages have all redo, or the tail of its zone that stands in for it, whichever
   * has more; 0n while none did since this daemon began. One that is away has them still: what is past them must be kept for it.
   *
   * Invariant: in the full peer's zone somebody has pages with all redo up to here.
   */
  checkpointLsn(segment: Segment, peerId: string): bigint {
    return this.#pagesOf(segment, peerId, segment.control.baseEpoch);
  }

  #pagesOf(segment: Segment, peerId: string, baseEpoch: bigint): bigint {
    let highest = 0n;
    for (const [id, told] of this.#of(segment).checkpoints) {
      if ((id === peerId || told.standsInFor === peerId) && told.baseEpoch === baseEpoch && told.lsn > highest) highest = told.lsn;
    }
    return highest;
  }

  /** Up to where the stored pages of every full peer, or of who stands in for it, have all redo, as each said last. */
  inAllPages(segment: Segment): bigint {
    const fulls = this.peers.filter(({ role }) => role === 'FULL');
    // This segment may hold nothing yet, or an import that was superseded: they must agree among themselves.
    const bases = new Set([...this.#of(segment).checkpoints.values()].filter(({ lsn }) => lsn > 0n).map(({ baseEpoch }) => baseEpoch));
    const [baseEpoch] = bases;
    if (baseEpoch === undefined || bases.size > 1 || fulls.length === 0) return 0n;
    return fulls.map(({ id }) => this.#pagesOf(segment, id, baseEpoch)).reduce((lowest, lsn) => (lsn < lowest ? lsn : lowest));
  }

  /** Where the peer said last that it is; undefined while it said nothing. */
  zone(segment: Segment, peerId: string): string | undefined {
    return this.#of(segment).zones.get(peerId);
  }

  /** A call failed: the peer is not counted on until it is heard again. */
  failed(segment: Segment, peerId: string): void {
    const before = this.exchange(segment, peerId);
    const { exchanges, heard } = this.#of(segment);
    exchanges.set(peerId, { ...before, failures: before.failures + 1, failedAt: this.#clock.now() });
    heard.delete(peerId);
  }

  /** Peers heard lately, and at or after `since`. */
  views(segment: Segment, since = -Infinity): PeerView[] {
    const { heard } = this.#of(segment);
    const oldest = Math.max(since, this.#clock.now() - HEARD_LATELY_MS);
    return this.peers.flatMap(({ id }) => {
      const one = heard.get(id);
      return one !== undefined && one.at >= oldest ? [{ peerId: id, state: one.state }] : [];
    });
  }
}
