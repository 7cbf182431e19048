import { FrameError } from './frame-error.ts';
import { DATA, END, FRAME_COST, MORE, OPEN, RESET } from './frame-types.ts';
import { LAYOUTS } from './layouts.ts';
import { MessageAssembler } from './message-assembler.ts';
import { MessageQueue } from './message-queue.ts';
import { Sender, type Outbox } from './outbox.ts';

/** What a client hears of a stream of its own. After `ended`, `failed` or `broken`, and after `cancel`, nothing. */
export interface ClientStreamOwner {
  /** The longest message that may come on this stream. */
  readonly messageBytesMax: number;
  message(message: Buffer): void;
  /** Takes messages in the pieces in which they came, in place of `message`: long ones need no copy then. */
  pieces?(pieces: readonly Buffer[]): void;
  /** The other end has sent all. */
  ended(): void;
  /** It refused the stream, or gave it up. */
  failed(code: number, text: string): void;
  /** The connection is over. */
  broken(error: FrameError): void;
  /** More may be written, after `write` had given false. */
  drained(): void;
}

/** What a stream needs of its connection. */
export interface ClientStreamHost {
  readonly outbox: Outbox;
  /** The stream is over: another may be opened in its place. */
  forget(stream: ClientStream): void;
}

/** Bytes written and not sent from which on `write` gives false. */
const QUEUE_BYTES_MAX = 64 * 1024;

type Phase = 'waiting' | 'admitted' | 'open' | 'over';

/** The opener's end of one stream. */
export class ClientStream extends Sender {
  readonly #connection: ClientStreamHost;
  readonly #owner: ClientStreamOwner;
  readonly #kind: number;
  readonly #deadlineMs: number;
  #first: Buffer | undefined;
  readonly #queue = new MessageQueue();
  readonly #assembler = new MessageAssembler();
  #phase: Phase = 'waiting';
  /** 0 until it is admitted. */
  id = 0;
  /** What the other end still takes. */
  #credit = 0;
  #isFull = false;
  #endIsDue = false;
  #endIsSent = false;
  #resetIsDue = false;

  constructor(connection: ClientStreamHost, kind: number, first: Buffer, deadlineMs: number, owner: ClientStreamOwner) {
    super();
    this.#connection = connection;
    this.#kind = kind;
    this.#first = first;
    this.#deadlineMs = deadlineMs;
    this.#owner = owner;
  }

  /** Sends one message. False: better wait for `drained`. */
  write(message: Buffer): boolean {
    if (this.#phase === 'over' || this.#endIsDue) return true;
    this.#queue.push(message);
    if (this.#phase === 'open' && this.#credit > FRAME_COST) this.#connection.outbox.turn(this);
    this.#isFull = this.#queue.bytes > QUEUE_BYTES_MAX;
    return !this.#isFull;
  }

  /** No more messages follow. */
  end(): void {
    if (this.#phase === 'over' || this.#endIsDue) return;
    this.#endIsDue = true;
    this.#queue.end();
    if (this.#phase === 'open' && this.#queue.isEmpty) this.#connection.outbox.urgent(this);
  }

  /** The opener needs nothing more of it: the other end stops working for it, and has room for another. */
  cancel(): void {
    if (this.#phase === 'over') return;
    if (this.#phase === 'open') {
      // In the queue before whatever is opened in its place: the other end must not count one too many.
      this.#resetIsDue = true;
      this.#connection.outbox.urgent(this);
    }
    this.#over();
  }

  /** It may be opened, as `id`. */
  admitted(id: number, windowBytes: number): void {
    this.id = id;
    this.#credit = windowBytes;
    this.#phase = 'admitted';
    this.#connection.outbox.urgent(this);
  }

  sendUrgent(out: Outbox): void {
    if (this.#phase === 'admitted') {
      this.#phase = 'open';
      const { open } = LAYOUTS;
      const head = Buffer.alloc(open.size);
      open.kind.set(head, this.#kind);
      open.deadlineMs.set(head, Math.min(Math.ceil(this.#deadlineMs), 0xffff_ffff));
      out.frame(OPEN, this.id, 0, this.#first === undefined ? [head] : [head, this.#first]);
      this.#first = undefined;
      if (!this.#queue.isEmpty) out.turn(this);
    }
    if (this.#resetIsDue) {
      this.#resetIsDue = false;
      out.frame(RESET, this.id, 0, []);
    } else if (this.#endIsDue && this.#queue.isEmpty && this.#phase === 'open' && !this.#endIsSent) {
      this.#endIsSent = true;
      out.frame(DATA, this.id, END, []);
    }
  }

  sendTurn(out: Outbox): boolean {
    if (this.#phase !== 'open') return false;
    const carriesEnd = this.#queue.carriesEnd;
    const cost = this.#queue.send(out, this.id, this.#credit);
    if (cost === 0) return false;
    this.#credit -= cost;
    if (carriesEnd && this.#queue.isEmpty) this.#endIsSent = true;
    if (this.#isFull && this.#queue.bytes <= QUEUE_BYTES_MAX) {
      this.#isFull = false;
      this.#owner.drained();
    }
    return !this.#queue.isEmpty;
  }

  dataBegins(length: number): void {
    const bytes = this.#assembler.bytes + length;
    if (bytes > this.#owner.messageBytesMax)
      throw new FrameError(
        'TOO_MUCH',
        `stream ${this.id}: a message of ${bytes} bytes or more, at most ${this.#owner.messageBytesMax} are taken`,
      );
  }

  data(flags: number, piece: Buffer, left: number): void {
    const isLast = left === 0 && (flags & MORE) === 0;
    // END by itself carries no message.
    const isBare = isLast && piece.length === 0 && this.#assembler.bytes === 0 && (flags & END) !== 0;
    if (!isBare) this.#add(piece, isLast);
    if (left > 0 || (flags & END) === 0 || this.#phase === 'over') return;
    this.#over();
    this.#owner.ended();
  }

  #add(piece: Buffer, isLast: boolean): void {
    if (this.#owner.pieces === undefined) {
      const message = this.#assembler.add(piece, isLast);
      if (message !== undefined) this.#owner.message(message);
      return;
    }
    const pieces = this.#assembler.addApart(piece, isLast);
    if (pieces !== undefined) this.#owner.pieces(pieces);
  }

  granted(bytes: number): void {
    this.#credit += bytes;
    if (this.#credit > Number.MAX_SAFE_INTEGER / 2)
      throw new FrameError('MALFORMED', `window.bytes: stream ${this.id} was granted ${this.#credit}`);
    if (!this.#queue.isEmpty) this.#connection.outbox.turn(this);
  }

  failed(code: number, text: string): void {
    this.#over();
    this.#owner.failed(code, text);
  }

  broken(error: FrameError): void {
    this.#phase = 'over';
    this.#owner.broken(error);
  }

  #over(): void {
    this.#phase = 'over';
    this.#queue.clear();
    this.#assembler.clear();
    this.#connection.forget(this);
  }
}
