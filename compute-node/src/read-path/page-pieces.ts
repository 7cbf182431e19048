import { PAGE_BYTES, PAGE_HEADER_BYTES } from '@kube-aurora/pg-format';

/**
 * Neighbouring pages, in the pieces in which they came from the network, which end anywhere. They are given on as they
 * are: a copy of every page would be garbage as soon as PostgreSQL has it.
 */
export class PagePieces {
  readonly byteLength: number;
  readonly #pieces: readonly Buffer[];

  constructor(pieces: readonly Buffer[]) {
    this.#pieces = pieces;
    this.byteLength = pieces.reduce((sum, piece) => sum + piece.length, 0);
  }

  /** `count` pages from the page `from` on, as views. */
  pages(from: number, count: number): Buffer[] {
    return this.#bytes(from * PAGE_BYTES, (from + count) * PAGE_BYTES);
  }

  /** A page's header; a copy only where a piece ends in it. */
  header(page: number): Buffer {
    const parts = this.#bytes(page * PAGE_BYTES, page * PAGE_BYTES + PAGE_HEADER_BYTES);
    return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts);
  }

  #bytes(from: number, to: number): Buffer[] {
    const views: Buffer[] = [];
    let start = 0;
    for (const piece of this.#pieces) {
      const end = start + piece.length;
      if (end > from && start < to) views.push(piece.subarray(Math.max(0, from - start), Math.min(piece.length, to - start)));
      if (end >= to) break;
      start = end;
    }
    return views;
  }
}
