import type { Endpoint, PeerApi } from '@kube-aurora/rpc';

/** The other storage daemons, with one lazy connection each. */
export interface Peer {
  readonly id: string;
  readonly client: PeerApi;
}

/** `network` makes the connections. */
export function connectPeers(
  list: readonly Pick<Endpoint, 'id' | 'address'>[],
  ownId: string,
  network: { connect(address: string): PeerApi },
): Peer[] {
  return list.filter(({ id }) => id !== ownId).map(({ id, address }) => ({ id, client: network.connect(address) }));
}
