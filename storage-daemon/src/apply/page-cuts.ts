import { SLRU_FORK, SLRU_KINDS, type Effect, type PageId } from '@kube-aurora/redo';

/**
 * Drops, truncations and copies of the un-merged part of the log, by LSN: what a page held before the last one that
 * covers it must never be served after it. Filled in LSN order.
 */

export interface Cut {
  /** Start of the record that did it. */
  readonly lsn: number;
  readonly effect: Exclude<Effect, { kind: 'copy-database' }>;
}

export interface DatabaseCopy {
  readonly lsn: number;
  readonly from: { readonly spcOid: number; readonly dbOid: number };
  readonly to: { readonly spcOid: number; readonly dbOid: number };
}

const SLRU_WRAP_HALF = 0x4000_0000;

export class PageCuts {
  readonly #byRelation = new Map<string, Cut[]>();
  readonly #byDatabase = new Map<string, Cut[]>();
  readonly #slru: Cut[] = [];
  #copies: DatabaseCopy[] = [];

  get copies(): readonly DatabaseCopy[] {
    return this.#copies;
  }

  add(lsn: number, effect: Effect): void {
    if (effect.kind === 'copy-database') {
      this.#copies.push({ lsn, from: effect.from, to: effect.to });
      return;
    }
    const cut: Cut = { lsn, effect };
    if (effect.kind === 'slru-truncate') this.#slru.push(cut);
    else if (effect.kind === 'drop-database') append(this.#byDatabase, `${effect.spcOid}/${effect.dbOid}`, cut);
    else append(this.#byRelation, relationKey(effect.kind === 'drop' ? effect.relation : effect.fork), cut);
  }

  /** LSN of the last cut at or below `lsn` that covers the page; -1 for none. */
  lastCut(page: PageId, lsn: number): number {
    let last = -1;
    if (page.fork === SLRU_FORK) {
      for (const cut of this.#slru) if (cut.lsn < lsn && covers(cut, page)) last = cut.lsn;
      return last;
    }
    if (this.#byRelation.size > 0) {
      for (const cut of this.#byRelation.get(relationKey(page)) ?? []) if (cut.lsn < lsn && covers(cut, page)) last = cut.lsn;
    }
    if (this.#byDatabase.size > 0) {
      for (const cut of this.#byDatabase.get(`${page.spcOid}/${page.dbOid}`) ?? []) if (cut.lsn < lsn && cut.lsn > last) last = cut.lsn;
    }
    return last;
  }

  /** The last copy below `lsn` that made the page's database; undefined for none. */
  lastCopyInto(page: PageId, lsn: number): DatabaseCopy | undefined {
    if (page.fork === SLRU_FORK) return undefined;
    return this.#copies.findLast((copy) => copy.lsn < lsn && copy.to.dbOid === page.dbOid && copy.to.spcOid === page.spcOid);
  }

  /** Does nothing that is noted here bear on any page of this one's fork? */
  spares(page: PageId): boolean {
    if (page.fork === SLRU_FORK) return this.#slru.length === 0;
    return (
      (this.#byRelation.size === 0 || !this.#byRelation.has(relationKey(page))) &&
      (this.#byDatabase.size === 0 || !this.#byDatabase.has(`${page.spcOid}/${page.dbOid}`)) &&
      (this.#copies.length === 0 || this.lastCopyInto(page, Infinity) === undefined)
    );
  }

  /** Is a copy out of this page's database still to be merged? Then its pages may not be merged past that copy. */
  isCopySource(page: PageId): boolean {
    return this.#copies.some((copy) => copy.from.dbOid === page.dbOid && copy.from.spcOid === page.spcOid);
  }

  /** Cuts below `lsn`, oldest first. */
  below(lsn: number): Cut[] {
    const cuts = [...this.#slru, ...[...this.#byRelation.values()].flat(), ...[...this.#byDatabase.values()].flat()];
    return cuts.filter((cut) => cut.lsn < lsn).toSorted((a, b) => a.lsn - b.lsn);
  }

  /** Forgets copies below `lsn`: their pages are stored. */
  dropCopiesBelow(lsn: number): void {
    this.#copies = this.#copies.filter((copy) => copy.lsn >= lsn);
  }

  /** Forgets cuts below `lsn`: what they cover is not stored any more. */
  dropCutsBelow(lsn: number): void {
    this.#slru.splice(0, this.#slru.findLastIndex((cut) => cut.lsn < lsn) + 1);
    for (const map of [this.#byRelation, this.#byDatabase]) {
      for (const [key, cuts] of map) {
        const kept = cuts.filter((cut) => cut.lsn >= lsn);
        if (kept.length > 0) map.set(key, kept);
        else map.delete(key);
      }
    }
  }

  clear(): void {
    this.#byRelation.clear();
    this.#byDatabase.clear();
    this.#slru.length = 0;
    this.#copies = [];
  }
}

function relationKey(relation: { spcOid: number; dbOid: number; relNumber: number }): string {
  return `${relation.spcOid}/${relation.dbOid}/${relation.relNumber}`;
}

function append(map: Map<string, Cut[]>, key: string, cut: Cut): void {
  const cuts = map.get(key);
  if (cuts === undefined) map.set(key, [cut]);
  else cuts.push(cut);
}

/** Given that the relation or database fits: is this page among what the cut removed? */
export function covers(cut: Cut, page: PageId): boolean {
  const { effect } = cut;
  switch (effect.kind) {
    case 'drop':
    case 'drop-database':
      return true;
    case 'truncate':
      return page.fork === effect.fork.fork && page.block >= effect.blocks;
    case 'slru-truncate': {
      if (page.fork !== SLRU_FORK || page.dbOid !== SLRU_KINDS[effect.slru]) return false;
      const { fromPage, beforePage } = effect;
      if (fromPage < 0) return page.block < beforePage && beforePage - page.block < SLRU_WRAP_HALF;
      return fromPage <= beforePage ? page.block >= fromPage && page.block < beforePage : page.block >= fromPage || page.block < beforePage;
    }
  }
}

/** Cuts as bytes: JSON, their LSNs as numbers (below 2^53). */
export function encodeCuts(cuts: readonly Cut[]): Buffer {
  return Buffer.from(JSON.stringify(cuts));
}

/** What `encodeCuts` made, read back from behind a CRC. */
export function decodeCuts(bytes: Buffer): Cut[] {
  return JSON.parse(bytes.toString('utf8')) as Cut[];
}
