import type { PageId, TouchedPage } from '@kube-aurora/redo';

/**
 * Which records change which page, for the part of the log past the checkpoint. A reference is
 * `seq * 2`, plus 1 when the record replaces the page whatever it held. Lists ascend by seq.
 */
export type PageRefs = number[];

interface ForkIndex {
  readonly spcOid: number;
  readonly dbOid: number;
  readonly relNumber: number;
  readonly fork: number;
  readonly pages: Map<number, PageRefs>;
}

export function refSeq(ref: number): number {
  return Math.floor(ref / 2);
}

export function refReplaces(ref: number): boolean {
  return ref % 2 === 1;
}

export class RedoIndex {
  /** By relation number first: nearly always one small list. */
  readonly #forks = new Map<number, ForkIndex[]>();
  #last: ForkIndex | undefined;
  #refs = 0;
  #pages = 0;
  #longest = 0;

  get refs(): number {
    return this.#refs;
  }

  get pages(): number {
    return this.#pages;
  }

  #find(page: Omit<PageId, 'block'>): ForkIndex | undefined {
    const last = this.#last;
    if (last !== undefined && isSame(last, page)) return last;
    const candidates = this.#forks.get(page.relNumber);
    if (candidates === undefined) return undefined;
    for (const candidate of candidates) if (isSame(candidate, page)) return (this.#last = candidate);
    return undefined;
  }

  /** Notes that record `seq` changes the page. Returns how many references the page has now. */
  add(page: TouchedPage, seq: number): number {
    let fork = this.#find(page);
    if (fork === undefined) {
      fork = { spcOid: page.spcOid, dbOid: page.dbOid, relNumber: page.relNumber, fork: page.fork, pages: new Map() };
      const candidates = this.#forks.get(page.relNumber);
      if (candidates === undefined) this.#forks.set(page.relNumber, [fork]);
      else candidates.push(fork);
      this.#last = fork;
    }
    const ref = seq * 2 + (page.replaces ? 1 : 0);
    const refs = fork.pages.get(page.block);
    this.#refs++;
    if (refs === undefined) {
      fork.pages.set(page.block, [ref]);
      this.#pages++;
      return 1;
    }
    const count = refs.push(ref);
    if (count > this.#longest) this.#longest = count;
    return count;
  }

  /** The page's references; undefined for none. Not to be kept across turns of the event loop. */
  refsOf(page: PageId): PageRefs | undefined {
    return this.#find(page)?.pages.get(page.block);
  }

  /** Drops a page's references to records below `seq`. */
  trimPage(page: PageId, seq: number): void {
    const fork = this.#find(page);
    const refs = fork?.pages.get(page.block);
    if (fork === undefined || refs === undefined) return;
    let count = 0;
    while (count < refs.length && refSeq(refs[count] ?? 0) < seq) count++;
    if (count === 0) return;
    this.#refs -= count;
    if (count < refs.length) fork.pages.set(page.block, refs.slice(count));
    else this.#removePage(fork, page.block);
  }

  #removePage(fork: ForkIndex, block: number): void {
    fork.pages.delete(block);
    this.#pages--;
    if (fork.pages.size > 0) return;
    const rest = (this.#forks.get(fork.relNumber) ?? []).filter((candidate) => candidate !== fork);
    if (rest.length > 0) this.#forks.set(fork.relNumber, rest);
    else this.#forks.delete(fork.relNumber);
    if (this.#last === fork) this.#last = undefined;
  }

  /** Forgets references to records from `seq` on: they were annulled. */
  truncateFrom(seq: number): void {
    for (const fork of [...this.#forks.values()].flat()) {
      for (const [block, refs] of fork.pages) {
        const before = refs.length;
        while (refs.length > 0 && refSeq(refs.at(-1) ?? 0) >= seq) refs.pop();
        this.#refs -= before - refs.length;
        if (refs.length === 0) this.#removePage(fork, block);
      }
    }
  }

  /** The most references that a page had at once since this was last asked. */
  takeLongest(): number {
    const longest = this.#longest;
    this.#longest = 0;
    for (const fork of this.#allForks()) for (const refs of fork.pages.values()) this.#longest = Math.max(this.#longest, refs.length);
    return Math.max(longest, this.#longest);
  }

  /** Pages with at least so many references. */
  pagesWith(refsMin: number): PageId[] {
    const pages: PageId[] = [];
    for (const { spcOid, dbOid, relNumber, fork, pages: blocks } of this.#allForks()) {
      for (const [block, refs] of blocks) if (refs.length >= refsMin) pages.push({ spcOid, dbOid, relNumber, fork, block });
    }
    return pages;
  }

  /** How many of a page's references are to records below `seq`. */
  countBelow(page: PageId, seq: number): number {
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

  *#allForks(): Generator<ForkIndex> {
    for (const forks of this.#forks.values()) yield* forks;
  }

  /** A copy of the list of pages that have references below `seq`. */
  pagesBelow(seq: number): PageId[] {
    const pages: PageId[] = [];
    for (const fork of this.#allForks()) collect(pages, fork, seq);
    return pages;
  }

  /** Pages of one database directory that have references below `seq`. */
  pagesOfDatabase(spcOid: number, dbOid: number, seq: number): PageId[] {
    const pages: PageId[] = [];
    for (const forks of this.#forks.values()) {
      for (const fork of forks) if (fork.spcOid === spcOid && fork.dbOid === dbOid) collect(pages, fork, seq);
    }
    return pages;
  }

  clear(): void {
    this.#forks.clear();
    this.#last = undefined;
    this.#refs = 0;
    this.#pages = 0;
  }
}

function isSame(a: Omit<PageId, 'block'>, b: Omit<PageId, 'block'>): boolean {
  return a.relNumber === b.relNumber && a.fork === b.fork && a.dbOid === b.dbOid && a.spcOid === b.spcOid;
}

function collect(pages: PageId[], fork: ForkIndex, seq: number): void {
  const { spcOid, dbOid, relNumber } = fork;
  for (const [block, refs] of fork.pages) {
    if (refSeq(refs[0] ?? 0) < seq) pages.push({ spcOid, dbOid, relNumber, fork: fork.fork, block });
  }
}
