import { forkKey, partOf, type ForkName, type PageRange } from './page-range.ts';

/**
 * What is read ahead when PostgreSQL asks for a page of a database for the first time since its start: of the relations that it has not named yet the
 * small ones, which are the catalogs. Whoever connects first reads some two hundred pages of them, and CREATE DATABASE all of its template's, one
 * after another, each in a relation that no run of blocks leads to.
 */

/** Longer ones have runs of their own (sequential-reads.ts), or are read at random. */
const SMALL_BLOCKS = 128;
/** Of one database: 8 MiB, a little more than its catalogs have. */
const PAGES_MAX = 1024;
/** Of one request: half a MiB, and several are on their way at once, to different segments. */
const REQUEST_PAGES = 64;

/** A fork that the volume has and PostgreSQL has not named since its start: none of its blocks is here. */
export interface UntouchedFork {
  readonly relNumber: number;
  readonly fork: number;
  readonly blocks: number;
}

/** Forks of which it is remembered that they were read ahead as a whole: those of some sixteen databases. */
const FORKS_MAX = 8192;

/** Tells the first request for a page of each database from all others, and forks that were read ahead as a whole. */
export class FirstTouch {
  readonly #touched = new Set<string>();
  /** With their blocks. */
  readonly #whole = new Map<string, number>();

  /** Is it the first of its database? */
  note({ spcOid, dbOid }: ForkName): boolean {
    const key = `${spcOid}/${dbOid}`;
    if (this.#touched.has(key)) return false;
    this.#touched.add(key);
    return true;
  }

  /** These are read ahead. */
  readAhead(ranges: readonly PageRange[]): void {
    for (const range of ranges) {
      const key = forkKey(range);
      // A fork's ranges come in their order.
      this.#whole.set(key, range.block + range.count);
      if (this.#whole.size <= FORKS_MAX) continue;
      const [oldest] = this.#whole.keys();
      if (oldest !== undefined) this.#whole.delete(oldest);
    }
  }

  /** Was all of the fork read ahead that these are of? While they are at hand no run needs to be looked for in it, which would go on past its end. */
  wasReadWhole(range: PageRange): boolean {
    return range.block + range.count <= (this.#whole.get(forkKey(range)) ?? 0);
  }
}

/** Requests for the small ones of a database's forks, catalogs first, of `pagesMax` pages in all at most. */
export function firstTouchReads({ spcOid, dbOid }: ForkName, forks: readonly UntouchedFork[], pagesMax: number): PageRange[][] {
  const small = forks.filter(({ blocks }) => blocks > 0 && blocks <= SMALL_BLOCKS).toSorted((a, b) => a.relNumber - b.relNumber);
  const requests: PageRange[][] = [];
  let left = Math.min(PAGES_MAX, pagesMax);
  let room = 0;
  for (const { relNumber, fork, blocks } of small) {
    if (blocks > left) break;
    left -= blocks;
    for (let block = 0; block < blocks;) {
      if (room === 0) {
        requests.push([]);
        room = REQUEST_PAGES;
      }
      const count = Math.min(room, blocks - block);
      requests.at(-1)?.push(partOf({ spcOid, dbOid, relNumber, fork }, block, count));
      room -= count;
      block += count;
    }
  }
  return requests;
}
