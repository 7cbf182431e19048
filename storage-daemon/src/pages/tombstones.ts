import { SLRU_FORK, SLRU_KINDS, type Effect, type PageId } from '@kube-aurora/redo';

/**
 * Drops, truncations and copies in the part of the log past the checkpoint, by LSN: what a page held before the last one that
 * covers it must never be served after it. Filled in LSN order.
 */

export interface Tombstone {
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

export class Tombstones {
  readonly #byRelation = new Map<string, Tombstone[]>();
  readonly #byDatabase = new Map<string, Tombstone[]>();
  readonly #slru: Tombstone[] = [];
  #copies: DatabaseCopy[] = [];

  get copies(): readonly DatabaseCopy[] {
    return this.#copies;
  }

  add(lsn: number, effect: Effect): void {
    if (effect.kind === 'copy-database') {
      this.#copies.push({ lsn, from: effect.from, to: effect.to });
      return;
    }
    const tombstone: Tombstone = { lsn, effect };
    if (effect.kind === 'slru-truncate') this.#slru.push(tombstone);
    else if (effect.kind === 'drop-database') append(this.#byDatabase, `${effect.spcOid}/${effect.dbOid}`, tombstone);
    else append(this.#byRelation, relationKey(effect.kind === 'drop' ? effect.relation : effect.fork), tombstone);
  }

  /** LSN of the last tombstone at or below `lsn` that covers the page; -1 for none. */
  lastTombstone(page: PageId, lsn: number): number {
    let last = -1;
    if (page.fork === SLRU_FORK) {
      for (const tombstone of this.#slru) if (tombstone.lsn < lsn && covers(tombstone, page)) last = tombstone.lsn;
      return last;
    }
    if (this.#byRelation.size > 0) {
      for (const tombstone of this.#byRelation.get(relationKey(page)) ?? [])
        if (tombstone.lsn < lsn && covers(tombstone, page)) last = tombstone.lsn;
    }
    if (this.#byDatabase.size > 0) {
      for (const tombstone of this.#byDatabase.get(`${page.spcOid}/${page.dbOid}`) ?? [])
        if (tombstone.lsn < lsn && tombstone.lsn > last) last = tombstone.lsn;
    }
    return last;
  }

  /** The last copy below `lsn` that made the page's database; undefined for none. */
  lastCopyInto(page: PageId, lsn: number): DatabaseCopy | undefined {
    if (page.fork === SLRU_FORK) return undefined;
    return this.#copies.findLast((copy) => copy.lsn < lsn && copy.to.dbOid === page.dbOid && copy.to.spcOid === page.spcOid);
  }

  /** Does nothing that is noted here bear on any page of this one's fork? */
  hasNone(page: PageId): boolean {
    if (page.fork === SLRU_FORK) return this.#slru.length === 0;
    return (
      (this.#byRelation.size === 0 || !this.#byRelation.has(relationKey(page))) &&
      (this.#byDatabase.size === 0 || !this.#byDatabase.has(`${page.spcOid}/${page.dbOid}`)) &&
      (this.#copies.length === 0 || this.lastCopyInto(page, Infinity) === undefined)
    );
  }

  /** Is a copy out of this page's database still to be stored? Then its pages may not be written as of a later LSN. */
  isCopySource(page: PageId): boolean {
    return this.#copies.some((copy) => copy.from.dbOid === page.dbOid && copy.from.spcOid === page.spcOid);
  }

  /** Tombstones below `lsn`, oldest first. */
  below(lsn: number): Tombstone[] {
    const tombstones = [...this.#slru, ...[...this.#byRelation.values()].flat(), ...[...this.#byDatabase.values()].flat()];
    return tombstones.filter((tombstone) => tombstone.lsn < lsn).toSorted((a, b) => a.lsn - b.lsn);
  }

  /** Forgets copies below `lsn`: their pages are stored. */
  dropCopiesBelow(lsn: number): void {
    this.#copies = this.#copies.filter((copy) => copy.lsn >= lsn);
  }

  /** Forgets tombstones below `lsn`: what they cover is not stored any more. */
  dropTombstonesBelow(lsn: number): void {
    this.#slru.splice(0, this.#slru.findLastIndex((tombstone) => tombstone.lsn < lsn) + 1);
    for (const map of [this.#byRelation, this.#byDatabase]) {
      for (const [key, tombstones] of map) {
        const kept = tombstones.filter((tombstone) => tombstone.lsn >= lsn);
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

function append(map: Map<string, Tombstone[]>, key: string, tombstone: Tombstone): void {
  const tombstones = map.get(key);
  if (tombstones === undefined) map.set(key, [tombstone]);
  else tombstones.push(tombstone);
}

/** Given that the relation or database fits: is this page among what the tombstone removed? */
export function covers(tombstone: Tombstone, page: PageId): boolean {
  const { effect } = tombstone;
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

/** Tombstones as bytes: JSON, their LSNs as numbers (below 2^53). */
export function encodeTombstones(tombstones: readonly Tombstone[]): Buffer {
  return Buffer.from(JSON.stringify(tombstones));
}

/** What `encodeCuts` made, read back from behind a CRC. */
export function decodeTombstones(bytes: Buffer): Tombstone[] {
  return JSON.parse(bytes.toString('utf8')) as Tombstone[];
}
