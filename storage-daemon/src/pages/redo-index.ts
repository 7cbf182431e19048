import type { PageKey } from '@kube-aurora/redo-engine';

/**
 * Which records change which page, for the part of the log past the checkpoint. A reference is
 * `seq * 2`, plus 1 when the record replaces the page whatever it held. Lists ascend by seq.
 */
export type PageRefs = number[];

interface SpaceIndex {
  readonly space: string;
  /** By block. */
  readonly pages: Map<number, PageRefs>;
}

export function refSeq(ref: number): number {
  return Math.floor(ref / 2);
}

export function refReplaces(ref: number): boolean {
  return ref % 2 === 1;
}

export class RedoIndex {
  readonly #spaces = new Map<string, SpaceIndex>();
  /** Records in a row tend to change one space, or two in turns: a table and its index. */
  #last: SpaceIndex | undefined;
  #beforeLast: SpaceIndex | undefined;
  #refs = 0;
  #pages = 0;
  #longest = 0;

  get refs(): number {
    return this.#refs;
  }

  get pages(): number {
    return this.#pages;
  }

  #find(space: string): SpaceIndex | undefined {
    const last = this.#last;
    if (last !== undefined && last.space === space) return last;
    const before = this.#beforeLast;
    const found = before !== undefined && before.space === space ? before : this.#spaces.get(space);
    if (found !== undefined) this.#foundLast(found);
    return found;
  }

  #foundLast(space: SpaceIndex): void {
    this.#beforeLast = this.#last;
    this.#last = space;
  }

  #forgetLast(): void {
    this.#last = undefined;
    this.#beforeLast = undefined;
  }

  /** Notes that record `seq` changes the page. Returns how many references the page has now. */
  add(space: string, block: number, replaces: boolean, seq: number): number {
    const pages = this.#pagesOf(space);
    const ref = seq * 2 + (replaces ? 1 : 0);
    const refs = pages.get(block);
    if (refs === undefined) {
      pages.set(block, [ref]);
      this.#pages++;
    } else refs.push(ref);
    return this.#added(1, refs?.length ?? 1);
  }

  /** The same of many records, at least one, `refs` from `from` up to `to`: their numbers count from `seq` on. */
  addMany(space: string, block: number, seq: number, refs: Uint32Array, from: number, to: number): number {
    const pages = this.#pagesOf(space);
    const count = to - from;
    let known = pages.get(block);
    if (known === undefined) {
      known = [seq * 2 + (refs[from] ?? 0)];
      from++;
      pages.set(block, known);
      this.#pages++;
    }
    for (let at = from; at < to; at++) known.push(seq * 2 + (refs[at] ?? 0));
    return this.#added(count, known.length);
  }

  #pagesOf(space: string): Map<number, PageRefs> {
    const found = this.#find(space);
    if (found !== undefined) return found.pages;
    const made = { space, pages: new Map<number, PageRefs>() };
    this.#spaces.set(space, made);
    this.#foundLast(made);
    return made.pages;
  }

  #added(refs: number, count: number): number {
    this.#refs += refs;
    if (count > this.#longest) this.#longest = count;
    return count;
  }

  /** The page's references; undefined for none. Not to be kept across turns of the event loop. */
  refsOf({ space, block }: PageKey): PageRefs | undefined {
    return this.#find(space)?.pages.get(block);
  }

  /** Drops a page's references to records below `seq`. */
  trimPage({ space, block }: PageKey, seq: number): void {
    const found = this.#find(space);
    const refs = found?.pages.get(block);
    if (found === undefined || refs === undefined) return;
    let count = 0;
    while (count < refs.length && refSeq(refs[count] ?? 0) < seq) count++;
    if (count === 0) return;
    this.#refs -= count;
    if (count < refs.length) found.pages.set(block, refs.slice(count));
    else this.#removePage(found, block);
  }

  #removePage(of: SpaceIndex, block: number): void {
    of.pages.delete(block);
    this.#pages--;
    if (of.pages.size > 0) return;
    this.#spaces.delete(of.space);
    this.#forgetLast();
  }

  /** The most references that a page had at once since this was last asked. */
  takeLongest(): number {
    const longest = this.#longest;
    this.#longest = 0;
    for (const { pages } of this.#spaces.values()) {
      for (const refs of pages.values()) this.#longest = Math.max(this.#longest, refs.length);
    }
    return Math.max(longest, this.#longest);
  }

  /** Pages with at least so many references. */
  pagesWith(refsMin: number): PageKey[] {
    const found: PageKey[] = [];
    for (const { space, pages } of this.#spaces.values()) {
      for (const [block, refs] of pages) if (refs.length >= refsMin) found.push({ space, block });
    }
    return found;
  }

  /** How many of a page's references are to records below `seq`. */
  countBelow(page: PageKey, seq: number): number {
    const refs = this.refsOf(page) ?? [];
    let low = 0;
    let high = refs.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (refSeq(refs[middle] ?? 0) < seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /**
   * A copy of the list of pages that have references below `seq`, in key order: neighbours tend to share records, and
   * tables of the store. Of the spaces that begin with `spaces` alone, where it is given.
   */
  pagesBelow(seq: number, spaces = ''): PageKey[] {
    const found: PageKey[] = [];
    const matching = [...this.#spaces.values()].filter(({ space }) => space.startsWith(spaces));
    for (const { space, pages } of matching.sort((a, b) => (a.space < b.space ? -1 : 1))) {
      const blocks: number[] = [];
      for (const [block, refs] of pages) if (refSeq(refs[0] ?? 0) < seq) blocks.push(block);
      for (const block of Uint32Array.from(blocks).sort()) found.push({ space, block });
    }
    return found;
  }

  clear(): void {
    this.#spaces.clear();
    this.#forgetLast();
    this.#refs = 0;
    this.#pages = 0;
  }
}
