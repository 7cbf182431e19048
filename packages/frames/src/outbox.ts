import type { Duplex } from 'node:stream';
import { FRAME_BYTES } from './frame-types.ts';
import { LAYOUTS } from './layouts.ts';

/**
 * Memory from this size on is mapped when it is had and unmapped when it is given back (MALLOC_MMAP_THRESHOLD_ in packages/process), with a page fault for
 * every 4 KiB. Node's TLS puts each write of several pieces together in memory of its own, and what it is encrypted to needs as much: so a write is shorter.
 */
const MAPPED_BYTES = 256 * 1024;

/**
 * What a connection has to send, in one write a turn of the event loop: whoever has something says so, and is asked for
 * it when the socket takes it. Short frames that others wait for go first; long messages take turns, a frame each.
 *
 * Invariant: beside what the senders keep themselves, which each bounds, at most SOCKET_BYTES_MAX and a frame wait in
 * the socket.
 */
const SOCKET_BYTES_MAX = MAPPED_BYTES - FRAME_BYTES - 1024;
/** Payloads up to this are copied behind their header: that costs less than a second piece in the write. */
const COPY_BYTES_MAX = 4096;

/** Something that sends frames: a stream, or the connection itself. */
export abstract class Sender {
  /** Kept by the outbox. */
  isUrgent = false;
  isInTurn = false;
  /** Writes the short frames it has: all of them, for each is bounded in number by what the other end may have open. */
  abstract sendUrgent(out: Outbox): void;
  /** Writes one frame of its messages; gives whether it has more that may be sent now. */
  abstract sendTurn(out: Outbox): boolean;
}

export class Outbox {
  readonly #socket: Duplex;
  #urgent: Sender[] = [];
  #turns: Sender[] = [];
  #isPlanned = false;
  #isClosed = false;
  /** Of the flush under way: what goes to the socket at its end, in one write. */
  #out: Buffer[] = [];
  #outBytes = 0;
  #isFlushing = false;
  /** Called when the socket has what was given to it so far. */
  #whenTaken: (() => void)[] = [];
  /** Bytes given to the socket. */
  sentBytes = 0;
  readonly #flushPlanned = (): void => {
    this.#isPlanned = false;
    this.flush();
  };

  constructor(socket: Duplex) {
    this.#socket = socket;
  }

  /** `sender` has short frames. */
  urgent(sender: Sender): void {
    if (sender.isUrgent || this.#isClosed) return;
    sender.isUrgent = true;
    this.#urgent.push(sender);
    this.#plan();
  }

  /** `sender` has a message, or the rest of one, that may be sent. */
  turn(sender: Sender): void {
    if (sender.isInTurn || this.#isClosed) return;
    sender.isInTurn = true;
    this.#turns.push(sender);
    this.#plan();
  }

  #plan(): void {
    if (this.#isPlanned) return;
    this.#isPlanned = true;
    queueMicrotask(this.#flushPlanned);
  }

  get #hasRoom(): boolean {
    return !this.#isClosed && this.#socket.writableLength + this.#outBytes < SOCKET_BYTES_MAX;
  }

  /** Sends what the socket takes; the rest when it has drained. */
  flush(): void {
    if (!this.#hasRoom || (this.#urgent.length === 0 && this.#turns.length === 0)) return;
    this.#isFlushing = true;
    while (this.#urgent.length > 0 && this.#hasRoom) {
      const sender = this.#urgent.shift();
      if (sender === undefined) break;
      sender.isUrgent = false;
      sender.sendUrgent(this);
    }
    while (this.#turns.length > 0 && this.#hasRoom) {
      const sender = this.#turns.shift();
      if (sender === undefined) break;
      sender.isInTurn = false;
      // It may have asked for its next turn itself.
      if (!sender.sendTurn(this) || sender.isInTurn) continue;
      sender.isInTurn = true;
      this.#turns.push(sender);
    }
    this.#isFlushing = false;
    this.writeOut();
  }

  /**
   * Gives the socket what a flush has gathered so far: for whoever ends the socket, perhaps within one. A single frame,
   * which nearly all writes are, goes past what a stream does to gather several.
   */
  writeOut(): void {
    const out = this.#out;
    const [first] = out;
    if (first === undefined) return;
    this.#out = [];
    this.#outBytes = 0;
    const then = this.#thenTaken();
    if (out.length === 1) {
      this.#socket.write(first, then);
      return;
    }
    this.#socket.cork();
    const last = out.length - 1;
    out.forEach((piece, at) => this.#socket.write(piece, at === last ? then : undefined));
    this.#socket.uncork();
  }

  #thenTaken(): ((error?: Error | null) => void) | undefined {
    const calls = this.#whenTaken;
    if (calls.length === 0) return undefined;
    this.#whenTaken = [];
    // Of what did not get away nobody knows who still reads it.
    return (error) => {
      if (error === undefined || error === null) for (const call of calls) call();
    };
  }

  /** Calls `then` once the socket needs nothing any more of the frames that were written in this flush; not where the connection ends before that. */
  whenTaken(then: () => void): void {
    this.#whenTaken.push(then);
  }

  close(): void {
    this.#isClosed = true;
    this.#urgent = [];
    this.#turns = [];
    this.#whenTaken = [];
  }

  /** Writes one frame. `pieces` are not copied when they are long, and not to be changed afterwards. */
  frame(type: number, stream: number, flags: number, pieces: readonly Buffer[]): void {
    let length = 0;
    for (const piece of pieces) length += piece.length;
    const { frame } = LAYOUTS;
    const isCopied = length <= COPY_BYTES_MAX;
    const out = Buffer.allocUnsafe(frame.size + (isCopied ? length : 0));
    frame.length.set(out, length);
    frame.stream.set(out, stream);
    frame.type.set(out, type);
    frame.flags.set(out, flags);
    this.sentBytes += frame.size + length;
    if (isCopied) {
      let at = frame.size;
      for (const piece of pieces) at += piece.copy(out, at);
    }
    this.#out.push(out);
    if (!isCopied) this.#out.push(...pieces);
    this.#outBytes += frame.size + length;
    if (!this.#isFlushing) this.writeOut();
  }
}
