import { FrameError } from './frame-error.ts';
import { DATA, END, ERROR, FRAME_BYTES, FRAME_COST, MORE, shortText, WINDOW } from './frame-types.ts';
import { LAYOUTS } from './layouts.ts';
import { MessageAssembler } from './message-assembler.ts';
import { MessageQueue } from './message-queue.ts';
import { Sender, type Outbox } from './outbox.ts';

/**
 * What serves one stream. After `cancelled`, and after it ended or failed the stream itself, it hears only `finished`.
 */
export interface ServerStreamOwner {
  /** The longest message that may come after the first; 0: none may. */
  readonly messageBytesMax: number;
  message(message: Buffer): void;
  /** The opener has sent all. */
  ended(): void;
  /** The opener gave it up, or the connection is over. */
  cancelled(): void;
  /** Short messages can be sent now: whatever `wantsToSpeak` was called for. */
  speak(): void;
  /** Once, when the stream is over, however that came, and nothing of it is kept any more. */
  finished(): void;
}

export interface ServerStreamHost {
  readonly outbox: Outbox;
  /** Bytes came past the connection's reader. */
  heard(bytes: number): void;
  /** Everything of the stream is on its way, or it was given up: another may be opened. */
  forget(stream: ServerStream): void;
}

/** Short messages that wait for the socket; beyond it the stream's opener is not listened to. */
const UNSENT_BYTES_MAX = 64 * 1024;

/**
 * The accepting end of one stream.
 *
 * Invariant: what came and was not taken by the owner is within the window that was granted; while the owner has
 * paused, or does not get rid of its answers, no more is granted.
 */
export class ServerStream extends Sender {
  readonly id: number;
  readonly #host: ServerStreamHost;
  readonly #windowBytes: number;
  readonly #assembler = new MessageAssembler();
  readonly #messages = new MessageQueue();
  #owner: ServerStreamOwner | undefined;
  /** Short messages, and their bytes. */
  #short: Buffer[] = [];
  #shortBytes = 0;
  #wantsToSpeak = false;
  #isSpeaking = false;
  #isPaused = false;
  /** Messages that came while paused, and what each costs of the window. */
  #kept: Buffer[] = [];
  #keptCosts: number[] = [];
  /** What the message under way has cost while paused. */
  #partCost = 0;
  /** What may still come, and what may be granted again. */
  #window: number;
  #taken = 0;
  #hasAllInput = false;
  #endIsTold = false;
  /** How it ends, once it is to. */
  #final: { readonly code: number; readonly text: string } | 'end' | undefined;
  #letGo: (() => void) | undefined;
  #isOver = false;

