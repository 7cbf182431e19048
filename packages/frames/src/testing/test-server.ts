import { connect, createServer, type Server, type Socket } from 'node:net';
import { systemClock } from '@kube-aurora/clock';
import { ClientConnection } from '../client-connection.ts';
import type { ClientStream, ClientStreamOwner } from '../client-stream.ts';
import type { FrameError } from '../frame-error.ts';
import { FRAME_BYTES } from '../frame-types.ts';
import { encodeHello, ownHello, type HelloOptions } from '../hello.ts';
import { LAYOUTS } from '../layouts.ts';
import { ServerConnection, type Opening } from '../server-connection.ts';
import type { ServerStream, ServerStreamOwner } from '../server-stream.ts';

/** A server of frames with two kinds of streams, its clients, and raw sockets to it, over real TCP. */

/** Says every message again, one by one; of a long one its length. */
export const ECHO = 1;
/** Answers with as many bytes as the first message says, when it is let go. */
export const BYTES = 2;

export const HELLO: HelloOptions = { heartbeatMs: 10_000, streamsMax: 128, windowBytes: 1024 * 1024 };

/** The server's side of one stream. */
export class Served implements ServerStreamOwner {
  readonly messageBytesMax = 64 * 1024 * 1024;
  readonly stream: ServerStream;
  readonly first: Buffer;
  readonly received: Buffer[] = [];
  readonly kind: number;
  isEnded = false;
  isCancelled = false;
  isFinished = false;

  constructor({ kind, stream, first }: Opening) {
    this.kind = kind;
    this.stream = stream;
    this.first = Buffer.from(first);
  }
  get receivedBytes(): number {
    return this.received.reduce((sum, { length }) => sum + length, 0);
  }
  message(message: Buffer): void {
    this.received.push(Buffer.from(message));
    if (this.kind === ECHO) this.stream.say(message.length <= FRAME_BYTES ? message : Buffer.from(`${message.length} bytes`));
  }
  answer(): void {
    this.stream.answer([Buffer.from('head'), Buffer.alloc(this.first.readUInt32LE(0), 7)]);
  }
  ended(): void {
    this.isEnded = true;
    this.stream.end();
  }
  cancelled(): void {
    this.isCancelled = true;
  }
  finished(): void {
    this.isFinished = true;
  }
  speak(): void {}
}

/** What a client heard of a stream. */
export class Heard implements ClientStreamOwner {
  readonly messageBytesMax = 64 * 1024 * 1024;
  readonly messages: Buffer[] = [];
  stream: ClientStream | undefined;
  isEnded = false;
  failure: { code: number; text: string } | undefined;
  brokenBy: FrameError | undefined;
  drains = 0;
  readonly #onMessage: () => void;
  constructor(onMessage: () => void = () => undefined) {
    this.#onMessage = onMessage;
  }
  message(message: Buffer): void {
    this.messages.push(Buffer.from(message));
    this.#onMessage();
  }
  ended(): void {
    this.isEnded = true;
  }
  failed(code: number, text: string): void {
    this.failure = { code, text };
  }
  broken(error: FrameError): void {
    this.brokenBy = error;
  }
  drained(): void {
    this.drains++;
  }
}

export class TestServer {
  readonly served: Served[] = [];
  readonly connections: ServerConnection[] = [];
  readonly closed: FrameError[] = [];
  readonly clients: ClientConnection[] = [];
  readonly clientsClosed: FrameError[] = [];
  readonly #server: Server;
  readonly #sockets: Socket[] = [];
  #holdsAnswers = false;

  private constructor(hello: HelloOptions, helloTimeoutMs: number) {
    this.#server = createServer((socket) => {
      this.#sockets.push(socket);
      this.connections.push(
        new ServerConnection(socket, {
          hello,
          helloTimeoutMs,
          clock: systemClock(),
          onClosed: (error) => this.closed.push(error),
          serve: (opening) => {
            const served = new Served(opening);
            this.served.push(served);
            if (served.kind !== ECHO && served.kind !== BYTES) {
              served.stream.fail(3, `no kind ${served.kind}`);
              return undefined;
            }
            if (served.kind === BYTES && !this.#holdsAnswers) served.answer();
            return served;
          },
        }),
      );
    });
  }

  static async start(hello: HelloOptions = HELLO, helloTimeoutMs = 10_000): Promise<TestServer> {
    const server = new TestServer(hello, helloTimeoutMs);
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve));
    return server;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  /** BYTES streams are answered when the test says so. */
  holdAnswers(): void {
    this.#holdsAnswers = true;
  }

  client(hello: HelloOptions = HELLO, port = this.port): ClientConnection {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.#sockets.push(socket);
    const client = new ClientConnection(socket, {
      hello,
      helloTimeoutMs: 10_000,
      clock: systemClock(),
      onOpened: () => undefined,
      onClosed: (error) => this.clientsClosed.push(error),
    });
    this.clients.push(client);
    return client;
  }

  open(client: ClientConnection, kind: number, first: Buffer = Buffer.from('hello'), heard = new Heard()): Heard {
    heard.stream = client.open(kind, first, 0, heard);
    return heard;
  }

  /** A connection that says what the test writes. */
  async raw(hello: Partial<ReturnType<typeof ownHello>> | 'no hello' = {}): Promise<RawPeer> {
    const peer = new RawPeer(connect(this.port, '127.0.0.1'));
    this.#sockets.push(peer.socket);
    await new Promise((resolve) => peer.socket.once('connect', resolve));
    if (hello !== 'no hello') peer.socket.write(encodeHello({ ...ownHello(HELLO), ...hello }));
    return peer;
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

export class RawPeer {
  readonly socket: Socket;
  #received = Buffer.alloc(0);
  isClosed = false;
  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => (this.#received = Buffer.concat([this.#received, chunk])));
    socket.on('error', () => undefined);
    socket.on('close', () => (this.isClosed = true));
  }
  get received(): Buffer {
    return this.#received;
  }
  get text(): string {
    return this.#received.toString('latin1');
  }
}

/** A frame's bytes; `length` may lie. */
export function frameBytes(type: number, stream: number, flags: number, payload: Buffer, length = payload.length): Buffer {
  const head = Buffer.alloc(LAYOUTS.frame.size);
  LAYOUTS.frame.length.set(head, length);
  LAYOUTS.frame.stream.set(head, stream);
  LAYOUTS.frame.type.set(head, type);
  LAYOUTS.frame.flags.set(head, flags);
  return Buffer.concat([head, payload]);
}

export function openBytes(stream: number, kind: number, first: Buffer): Buffer {
  const head = Buffer.alloc(LAYOUTS.open.size);
  LAYOUTS.open.kind.set(head, kind);
  return frameBytes(1, stream, 0, Buffer.concat([head, first]));
}
