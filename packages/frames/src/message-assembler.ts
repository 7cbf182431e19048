/** Puts the pieces of a message together: none is copied when it came in one, or when they are taken apart. */
export class MessageAssembler {
  #pieces: Buffer[] = [];
  #bytes = 0;

  /** Bytes of the message that is under way. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The whole message with its last piece, undefined before. */
  add(piece: Buffer, isLast: boolean): Buffer | undefined {
    if (isLast && this.#pieces.length === 0) return piece;
    if (piece.length > 0) this.#pieces.push(piece);
    this.#bytes += piece.length;
    if (!isLast) return undefined;
    const whole = Buffer.concat(this.#pieces, this.#bytes);
    this.clear();
    return whole;
  }

  /** The pieces of the whole message with its last one, undefined before. */
  addApart(piece: Buffer, isLast: boolean): readonly Buffer[] | undefined {
    if (piece.length > 0) this.#pieces.push(piece);
    this.#bytes += piece.length;
    if (!isLast) return undefined;
    const pieces = this.#pieces;
    this.clear();
    return pieces;
  }

  clear(): void {
    this.#pieces = [];
    this.#bytes = 0;
  }
}
