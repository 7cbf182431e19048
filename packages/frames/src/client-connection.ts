import type { Duplex } from 'node:stream';
import type { Clock } from '@kube-aurora/clock';
import { ClientStream, type ClientStreamHost, type ClientStreamOwner } from './client-stream.ts';
import { FrameError } from './frame-error.ts';
import { FrameSocket, type FrameEvents } from './frame-socket.ts';
import { ERROR, WINDOW } from './frame-types.ts';
import { ownHello, type Agreement, type HelloOptions } from './hello.ts';
import { LAYOUTS } from './layouts.ts';
import type { Outbox } from './outbox.ts';

export interface ClientConnectionOptions {
  readonly hello: HelloOptions;
  readonly helloTimeoutMs: number;
  readonly clock: Clock;
  /** Once, when the other end has answered. */
  readonly onOpened: () => void;
  /** Once, when the connection is over; its streams have failed by then. */
  readonly onClosed: (error: FrameError) => void;
}

/**
 * The end that opens streams. They may be opened before the other end's hello is here; more of them than that allows
 * wait.
 *
 * Invariant: of its own streams, at most as many as the other end allows are open on the wire.
 */
export class ClientConnection implements FrameEvents, ClientStreamHost {
  readonly #socket: FrameSocket;
  readonly #onOpened: () => void;
  readonly #onClosed: (error: FrameError) => void;
  readonly #streams = new Map<number, ClientStream>();
  #waiting: ClientStream[] = [];
  #lastId = 0;
  #agreement: Agreement | undefined;

  constructor(socket: Duplex, options: ClientConnectionOptions) {
    const { clock, hello, helloTimeoutMs, onOpened, onClosed } = options;
    this.#onOpened = onOpened;
    this.#onClosed = onClosed;
    this.#socket = new FrameSocket(socket, { side: 'client', hello: ownHello(hello), helloTimeoutMs, clock }, this);
  }

  get isClosed(): boolean {
    return this.#socket.isClosed;
  }

  get outbox(): Outbox {
    return this.#socket.outbox;
  }

  /** Opens a stream with its first message. What comes of it, `owner` hears: nothing before this has returned. */
  open(kind: number, first: Buffer, deadlineMs: number, owner: ClientStreamOwner): ClientStream {
    const stream = new ClientStream(this, kind, first, deadlineMs, owner);
    this.#waiting.push(stream);
    this.#admit();
    return stream;
  }

  close(): void {
    this.#socket.fail(new FrameError('STOPPING', 'this end is done'));
  }

  forget(stream: ClientStream): void {
    if (stream.id > 0) this.#streams.delete(stream.id);
    else {
      const place = this.#waiting.indexOf(stream);
      if (place >= 0) this.#waiting.splice(place, 1);
    }
    this.#admit();
  }

  #admit(): void {
    if (this.#agreement === undefined || this.isClosed) return;
    const { streamsMax, windowBytes } = this.#agreement;
    while (this.#waiting.length > 0 && this.#streams.size < streamsMax) {
      const stream = this.#waiting.shift();
      if (stream === undefined) return;
      this.#lastId++;
      this.#streams.set(this.#lastId, stream);
      stream.admitted(this.#lastId, windowBytes);
    }
  }

  opened(agreement: Agreement): void {
    this.#agreement = agreement;
    this.#onOpened();
    this.#admit();
  }

  /** The stream; undefined when it is over here, and the other end did not know that yet. */
  #find(id: number): ClientStream | undefined {
    if (id > this.#lastId) throw new FrameError('MALFORMED', `frame.stream: ${id} was not opened, the last was ${this.#lastId}`);
    return this.#streams.get(id);
  }

  dataBegins(id: number, length: number): void {
    this.#find(id)?.dataBegins(length);
  }

  data(id: number, flags: number, piece: Buffer, left: number): void {
    this.#find(id)?.data(flags, piece, left);
  }

  frame(type: number, id: number, payload: Buffer): void {
    const stream = this.#find(id);
    if (type === WINDOW) stream?.granted(LAYOUTS.window.bytes.get(payload));
    else if (type === ERROR) stream?.failed(LAYOUTS.error.code.get(payload), payload.toString('utf8', LAYOUTS.error.size));
  }

  closed(error: FrameError): void {
    const streams = [...this.#streams.values(), ...this.#waiting];
    this.#streams.clear();
    this.#waiting = [];
    this.#onClosed(error);
    for (const stream of streams) stream.broken(error);
  }
}
