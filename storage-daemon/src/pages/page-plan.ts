import { formatLsn, maxLsn } from '@kube-aurora/pg-format/lsn';
import type { PageKey, RedoEngine } from '@kube-aurora/redo-engine';
import type { RedoLog } from '../redo-log/redo-log.ts';
import type { CachedPage, PageCache } from './page-cache.ts';
import type { PageStore } from './page-store.ts';
import type { PageVersion } from './stored-pages.ts';
import type { RecordTable } from './record-table.ts';
import { refReplaces, refSeq, type RedoIndex } from './redo-index.ts';
import { NO_LSN, type SpaceCopy, type Tombstones } from './tombstones.ts';

/**
 * What a page at an LSN is made from: a base, which is in memory, stored or nothing, and the redo between it and the
 * LSN. LSNs here are ends: "at lsn" means with every record that starts below it.
 *
 *   floor ──────────── base ─────────────── lsn
 *   what the page was   has all redo         the records between are applied
 *   up to here is gone  below its LSN
 */

/** The page cannot be told as of the LSN asked for any more. */
export class TooOldError extends Error {
  constructor(page: string, lsn: bigint, have: bigint) {
    super(`${page} is kept from LSN ${formatLsn(have)} on, not at ${formatLsn(lsn)}`);
    this.name = 'TooOldError';
  }
}

/** Where everything about pages stands. */
export interface PageSources {
  readonly engine: RedoEngine;
  readonly log: RedoLog;
  readonly table: RecordTable;
  readonly index: RedoIndex;
  readonly tombstones: Tombstones;
  readonly store: PageStore;
  readonly cache: PageCache;
  /** The checkpoint: what was removed at or below it is not known to have been there. */
  readonly keptFrom: () => bigint;
  /**
   * Pages were written as of LSNs up to this: of those that a tombstone below it covers the redo before the tombstone
   * may be gone.
   */
  readonly writtenTo: () => bigint;
}

export interface PagePlan {
  readonly page: PageKey;
  readonly lsn: bigint;
  /** The last drop or copy that made the page anew, NO_LSN for none: no base at or below it counts. */
  readonly floor: bigint;
  /** The copy of spaces that the page came into being by, where nothing dropped it since. */
  readonly copy: SpaceCopy | undefined;
  /** The base where it is in memory; the cache's own. */
  readonly cached: CachedPage | undefined;
  /**
   * References past the floor or the cached base, from the last one that replaces the page on. Not to be kept across a
   * wait.
   */
  readonly refs: readonly number[];
}

/** `counts`: a page in memory counts as used, and stays there longer. */
export function planPage({ tombstones, cache, index, table }: PageSources, page: PageKey, lsn: bigint, counts: boolean): PagePlan {
  const dropped = tombstones.lastTombstone(page, lsn);
  const copied = tombstones.lastCopyInto(page, lsn);
  const floor = maxLsn(dropped, copied?.lsn ?? NO_LSN);
  const held = counts ? cache.get(page) : cache.peek(page);
  const cached = held !== undefined && held.lsn <= lsn && held.lsn > floor ? held : undefined;
  const refs = collectRefs(index.refsOf(page), table, cached === undefined ? floor : cached.lsn - 1n, lsn);
  return { page, lsn, floor, copy: copied !== undefined && copied.lsn >= dropped ? copied : undefined, cached, refs };
}

/**
 * Must the stored version be asked for? Not where the page is in memory, or its first record replaces it whatever it
 * held.
 */
export function needsStored({ cached, refs }: PagePlan): boolean {
  const [first] = refs;
  return cached === undefined && (first === undefined || !refReplaces(first));
}

export type Base =
  | { readonly kind: 'newer'; readonly lsn: bigint }
  /** What is stored is from before the floor, or nothing is. */
  | { readonly kind: 'none' }
  | { readonly kind: 'version'; readonly version: PageVersion };

/** What a stored version is for a plan. */
export function baseOf({ floor, lsn }: Pick<PagePlan, 'floor' | 'lsn'>, version: PageVersion | undefined): Base {
  if (version === undefined || version.lsn <= floor) return { kind: 'none' };
  return version.lsn > lsn ? { kind: 'newer', lsn: version.lsn } : { kind: 'version', version };
}

/** Index of the first reference whose record starts at or past `lsn`. */
function firstRefAt(refs: readonly number[], table: RecordTable, lsn: bigint): number {
  let low = 0;
  let high = refs.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (table.lsn(refSeq(refs[middle] ?? 0)) < lsn) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** References with floor < LSN < lsn, from the last one that replaces the page on. */
function collectRefs(refs: readonly number[] | undefined, table: RecordTable, floor: bigint, lsn: bigint): readonly number[] {
  if (refs === undefined) return NO_REFS;
  const end = firstRefAt(refs, table, lsn);
  const start = firstRefAt(refs, table, floor + 1n);
  let from = start;
  for (let at = end - 1; at > start; at--) {
    if (refReplaces(refs[at] ?? 0)) {
      from = at;
      break;
    }
  }
  return refs.slice(from, end);
}

const NO_REFS: readonly number[] = [];
