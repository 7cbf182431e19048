import { FrameError } from './frame-error.ts';
import { DATA, END, FRAME_RULES, MAGIC, type Side } from './frame-types.ts';
import { decodeHello, type Hello } from './hello.ts';
import { LAYOUTS } from './layouts.ts';

/** What a reader finds, in the order in which it came. Each may throw FrameError, which ends the reading. */
export interface FrameReceiver {
  hello(hello: Hello): void;
  /** A DATA frame begins, of which nothing has been kept yet. */
  dataBegins(stream: number, length: number): void;
  /** The next piece of it, a view; `left` bytes of the frame are still to come. The last has its flags. */
  data(stream: number, flags: number, piece: Buffer, left: number): void;
  /** Any other frame, whole: a view, or a copy where it came in pieces. */
  frame(type: number, stream: number, payload: Buffer): void;
}

const HEADER = LAYOUTS.frame;
const NOTHING = Buffer.alloc(0);

/**
 * Takes a connection's bytes in whatever pieces they come, and gives frames.
 *
 * Invariants: a frame's type, sender, flags and length are checked before any of its payload is kept; what is kept is
 * at most one header and one frame that is not DATA. After an error, or `stop`, nothing more is read.
 */
export class FrameReader {
  readonly #receiver: FrameReceiver;
  /** Whose frames these are. */
  readonly #from: Side;
  #partial = Buffer.allocUnsafe(Math.max(LAYOUTS.hello.size, HEADER.size));
  #partialBytes = 0;
  #hasHello = false;
  #stopped = false;
  #type = 0;
  #stream = 0;
  #flags = 0;
  /** Of the present frame's payload. */
  #length = 0;
  #left = 0;
  #whole: Buffer | undefined;

  constructor(from: Side, receiver: FrameReceiver) {
    this.#from = from;
    this.#receiver = receiver;
  }

  /** Bytes that are kept until more come. */
  get keptBytes(): number {
    return this.#partialBytes + (this.#whole?.length ?? 0);
  }

  stop(): void {
    this.#stopped = true;
    this.#whole = undefined;
  }

  /** Throws FrameError for what is no frame of the protocol. */
  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length && !this.#stopped) {
      if (this.#left > 0) at = this.#payload(chunk, at);
      else if (this.#hasHello) at = this.#header(chunk, at);
      else at = this.#hello(chunk, at);
    }
  }

  /** Fills #partial from the chunk up to `bytes`; gives where the chunk goes on. */
  #fill(chunk: Buffer, at: number, bytes: number): number {
    const count = Math.min(bytes - this.#partialBytes, chunk.length - at);
    chunk.copy(this.#partial, this.#partialBytes, at, at + count);
    this.#partialBytes += count;
    return at + count;
  }

  #hello(chunk: Buffer, at: number): number {
    const before = this.#partialBytes;
    const next = this.#fill(chunk, at, LAYOUTS.hello.size);
    // The first wrong byte is enough: whoever speaks something else may wait for an answer.
    const seen = Math.min(this.#partialBytes, MAGIC.length);
    if (before < MAGIC.length && this.#partial.compare(MAGIC, 0, seen, 0, seen) !== 0) {
      throw new FrameError('NOT_FRAMES', `the other end does not speak frames: it began with 0x${this.#partial.toString('hex', 0, seen)}`);
    }
    if (this.#partialBytes < LAYOUTS.hello.size) return next;
    this.#partialBytes = 0;
    this.#hasHello = true;
    this.#receiver.hello(decodeHello(this.#partial));
    return next;
  }

  #header(chunk: Buffer, at: number): number {
    if (this.#partialBytes === 0 && chunk.length - at >= HEADER.size) {
      this.#begin(chunk, at);
      return at + HEADER.size;
    }
    const next = this.#fill(chunk, at, HEADER.size);
    if (this.#partialBytes < HEADER.size) return next;
    this.#partialBytes = 0;
    this.#begin(this.#partial, 0);
    return next;
  }

  #begin(from: Buffer, at: number): void {
    const length = HEADER.length.get(from, at);
    const stream = HEADER.stream.get(from, at);
    const type = HEADER.type.get(from, at);
    const flags = HEADER.flags.get(from, at);
    const rule = FRAME_RULES.get(type);
    if (rule === undefined) throw new FrameError('MALFORMED', `frame.type: there is no frame ${type}`);
    const { name } = rule;
    if (rule.from !== 'both' && rule.from !== this.#from)
      throw new FrameError('MALFORMED', `frame.type: ${name} is not the ${this.#from}'s to send`);
    if ((stream === 0) !== (rule.of === 'connection')) throw new FrameError('MALFORMED', `frame.stream: ${name} with stream ${stream}`);
    if ((flags & ~rule.flags) !== 0) throw new FrameError('MALFORMED', `frame.flags: ${name} with flags ${flags}`);
    if (length < rule.min || length > rule.max)
      throw new FrameError('MALFORMED', `frame.length: ${name} with ${length} bytes, not from ${rule.min} to ${rule.max}`);
    // A message has at least one byte, and so has each of its frames; END may go alone.
    if (type === DATA && length === 0 && flags !== END) throw new FrameError('MALFORMED', 'frame.length: DATA without END with 0 bytes');
    this.#type = type;
    this.#stream = stream;
    this.#flags = flags;
    this.#length = length;
    this.#left = length;
    if (type === DATA) this.#receiver.dataBegins(stream, length);
    if (length > 0 || this.#stopped) return;
    if (type === DATA) this.#receiver.data(stream, flags, NOTHING, 0);
    else this.#receiver.frame(type, stream, NOTHING);
  }

  #payload(chunk: Buffer, at: number): number {
    const end = at + Math.min(this.#left, chunk.length - at);
    const piece = chunk.subarray(at, end);
    this.#left -= piece.length;
    if (this.#type === DATA) {
      this.#receiver.data(this.#stream, this.#flags, piece, this.#left);
      return end;
    }
    if (piece.length === this.#length) {
      this.#receiver.frame(this.#type, this.#stream, piece);
      return end;
    }
    this.#whole ??= Buffer.allocUnsafe(this.#length);
    piece.copy(this.#whole, this.#length - this.#left - piece.length);
    if (this.#left > 0) return end;
    const whole = this.#whole;
    this.#whole = undefined;
    this.#receiver.frame(this.#type, this.#stream, whole);
    return end;
  }
}
