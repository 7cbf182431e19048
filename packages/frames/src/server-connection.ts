import type { Duplex } from 'node:stream';
import type { Clock } from '@kube-aurora/clock';
import { FrameError } from './frame-error.ts';
import { FrameSocket, type FrameEvents } from './frame-socket.ts';
import { OPEN, RESET } from './frame-types.ts';
import { ownHello, type HelloOptions } from './hello.ts';
import { LAYOUTS } from './layouts.ts';
import type { Outbox } from './outbox.ts';
import { ServerStream, type ServerStreamHost, type ServerStreamOwner } from './server-stream.ts';

/** A stream that was opened, with its first message. */
export interface Opening {
  readonly kind: number;
  readonly first: Buffer;
  /** Milliseconds for which the opener waits; 0: for ever. */
  readonly deadlineMs: number;
  readonly stream: ServerStream;
}

export interface ServerConnectionOptions {
  readonly hello: HelloOptions;
  readonly helloTimeoutMs: number;
  readonly clock: Clock;
  /** Says who serves a stream; undefined where it has ended or failed the stream at once. */
  readonly serve: (opening: Opening) => ServerStreamOwner | undefined;
  /** Once, when the connection is over; its streams are cancelled by then. */
  readonly onClosed: (error: FrameError) => void;
}

/**
 * The end that streams are opened to.
 *
 * Invariant: no more streams are open than the hello allows, and one counts until its last frame was given to the
 * socket: somebody who asks and does not read is answered no further.
 */
export class ServerConnection implements FrameEvents, ServerStreamHost {
  readonly #socket: FrameSocket;
  readonly #options: ServerConnectionOptions;
  readonly #streams = new Map<number, ServerStream>();
  #lastId = 0;

  constructor(socket: Duplex, options: ServerConnectionOptions) {
    this.#options = options;
    const { clock, hello, helloTimeoutMs } = options;
    this.#socket = new FrameSocket(socket, { side: 'server', hello: ownHello(hello), helloTimeoutMs, clock }, this);
  }

  get outbox(): Outbox {
    return this.#socket.outbox;
  }
  get sentBytes(): number {
    return this.#socket.outbox.sentBytes;
  }
  get receivedBytes(): number {
    return this.#socket.receivedBytes;
  }
  get openStreams(): number {
    return this.#streams.size;
  }

  close(): void {
    this.#socket.fail(new FrameError('STOPPING', 'the storage daemon is stopping'));
  }

  heard(bytes: number): void {
    this.#socket.heard(bytes);
  }

  forget(stream: ServerStream): void {
    this.#streams.delete(stream.id);
  }

  opened(): void {
    // The client may open streams from here on; until then it has no way to.
  }

  #find(id: number): ServerStream | undefined {
    if (id > this.#lastId) throw new FrameError('MALFORMED', `frame.stream: ${id} was not opened, the last was ${this.#lastId}`);
    // One that is over here, which the client did not know yet.
    return this.#streams.get(id);
  }

  dataBegins(id: number, length: number): void {
    this.#find(id)?.dataBegins(length);
  }

  data(id: number, flags: number, piece: Buffer, left: number): void {
    this.#find(id)?.data(flags, piece, left);
  }

  frame(type: number, id: number, payload: Buffer): void {
    if (type === OPEN) this.#open(id, payload);
    else if (type === RESET) this.#find(id)?.abandoned();
  }

  #open(id: number, payload: Buffer): void {
    const { hello, serve } = this.#options;
    if (id <= this.#lastId) throw new FrameError('MALFORMED', `frame.stream: OPEN of ${id} after ${this.#lastId}`);
    if (this.#streams.size >= hello.streamsMax)
      throw new FrameError('TOO_MUCH', `OPEN: ${hello.streamsMax} streams are open, and no more are taken`);
    this.#lastId = id;
    const { open } = LAYOUTS;
    const stream = new ServerStream(this, id, hello.windowBytes);
    this.#streams.set(id, stream);
    const owner = serve({
      kind: open.kind.get(payload),
      first: payload.subarray(open.size),
      deadlineMs: open.deadlineMs.get(payload),
      stream,
    });
    if (owner !== undefined) stream.serve(owner);
  }

  closed(error: FrameError): void {
    const streams = [...this.#streams.values()];
    this.#streams.clear();
    for (const stream of streams) stream.abandoned();
    this.#options.onClosed(error);
  }
}
