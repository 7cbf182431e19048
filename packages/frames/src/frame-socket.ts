import type { Duplex } from 'node:stream';
import type { Clock, Timer } from '@kube-aurora/clock';
import { FrameError, GOODBYE_REASONS, goodbyeReason } from './frame-error.ts';
import { FrameReader, type FrameReceiver } from './frame-reader.ts';
import { GOODBYE, PING, PONG, shortText, type Side } from './frame-types.ts';
import { nextBeat } from './heartbeat.ts';
import { agree, encodeHello, type Agreement, type Hello } from './hello.ts';
import { LAYOUTS } from './layouts.ts';
import { Outbox, Sender } from './outbox.ts';

/**
 * What becomes of the frames of streams. All may throw FrameError: the other end is told, and the connection is over.
 */
export interface FrameEvents {
  /** Both hellos are here. */
  opened(agreement: Agreement): void;
  dataBegins(stream: number, length: number): void;
  data(stream: number, flags: number, piece: Buffer, left: number): void;
  frame(type: number, stream: number, payload: Buffer): void;
  /** Once; nothing is called after it. */
  closed(error: FrameError): void;
}

export interface FrameSocketOptions {
  readonly side: Side;
  readonly hello: Hello;
  /** From the start to the other end's hello: connecting, encryption and all. */
  readonly helloTimeoutMs: number;
  readonly clock: Clock;
}

/** How long the other end has to read why it was left. */
const LINGER_MS = 1000;

/** What somebody gets who speaks something else: most such programs show it. */
function notFrames(text: string): string {
  const body = `This port speaks kube-aurora's frames (redo and pages), not HTTP and not gRPC: ${text}\n`;
  return `HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`;
}

/** The connection's own frames. */
class OwnFrames extends Sender {
  #asks = false;
  #answers = false;

