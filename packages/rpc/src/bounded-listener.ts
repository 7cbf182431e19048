import { createServer, type Socket } from 'node:net';
import { splitAddress } from './endpoint-list.ts';

/**
 * What anybody who can reach a server may have of it. A message of gRPC: the longest are an import's first, with a new
 * database's VolumeState, and its pages. Streams of one connection: further calls wait at the caller's end.
 */
export const SERVER_LIMITS = {
  messageBytes: 16 * 1024 * 1024,
  streamsPerConnection: 128,
  connections: 256,
  connectionsPerAddress: 64,
} as const;

export interface ConnectionLimits {
  readonly connections: number;
  readonly connectionsPerAddress: number;
}

/** A server that is listening. */
export interface Listening {
  readonly port: number;
  /** Ends every connection. */
  close(): void;
}

/**
 * Accepts connections at `address` (`host:port`; port 0 takes a free one) with bounds on all of them and on those of
 * one address. `onRefused` is told of each that is turned away.
 */
export function listenBounded(
  address: string,
  limits: ConnectionLimits,
  onRefused: () => void,
  accept: (socket: Socket) => void,
): Promise<Listening> {
  const open = new Map<string, number>();
  const sockets = new Set<Socket>();
  const listener = createServer((socket) => {
    const from = socket.remoteAddress ?? '';
    const count = open.get(from) ?? 0;
    if (sockets.size >= limits.connections || count >= limits.connectionsPerAddress) {
      onRefused();
      socket.destroy();
      return;
    }
    open.set(from, count + 1);
    sockets.add(socket);
    socket.on('close', () => {
      sockets.delete(socket);
      const left = (open.get(from) ?? 1) - 1;
      if (left > 0) open.set(from, left);
      else open.delete(from);
    });
    // A connection that breaks is closed; its calls end with it, and say so to whoever made them.
    socket.on('error', () => socket.destroy());
    socket.setNoDelay(true);
    accept(socket);
  });
  return new Promise((resolve, reject) => {
    listener.once('error', reject);
    listener.listen(splitAddress(address), () => {
      listener.off('error', reject);
      const bound = listener.address();
      resolve({
        port: typeof bound === 'object' && bound !== null ? bound.port : 0,
        close: () => {
          listener.close();
          for (const socket of sockets) socket.destroy();
        },
      });
    });
  });
}
