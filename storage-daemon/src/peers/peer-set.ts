import type { PeerApi } from '@kube-aurora/rpc';
import type { SegmentRole } from '@kube-aurora/volume';

/** A storage daemon of the volume. */
export interface PeerEndpoint {
  readonly id: string;
  /** host:port of its gRPC services. */
  readonly address: string;
  /** What its segments are, and have been since the volume was made; FULL unless said. */
  readonly role?: SegmentRole;
}

/** The other storage daemons, with one lazy connection each. */
export interface Peer {
  readonly id: string;
  readonly role: SegmentRole;
  readonly client: PeerApi;
}

/** `network` makes the connections. */
export function connectPeers(list: readonly PeerEndpoint[], ownId: string, network: { connect(address: string): PeerApi }): Peer[] {
  return list.filter(({ id }) => id !== ownId).map(({ id, address, role = 'FULL' }) => ({ id, role, client: network.connect(address) }));
}

/** What a daemon's own segments are. */
export function roleIn(list: readonly PeerEndpoint[], id: string): SegmentRole {
  return list.find((one) => one.id === id)?.role ?? 'FULL';
}
