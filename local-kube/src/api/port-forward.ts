import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type WebSocket } from 'ws';

/**
 * `pods/NAME/portforward` over a WebSocket, as the kubelet has it (v4.channel.k8s.io): of each port two channels, data and errors. The first byte of a
 * message is its channel; the first message of a channel is the port's number. One port a connection. kubectl itself speaks SPDY, which is not here.
 */
const PROTOCOL = 'v4.channel.k8s.io';
const DATA = 0;
const ERROR = 1;

const server = new WebSocketServer({ noServer: true, handleProtocols: (offered) => (offered.has(PROTOCOL) ? PROTOCOL : false) });

/** Takes a connection over; `host` is the pod's address. */
export function forwardPort(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  to: { readonly host: string; readonly port: number },
): void {
  server.handleUpgrade(request, socket, head, (stream) => carry(stream, to));
}

function carry(stream: WebSocket, { host, port }: { readonly host: string; readonly port: number }): void {
  const number = Buffer.alloc(2);
  number.writeUInt16LE(port);
  const send = (channel: number, bytes: Buffer): void => stream.send(Buffer.concat([Buffer.of(channel), bytes]));
  for (const channel of [DATA, ERROR]) send(channel, number);
  const pod = connect({ host, port });
  pod.on('data', (bytes: Buffer) => {
    send(DATA, bytes);
    // What the client has not taken yet holds the pod back.
    if (stream.bufferedAmount > HELD_BYTES) pod.pause();
  });
  const drained = setInterval(() => {
    if (pod.isPaused() && stream.bufferedAmount <= HELD_BYTES) pod.resume();
  }, DRAIN_MS);
  pod.on('error', (error) => send(ERROR, Buffer.from(`an error occurred forwarding ${port}: ${error.message}`)));
  pod.on('close', () => {
    clearInterval(drained);
    stream.close();
  });
  stream.on('message', (message: Buffer) => {
    if (message[0] === DATA) pod.write(message.subarray(1));
  });
  stream.on('close', () => pod.end());
  // It closes, which is all that matters here.
  stream.on('error', () => stream.terminate());
}

const HELD_BYTES = 1 << 20;
const DRAIN_MS = 5;
