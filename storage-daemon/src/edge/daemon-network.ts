import { HealthImplementation } from 'grpc-health-check';
import type { Clock } from '@kube-aurora/clock';
import {
  addPeerService,
  addSegmentService,
  createServer,
  listenBounded,
  PeerClient,
  SERVER_LIMITS,
  type Credentials,
  type PeerApi,
  type PeerHandlers,
  type SegmentHandlers,
} from '@kube-aurora/rpc';

/** How a daemon reaches its peers, and how it is reached. Injected: gRPC in a cluster, messages between objects in a simulation. */
export interface DaemonNetwork {
  /** Connects lazily: a peer that is away costs nothing until it is spoken to. */
  connect(address: string): PeerApi;
  /** Serves at `address` (`host:port`; port 0 takes a free one). */
  serve(services: DaemonServices, address: string): Promise<DaemonListener>;
}

export interface DaemonServices {
  readonly segment: SegmentHandlers;
  readonly peer: PeerHandlers;
  /** A connection was one too many. */
  readonly turnedAway: () => void;
}

export interface DaemonListener {
  readonly port: number;
  /** Says that the daemon is stopping; calls are still answered. */
  leaving(): void;
  /** Ends every connection. */
  close(): void;
}

export function grpcNetwork(clock: Clock, credentials: Credentials): DaemonNetwork {
  return {
    connect: (address) => new PeerClient(address, credentials),
    async serve({ segment, peer, turnedAway }, address) {
      const server = createServer();
      const health = new HealthImplementation({ '': 'NOT_SERVING' });
      addSegmentService(server, segment, clock);
      addPeerService(server, peer, clock);
      health.addToServer(server);
      const { port, close } = await listenBounded(server, address, turnedAway, SERVER_LIMITS, credentials);
      health.setStatus('', 'SERVING');
      return { port, leaving: () => health.setStatus('', 'NOT_SERVING'), close };
    },
  };
}