  constructor(host: ServerStreamHost, id: number, windowBytes: number) {
    super();
    this.#host = host;
    this.id = id;
    this.#windowBytes = windowBytes;
    this.#window = windowBytes;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Nothing is given to anybody before. */
  serve(owner: ServerStreamOwner): void {
    this.#owner = owner;
  }

  /** `owner.speak` is called when the socket takes something: what is said then is the newest there is. */
  wantsToSpeak(): void {
    if (this.#isOver || this.#final !== undefined) return;
    this.#wantsToSpeak = true;
    this.#host.outbox.urgent(this);
  }

  /** Sends a message that fits one frame, before all long ones. */
  say(message: Buffer): void {
    if (message.length > FRAME_BYTES) throw new RangeError(`${message.length} bytes to say at once, at most ${FRAME_BYTES}`);
    if (this.#isOver) return;
    this.#short.push(message);
    this.#shortBytes += message.length + FRAME_COST;
    if (!this.#isSpeaking) this.#host.outbox.urgent(this);
  }

  /**
   * Sends a message of one or more pieces, and then no more. `letGo` is called once nobody needs the pieces' memory any more; not where the connection
   * ends before that.
   */
  answer(pieces: readonly Buffer[], letGo?: () => void): void {
    if (this.#isOver || this.#final !== undefined) {
      letGo?.();
      return;
    }
    this.#letGo = letGo;
    this.#final = 'end';
    this.#messages.pushPieces(pieces);
    this.#messages.end();
    this.#host.outbox.turn(this);
  }

  /** Sends a message of one or more pieces, after those before it. How much waits so its owner bounds. */
  send(pieces: readonly Buffer[]): void {
    if (this.#isOver || this.#final !== undefined) return;
    this.#messages.pushPieces(pieces);
    this.#host.outbox.turn(this);
  }

  /** Sends what was said, and then no more. */
  end(): void {
    if (this.#isOver || this.#final !== undefined) return;
    this.#final = 'end';
    this.#messages.end();
    this.#host.outbox.urgent(this);
  }

  /** Sends what was said, and then the error; of long messages what was not sent yet is left out. */
  fail(code: number, text: string): void {
    if (this.#isOver || this.#final !== undefined) return;
    this.#messages.clear();
    this.#final = { code, text };
    this.#host.outbox.urgent(this);
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#flow();
  }

  get #isHeld(): boolean {
    return this.#isPaused || this.#shortBytes > UNSENT_BYTES_MAX;
  }

  /** Gives what was kept, and grants what it cost. */
  #flow(): void {
    while (!this.#isHeld && !this.#isOver && this.#final === undefined) {
      const message = this.#kept.shift();
      if (message === undefined) {
        this.#take(this.#partCost);
        this.#partCost = 0;
        this.#tellEnd();
        return;
      }
      this.#take(this.#keptCosts.shift() ?? 0);
      this.#owner?.message(message);
    }
  }

  #take(cost: number): void {
    this.#taken += cost;
    if (this.#taken >= this.#windowBytes / 2) this.#host.outbox.urgent(this);
  }

  #tellEnd(): void {
    if (!this.#hasAllInput || this.#endIsTold || this.#kept.length > 0) return;
    this.#endIsTold = true;
    this.#owner?.ended();
  }

  dataBegins(length: number): void {
    if (this.#hasAllInput) throw new FrameError('MALFORMED', `stream ${this.id}: DATA after END`);
    this.#window -= length + FRAME_COST;
    // END may go over: it is nothing that is kept.
    if (this.#window < 0 && length > 0)
      throw new FrameError('TOO_MUCH', `stream ${this.id}: ${-this.#window} bytes more than the window that it was granted`);
    const bytes = this.#assembler.bytes + length;
    const max = this.#owner?.messageBytesMax ?? 0;
    if (bytes > max) throw new FrameError('TOO_MUCH', `stream ${this.id}: a message of ${bytes} bytes or more, at most ${max} are taken`);
    if (this.#isHeld) this.#partCost += length + FRAME_COST;
    else this.#take(length + FRAME_COST);
  }

  data(flags: number, piece: Buffer, left: number): void {
    const isLast = left === 0 && (flags & MORE) === 0;
    const isBare = isLast && piece.length === 0 && this.#assembler.bytes === 0;
    const message = isBare ? undefined : this.#assembler.add(piece, isLast);
    if (message !== undefined && this.#final === undefined) {
      if (this.#isHeld || this.#kept.length > 0) {
        this.#kept.push(message);
        this.#keptCosts.push(this.#partCost);
        this.#partCost = 0;
      } else this.#owner?.message(message);
    }
    if (left > 0 || (flags & END) === 0) return;
    this.#hasAllInput = true;
    if (!this.#isHeld) this.#tellEnd();
  }

  /** Frames of so many bytes were taken by who has the connection, and answered or not, in `answerBytes`: they cost the window what others do. */
  takenElsewhere(length: number, frames: number, answerBytes: number): void {
    if (this.#isOver) return;
    this.#host.heard(frames * LAYOUTS.frame.size + length);
    this.#host.outbox.sentBytes += answerBytes;
    const cost = length + frames * FRAME_COST;
    this.#window -= cost;
    this.#take(cost);
  }

  /** The opener gave it up, or the connection is over. */
  abandoned(): void {
    if (this.#isOver) return;
    // One that ended or failed the stream itself is done with it.
    if (this.#final === undefined) this.#owner?.cancelled();
    this.#over();
  }

  sendUrgent(out: Outbox): void {
    if (this.#isOver) return;
    if (this.#taken >= this.#windowBytes / 2 && this.#final === undefined) {
      const { window } = LAYOUTS;
      const bytes = Buffer.allocUnsafe(window.size);
      window.bytes.set(bytes, this.#taken);
      out.frame(WINDOW, this.id, 0, [bytes]);
      this.#window += this.#taken;
      this.#taken = 0;
    }
    if (this.#wantsToSpeak) {
      this.#wantsToSpeak = false;
      this.#isSpeaking = true;
      this.#owner?.speak();
      this.#isSpeaking = false;
    }
    for (const message of this.#short) out.frame(DATA, this.id, 0, [message]);
    const wasHeld = this.#isHeld;
    this.#short = [];
    this.#shortBytes = 0;
    if (this.#final === undefined) {
      if (wasHeld) this.#flow();
      return;
    }
    // The last long message says itself that it is the last.
    if (!this.#messages.isEmpty) return;
    if (this.#final === 'end') out.frame(DATA, this.id, END, []);
    else {
      const { error } = LAYOUTS;
      const head = Buffer.allocUnsafe(error.size);
      error.code.set(head, this.#final.code);
      out.frame(ERROR, this.id, 0, [head, shortText(this.#final.text)]);
    }
    this.#over();
  }

  sendTurn(out: Outbox): boolean {
    if (this.#isOver) return false;
    this.#messages.send(out, this.id, Infinity);
    if (!this.#messages.isEmpty) return true;
    if (this.#final === 'end') {
      if (this.#letGo !== undefined) out.whenTaken(this.#letGo);
      this.#over();
    }
    return false;
  }

  #over(): void {
    this.#isOver = true;
    this.#messages.clear();
    this.#assembler.clear();
    this.#kept = [];
    this.#keptCosts = [];
    this.#short = [];
    this.#host.forget(this);
    this.#owner?.finished();
  }
}
