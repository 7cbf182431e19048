import type { PeerApi } from '@kube-aurora/rpc';

/** The other storage daemons, with one lazy connection each. */
export interface Peer {
  readonly id: string;
  readonly client: PeerApi;
}

export class PeerListError extends Error {
  constructor(entry: string) {
    super(`'${entry}' is not id=host:port`);
    this.name = 'PeerListError';
  }
}

/** Reads `id=host:port,id=host:port`. Throws PeerListError. */
export function parsePeers(text: string): { id: string; address: string }[] {
  return text
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '')
    .map((entry) => {
      const match = /^([^=\s]+)=(\S+:\d+)$/.exec(entry);
      if (match === null) throw new PeerListError(entry);
      return { id: match[1] ?? '', address: match[2] ?? '' };
    });
}

/** `network` makes the connections. */
export function connectPeers(
  list: readonly { id: string; address: string }[],
  ownId: string,
  network: { connect(address: string): PeerApi },
): Peer[] {
  return list.filter(({ id }) => id !== ownId).map(({ id, address }) => ({ id, client: network.connect(address) }));
}
