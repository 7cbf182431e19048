import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { ChannelCredentials, ServerCredentials } from '@grpc/grpc-js';

/**
 * How a process proves who it is, to those it calls and to those who call it. The two ends of a connection need a
 * matching pair.
 */
export interface Credentials {
  /** For gRPC. */
  readonly client: ChannelCredentials;
  readonly server: ServerCredentials;
  /**
   * For frames: a connection to an address, and one that was accepted, each as what bytes are written to and read from.
   */
  connect(at: { readonly host: string; readonly port: number }): Duplex;
  accept(socket: Socket): Duplex;
}

/** Neither encrypted nor proven: for a network that only the cluster's own pods reach. */
export const PLAIN_TEXT: Credentials = {
  client: ChannelCredentials.createInsecure(),
  server: ServerCredentials.createInsecure(),
  connect: (at) => connect({ ...at, noDelay: true }),
  accept: (socket) => socket,
};
