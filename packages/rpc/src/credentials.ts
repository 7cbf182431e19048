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

/** A connection reads so much at once. */
const READ_BYTES = 64 * 1024;
/** What is read in pieces up to this is copied out of the memory that it came in, which is read into again. */
const COPY_BYTES_MAX = 8 * 1024;

/**
 * A connection whose bytes come as 'data' without going through the queue of a stream: nobody reads it but by
 * listening, and nobody pauses it. An acknowledgement of 29 bytes costs no memory of READ_BYTES then, and half the
 * processor time.
 */
function connectDirect(at: { readonly host: string; readonly port: number }): Socket {
  let memory = Buffer.allocUnsafeSlow(READ_BYTES);
  const socket = connect({
    ...at,
    noDelay: true,
    onread: {
      buffer: () => memory,
      callback: (bytes) => {
        const read = memory.subarray(0, bytes);
        // Whoever listens may keep views of it.
        if (bytes > COPY_BYTES_MAX) memory = Buffer.allocUnsafeSlow(READ_BYTES);
        socket.emit('data', bytes > COPY_BYTES_MAX ? read : Buffer.from(read));
        return true;
      },
    },
  });
  return socket;
}

/** Neither encrypted nor proven: for a network that only the cluster's own pods reach. */
export const PLAIN_TEXT: Credentials = {
  client: ChannelCredentials.createInsecure(),
  server: ServerCredentials.createInsecure(),
  connect: connectDirect,
  accept: (socket) => socket,
};
