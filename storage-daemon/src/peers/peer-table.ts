import { PeerClient, type SegmentId, type SegmentState } from '@kube-aurora/rpc';
import { HEARD_LATELY_MS, NO_EXCHANGE, type Exchange } from './gossip-schedule.ts';
import type { PeerView } from './peer-plan.ts';
import type { PeerClock } from './peer-clock.ts';

/** Who the peers are, how to reach them, and what they last said of each segment. Memory only. */

export interface PeerAddress {
  readonly id: string;
  /** host:port of its gRPC server. */
  readonly address: string;
}

interface Heard {
  readonly state: SegmentState;
  readonly at: number;
}

export function segmentKey(id: SegmentId): string {
  return `${id.volumeId}/${id.pg}`;
}

export class PeerTable {
  /** Without this daemon, from the one after it on and round: so that not all lean on the same one. */
  readonly ids: readonly string[];
  readonly #clients = new Map<string, PeerClient>();
  readonly #heard = new Map<string, Map<string, Heard>>();
  readonly #exchanges = new Map<string, Exchange>();
  readonly #clock: PeerClock;

  constructor(peers: readonly PeerAddress[], selfId: string, clock: PeerClock, connect: (address: string) => PeerClient = (address) => new PeerClient(address)) {
    this.#clock = clock;
    const self = peers.findIndex((peer) => peer.id === selfId);
    const others = [...peers.slice(self + 1), ...peers.slice(0, Math.max(self, 0))];
    this.ids = others.map((peer) => peer.id);
    for (const { id, address } of others) this.#clients.set(id, connect(address));
  }

  client(peerId: string): PeerClient {
    const client = this.#clients.get(peerId);
    if (client === undefined) throw new RangeError(`'${peerId}' is not among the peers ${this.ids.join(', ')}`);
    return client;
  }

  exchange(id: SegmentId, peerId: string): Exchange {
    return this.#exchanges.get(`${segmentKey(id)} ${peerId}`) ?? NO_EXCHANGE;
  }

  /** A call in either direction went well: the peer said `state`, and was told what `told` stands for. */
  exchanged(id: SegmentId, peerId: string, state: SegmentState, told: string): void {
    if (!this.#clients.has(peerId)) return;
    const at = this.#clock.now();
    this.#exchanges.set(`${segmentKey(id)} ${peerId}`, { told, at, failures: 0, failedAt: -Infinity });
    const key = segmentKey(id);
    const heard = this.#heard.get(key) ?? new Map<string, Heard>();
    heard.set(peerId, { state, at });
    this.#heard.set(key, heard);
  }

  /** A call failed: the peer is not counted on until it is heard again. */
  failed(id: SegmentId, peerId: string): void {
    const before = this.exchange(id, peerId);
    this.#exchanges.set(`${segmentKey(id)} ${peerId}`, { ...before, failures: before.failures + 1, failedAt: this.#clock.now() });
    this.#heard.get(segmentKey(id))?.delete(peerId);
  }

  /** Peers heard lately, and at or after `since`. */
  views(id: SegmentId, since = -Infinity): PeerView[] {
    const heard = this.#heard.get(segmentKey(id));
    if (heard === undefined) return [];
    const oldest = Math.max(since, this.#clock.now() - HEARD_LATELY_MS);
    return this.ids.flatMap((peerId) => {
      const one = heard.get(peerId);
      return one !== undefined && one.at >= oldest ? [{ peerId, state: one.state }] : [];
    });
  }

  close(): void {
    for (const client of this.#clients.values()) client.close();
  }
}
