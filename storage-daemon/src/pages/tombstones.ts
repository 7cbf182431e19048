import { compareLsn } from '@kube-aurora/pg-format/lsn';
import type { PageEffect, PageKey } from '@kube-aurora/redo-engine';

/**
 * Drops and copies in the part of the log past the checkpoint, by LSN: what a page held before the last one that
 * covers it must never be served after it. Filled in LSN order.
 */

export interface Tombstone {
  /** Start of the record that did it. */
  readonly lsn: bigint;
  readonly effect: Exclude<PageEffect, { kind: 'copy-spaces' }>;
}

/** Spaces that begin with `from` were copied: each page exists in the space that begins with `to` instead as well. */
export interface SpaceCopy {
  readonly lsn: bigint;
  readonly from: string;
  readonly to: string;
}

/** Before every LSN. */
export const NO_LSN = -1n;

export class Tombstones {
  /** Of blocks, by their space. */
  readonly #bySpace = new Map<string, Tombstone[]>();
  /** Of whole spaces: by how many characters of a space decide, then by those. There are two or three such lengths. */
  readonly #byPrefix = new Map<number, Map<string, Tombstone[]>>();
  #copies: SpaceCopy[] = [];

  get copies(): readonly SpaceCopy[] {
    return this.#copies;
  }

  add(lsn: bigint, effect: PageEffect): void {
    switch (effect.kind) {
      case 'copy-spaces':
        this.#copies.push({ lsn, from: effect.from, to: effect.to });
        return;
      case 'drop-blocks':
        append(this.#bySpace, effect.space, { lsn, effect });
        return;
      case 'drop-spaces': {
        const { length } = effect.spaces;
        let ofLength = this.#byPrefix.get(length);
        if (ofLength === undefined) this.#byPrefix.set(length, (ofLength = new Map()));
        append(ofLength, effect.spaces, { lsn, effect });
      }
    }
  }

  /** LSN of the last tombstone below `lsn` that covers the page; NO_LSN for none. */
  lastTombstone(page: PageKey, lsn: bigint): bigint {
    let last = NO_LSN;
    if (this.#bySpace.size > 0) last = lastOf(this.#bySpace.get(page.space), page, lsn, last);
    for (const [length, ofLength] of this.#byPrefix) last = lastOf(ofLength.get(page.space.slice(0, length)), page, lsn, last);
    return last;
  }

  /** The last copy below `lsn` that made the page's space; undefined for none. */
  lastCopyInto(page: PageKey, lsn: bigint): SpaceCopy | undefined {
    return this.#copies.findLast((copy) => copy.lsn < lsn && page.space.startsWith(copy.to));
  }

  /** Is a copy out of this page's space still to be stored? Then the page may not be written as of a later LSN. */
  isCopySource(page: PageKey): boolean {
    return this.#copies.some((copy) => page.space.startsWith(copy.from));
  }

  /** Tombstones below `lsn`, oldest first. */
  below(lsn: bigint): Tombstone[] {
    const tombstones = [this.#bySpace, ...this.#byPrefix.values()].flatMap((map) => [...map.values()].flat());
    return tombstones.filter((tombstone) => tombstone.lsn < lsn).toSorted((a, b) => compareLsn(a.lsn, b.lsn));
  }

  /** Forgets copies below `lsn`: their pages are stored. */
  dropCopiesBelow(lsn: bigint): void {
    this.#copies = this.#copies.filter((copy) => copy.lsn >= lsn);
  }

  /** Forgets tombstones below `lsn`: what they cover is not stored any more. */
  dropTombstonesBelow(lsn: bigint): void {
    for (const map of [this.#bySpace, ...this.#byPrefix.values()]) {
      for (const [key, tombstones] of map) {
        const kept = tombstones.filter((tombstone) => tombstone.lsn >= lsn);
        if (kept.length > 0) map.set(key, kept);
        else map.delete(key);
      }
    }
    for (const [length, ofLength] of this.#byPrefix) if (ofLength.size === 0) this.#byPrefix.delete(length);
  }
}

function append(map: Map<string, Tombstone[]>, key: string, tombstone: Tombstone): void {
  const tombstones = map.get(key);
  if (tombstones === undefined) map.set(key, [tombstone]);
  else tombstones.push(tombstone);
}

function lastOf(tombstones: readonly Tombstone[] | undefined, page: PageKey, lsn: bigint, last: bigint): bigint {
  const found = tombstones?.findLast((tombstone) => tombstone.lsn < lsn && covers(tombstone, page));
  return found !== undefined && found.lsn > last ? found.lsn : last;
}

/** Is this page among what the tombstone removed? */
export function covers({ effect }: Tombstone, { space, block }: PageKey): boolean {
  if (effect.kind === 'drop-spaces') return space.startsWith(effect.spaces);
  return space === effect.space && block >= effect.from && block < effect.before;
}

/** Tombstones as bytes: JSON, their LSNs as numbers. Those are exact below 2^53, which is 8 PiB of WAL. */
export function encodeTombstones(tombstones: readonly Tombstone[]): Buffer {
  return Buffer.from(JSON.stringify(tombstones.map(({ lsn, effect }) => ({ lsn: Number(lsn), effect }))));
}

const KINDS: Readonly<Record<Tombstone['effect']['kind'], true>> = { 'drop-spaces': true, 'drop-blocks': true };

/**
 * What `encodeTombstones` made, read back from behind a CRC. Throws RangeError for what another release wrote and this
 * one does not know.
 */
export function decodeTombstones(bytes: Buffer): Tombstone[] {
  const read = JSON.parse(bytes.toString('utf8')) as readonly { readonly lsn: number; readonly effect: Tombstone['effect'] }[];
  const unknown = read.find(({ effect }) => !Object.hasOwn(KINDS, effect.kind));
  if (unknown !== undefined) throw new RangeError(`removals: '${unknown.effect.kind}' is not known here`);
  return read.map(({ lsn, effect }) => ({ lsn: BigInt(lsn), effect }));
}