  ask(): void {
    this.#asks = true;
  }
  answer(): void {
    this.#answers = true;
  }
  sendUrgent(out: Outbox): void {
    if (this.#asks) out.frame(PING, 0, 0, []);
    // One answer for all that asked since the last: whoever asks and does not read gets no more of our memory.
    if (this.#answers) out.frame(PONG, 0, 0, []);
    this.#asks = false;
    this.#answers = false;
  }
  sendTurn(): boolean {
    return false;
  }
}

/**
 * One end of a connection: hellos, heartbeats, reading, and how it ends. Streams are its owner's.
 *
 * Invariant: `closed` is called once, whatever ends the connection, and no event after it.
 */
export class FrameSocket implements FrameReceiver {
  readonly outbox: Outbox;
  readonly #socket: Duplex;
  readonly #options: FrameSocketOptions;
  readonly #events: FrameEvents;
  readonly #reader: FrameReader;
  readonly #own = new OwnFrames();
  readonly #startedAt: number;
  #agreement: Agreement | undefined;
  #heardAt: number;
  #askedAt: number | undefined;
  #timer: Timer | undefined;
  /** Counts the looks that were planned: the last one stands. */
  #planned = 0;
  #isClosed = false;
  receivedBytes = 0;

  constructor(socket: Duplex, options: FrameSocketOptions, events: FrameEvents) {
    this.#socket = socket;
    this.#options = options;
    this.#events = events;
    this.outbox = new Outbox(socket);
    this.#reader = new FrameReader(options.side === 'client' ? 'server' : 'client', this);
    this.#startedAt = options.clock.now();
    this.#heardAt = this.#startedAt;
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('drain', () => this.outbox.flush());
    socket.on('error', (error) => this.#broken(error.message));
    socket.on('end', () => this.#broken('the other end closed the connection'));
    socket.on('close', () => this.#broken('the connection is closed'));
    if (options.side === 'client') socket.write(encodeHello(options.hello));
    this.#plan(options.helloTimeoutMs);
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Ends the connection, telling the other end why. */
  fail(error: FrameError): void {
    if (this.#isClosed) return;
    this.#sayGoodbye(error);
    this.#over(error);
  }

  /** So many bytes came, here or past this reader. */
  heard(bytes: number): void {
    this.#heardAt = this.#options.clock.now();
    this.#askedAt = undefined;
    this.receivedBytes += bytes;
  }

  #receive(chunk: Buffer): void {
    if (this.#isClosed) return;
    this.heard(chunk.length);
    try {
      this.#reader.push(chunk);
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      this.fail(error);
    }
  }

  hello(other: Hello): void {
    // The daemon answers a hello; somebody who speaks something else gets text alone.
    if (this.#options.side === 'server') this.#socket.write(encodeHello(this.#options.hello));
    this.#agreement = agree(this.#options.hello, other);
    this.#plan(this.#agreement.heartbeatMs);
    this.#events.opened(this.#agreement);
  }

  dataBegins(stream: number, length: number): void {
    this.#events.dataBegins(stream, length);
  }

  data(stream: number, flags: number, piece: Buffer, left: number): void {
    this.#events.data(stream, flags, piece, left);
  }

  frame(type: number, stream: number, payload: Buffer): void {
    if (type === PING) {
      this.#own.answer();
      this.outbox.urgent(this.#own);
    } else if (type === GOODBYE) {
      const { goodbye } = LAYOUTS;
      this.#over(
        new FrameError(goodbyeReason(goodbye.reason.get(payload)), `the other end left: ${payload.toString('utf8', goodbye.size)}`),
      );
      this.#socket.destroy();
    } else if (type !== PONG) this.#events.frame(type, stream, payload);
  }

  #plan(ms: number): void {
    const { clock } = this.#options;
    const planned = ++this.#planned;
    this.#timer?.cancel();
    // What arrived while this process had no turn is let in before anybody is taken for dead.
    this.#timer = clock.after(ms, () => clock.soon(() => this.#look(planned)));
  }

  #look(planned: number): void {
    if (this.#isClosed || planned !== this.#planned) return;
    const { clock, helloTimeoutMs } = this.#options;
    const now = clock.now();
    if (this.#agreement === undefined) {
      const left = this.#startedAt + helloTimeoutMs - now;
      if (left > 0) this.#plan(left);
      else this.fail(new FrameError('SILENT', `no hello in ${helloTimeoutMs} ms`));
      return;
    }
    const { heartbeatMs } = this.#agreement;
    const beat = nextBeat({ now, heardAt: this.#heardAt, askedAt: this.#askedAt, intervalMs: heartbeatMs });
    if (beat.do === 'give up') {
      this.fail(new FrameError('SILENT', `nothing came for ${Math.round(now - this.#heardAt)} ms`));
    } else if (beat.do === 'wait') this.#plan(beat.ms);
    else {
      this.#askedAt = now;
      this.#own.ask();
      this.outbox.urgent(this.#own);
      this.#plan(heartbeatMs / 2);
    }
  }

  #broken(message: string): void {
    if (this.#isClosed) return;
    this.#over(new FrameError('BROKEN', message));
    this.#socket.destroy();
  }

  #sayGoodbye({ reason, message }: FrameError): void {
    if (reason === 'BROKEN') {
      this.#socket.destroy();
      return;
    }
    if (reason === 'NOT_FRAMES') {
      if (this.#options.side === 'server') this.#socket.write(notFrames(message));
    } else {
      const { goodbye } = LAYOUTS;
      const head = Buffer.allocUnsafe(goodbye.size);
      goodbye.reason.set(head, GOODBYE_REASONS[reason]);
      this.outbox.frame(GOODBYE, 0, 0, [head, shortText(message)]);
      this.outbox.writeOut();
    }
    // What still comes is read and dropped: closing over unread bytes would take the goodbye back.
    this.#socket.end();
    const timer = this.#options.clock.after(LINGER_MS, () => this.#socket.destroy());
    this.#socket.once('close', () => timer.cancel());
  }

  #over(error: FrameError): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#reader.stop();
    this.outbox.close();
    this.#events.closed(error);
  }
}
