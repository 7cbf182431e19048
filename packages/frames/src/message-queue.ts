import { DATA, END, FRAME_BYTES, FRAME_COST, MORE } from './frame-types.ts';
import type { Outbox } from './outbox.ts';

/**
 * Smaller pieces of a message than this are not sent before its stream's window has room for more; and one that fits one frame goes in one. A window
 * has room for either once the other end has dealt with what came: half of the smallest is more than a frame.
 */
const PIECE_BYTES_MIN = 16 * 1024;

/** Messages of one stream on their way, cut into DATA frames. Their bytes are kept as they were given. */
export class MessageQueue {
  #pieces: Buffer[] = [];
  /** For each piece, whether its message ends with it. */
  #ends: boolean[] = [];
  /** The piece that is under way, and how much of it was sent. */
  #head = 0;
  #sent = 0;
  #bytes = 0;
  /** Nothing follows what is here. */
  #isLast = false;

  /** Bytes that wait. */
  get bytes(): number {
    return this.#bytes;
  }

  get isEmpty(): boolean {
    return this.#head === this.#pieces.length;
  }

  push(piece: Buffer): void {
    this.#pieces.push(piece);
    this.#ends.push(true);
    this.#bytes += piece.length;
  }

  /** One message of one or more pieces. */
  pushPieces(pieces: readonly Buffer[]): void {
    for (const piece of pieces) this.push(piece);
    this.#ends.fill(false, this.#ends.length - pieces.length, this.#ends.length - 1);
  }

  /** The last message carries END. With none, END goes alone. */
  end(): void {
    this.#isLast = true;
  }

  /** Does what is here end the stream? */
  get carriesEnd(): boolean {
    return this.#isLast && !this.isEmpty;
  }

  clear(): void {
    this.#pieces = [];
    this.#ends = [];
    this.#head = 0;
    this.#sent = 0;
    this.#bytes = 0;
  }

  /** Sends one frame that costs at most `credit`; gives what it cost, 0 when the credit is too little for one. */
  send(out: Outbox, stream: number, credit: number): number {
    const first = this.#pieces[this.#head];
    if (first === undefined) return 0;
    const room = Math.min(FRAME_BYTES, credit - FRAME_COST);
    const parts: Buffer[] = [];
    let length = 0;
    let head = this.#head;
    let sent = this.#sent;
    let isWhole = false;
    while (!isWhole) {
      const piece = this.#pieces[head];
      if (piece === undefined) break;
      const rest = piece.length - sent;
      const take = Math.min(rest, room - length);
      if (take < rest) {
        const isShortOfCredit = length + rest <= FRAME_BYTES;
        if (isShortOfCredit || length + take < PIECE_BYTES_MIN) return 0;
        if (take > 0) parts.push(piece.subarray(sent, sent + take));
        length += take;
        sent += take;
        break;
      }
      parts.push(sent === 0 ? piece : piece.subarray(sent));
      length += rest;
      sent = 0;
      isWhole = this.#ends[head] === true;
      head++;
    }
    this.#head = head;
    this.#sent = sent;
    this.#bytes -= length;
    if (this.isEmpty) this.clear();
    else if (this.#head > 1024) this.#cut();
    out.frame(DATA, stream, (isWhole ? 0 : MORE) | (this.#isLast && this.isEmpty ? END : 0), parts);
    return length + FRAME_COST;
  }

  #cut(): void {
    this.#pieces = this.#pieces.slice(this.#head);
    this.#ends = this.#ends.slice(this.#head);
    this.#head = 0;
  }
}
