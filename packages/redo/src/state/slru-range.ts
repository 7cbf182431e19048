import { SLRU_MAX_PAGE } from '../slru/layout.ts';
import type { SlruName } from '../page-key.ts';

/**
 * Pages that an SLRU holds: from the first to the last in wrap-around order (numbers start again at 0 after the
 * highest).
 */
export class SlruRange {
  readonly slru: SlruName;
  #first = -1;
  #last = -1;

  constructor(slru: SlruName, first = -1, last = -1) {
    this.slru = slru;
    this.#first = first;
    this.#last = last;
  }

  /** -1 when there are no pages. */
  get first(): number {
    return this.#first;
  }

  get last(): number {
    return this.#last;
  }

  /** Number of pages. */
  get length(): number {
    return this.#first < 0 ? 0 : this.#distance(this.#first, this.#last) + 1;
  }

  /** Adds a page, which follows those that are there. */
  extend(page: number): void {
    if (this.#first < 0) this.#first = page;
    if (this.#last < 0 || this.#distance(this.#first, page) >= this.length) this.#last = page;
  }

  /**
   * Drops the pages before `page`. False, with nothing dropped, when there are none or when `page` lies past the end
   * ("apparent wraparound").
   */
  truncateBefore(page: number): boolean {
    if (this.#first < 0) return false;
    const dropped = this.#distance(this.#first, page);
    if (dropped === 0 || dropped >= this.length) return false;
    this.#first = page;
    return true;
  }

  clear(): void {
    this.#first = -1;
    this.#last = -1;
  }

  /** Page numbers in order. */
  *pages(): Generator<number> {
    const size = SLRU_MAX_PAGE[this.slru] + 1;
    for (let i = 0; i < this.length; i++) yield (this.#first + i) % size;
  }

  #distance(from: number, to: number): number {
    const size = SLRU_MAX_PAGE[this.slru] + 1;
    return (to - from + size) % size;
  }
}
