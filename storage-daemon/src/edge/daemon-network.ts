import { HealthImplementation } from 'grpc-health-check';
import type { AppendLanes } from '@kube-aurora/append-lane';
import type { Clock } from '@kube-aurora/clock';
import {
  addPeerService,
  addSegmentService,
  createServer,
  listenFrames,
  listenGrpc,
  PeerClient,
  SERVER_LIMITS,
  type AuroraRpcError,
  type Credentials,
  type FramesTraffic,
  type PeerApi,
  type PeerHandlers,
  type SegmentAddress,
  type SegmentHandlers,
} from '@kube-aurora/rpc';

/**
 * How a daemon reaches its peers, and how it is reached. Injected: gRPC and frames in a cluster, messages between
 * objects in a simulation.
 */
export interface DaemonNetwork {
  /** Connects lazily: a peer that is away costs nothing until it is spoken to. */
  connect(address: string): PeerApi;
  /** Serves at both addresses (`host:port`; port 0 takes a free one): gRPC at one, frames at the other. */
  serve(services: DaemonServices, at: SegmentAddress): Promise<DaemonListener>;
}

export interface DaemonServices {
  readonly segment: SegmentHandlers;
  readonly peer: PeerHandlers;
  /** A connection was one too many. */
  readonly turnedAway: () => void;
  /** A message, or what should have been one, of which nothing was taken. */
  readonly refused: (rpc: string, error: AuroraRpcError) => void;
}

export interface DaemonListener {
  readonly port: number;
  readonly framesPort: number;
  traffic(): FramesTraffic;
  /** Says that the daemon is stopping; calls are still answered. */
  leaving(): void;
  /** Ends every connection. */
  close(): void;
}

/** The machine's own network: gRPC for control calls and between daemons, frames for redo and page reads. */
export function systemNetwork(clock: Clock, credentials: Credentials, lanes?: AppendLanes): DaemonNetwork {
  return {
    connect: (address) => new PeerClient(address, clock, credentials),
    async serve({ segment, peer, turnedAway, refused }, { address, framesAddress }) {
      const servers = { unnamed: createServer(), compute: createServer(), storage: createServer() };
      const health = new HealthImplementation({ '': 'NOT_SERVING' });
      // Who is known is given what belongs to its role, and nothing else.
      for (const server of [servers.unnamed, servers.compute]) addSegmentService(server, segment, clock);
      for (const server of [servers.unnamed, servers.storage]) addPeerService(server, peer, clock);
      for (const server of Object.values(servers)) health.addToServer(server);
      const frames = await listenFrames(framesAddress, segment, {
        clock,
        credentials,
        onTurnedAway: turnedAway,
        onRefused: refused,
        ...(lanes === undefined ? {} : { lanes }),
      });
      const grpc = await listenGrpc(servers, address, turnedAway, SERVER_LIMITS, credentials);
      health.setStatus('', 'SERVING');
      return {
        port: grpc.port,
        framesPort: frames.port,
        traffic: () => frames.traffic(),
        leaving: () => health.setStatus('', 'NOT_SERVING'),
        close: () => {
          frames.close();
          grpc.close();
        },
      };
    },
  };
}
