import type { WalRecord } from '@kube-aurora/pg-format';
import { formatPage, pageKeyText, RedoError, type PageId, type TouchedPage } from '@kube-aurora/redo';
import type { RedoLog } from '../redo-log/redo-log.ts';
import type { CachedPage, PageCache } from './page-cache.ts';
import type { PageStore, PageVersion } from './page-store.ts';
import type { RecordTable } from './record-table.ts';
import { refReplaces, refSeq, type RedoIndex } from './redo-index.ts';
import type { DatabaseCopy, Tombstones } from './tombstones.ts';

/**
 * What a page at an LSN is made from: a base, which is in memory, stored or nothing, and the redo between it and the LSN.
 * LSNs here are ends: "at lsn" means with every record that starts below it.
 *
 *   floor ──────────── base ─────────────── lsn
 *   what the page was   has all redo         the records between are applied
 *   up to here is gone  below its LSN
 */

/** The stored version is newer than the LSN asked for. */
export class TooOldError extends Error {
  constructor(page: PageId, lsn: number, have: number) {
    super(`${formatPage(page)} is kept from LSN ${have.toString(16)} on, not at ${lsn.toString(16)}`);
    this.name = 'TooOldError';
  }
}

/** Where everything about pages stands. */
export interface PageSources {
  readonly log: RedoLog;
  readonly table: RecordTable;
  readonly index: RedoIndex;
  readonly tombstones: Tombstones;
  readonly store: PageStore;
  readonly cache: PageCache;
  /** The checkpoint: what was removed at or below it is not known to have been there. */
  readonly keptFrom: () => number;
  /** Pages were written as of LSNs up to this: of those that a tombstone below it covers the redo before the tombstone may be gone. */
  readonly writtenTo: () => number;
}

export interface PagePlan {
  readonly page: PageId;
  readonly key: string;
  readonly lsn: number;
  /** The last drop, truncation or copy that made the page anew, -1 for none: no base at or below it counts. */
  readonly floor: number;
  /** The copy of a database that the page came into being by, where nothing dropped it since. */
  readonly copy: DatabaseCopy | undefined;
  /** The base where it is in memory; the cache's own. */
  readonly cached: CachedPage | undefined;
  /** References past the floor or the cached base, from the last one that replaces the page on. Not to be kept across a wait. */
  readonly refs: readonly number[];
}

/** `counts`: a page in memory counts as used, and stays there longer. */
export function planPage({ tombstones, cache, index, table }: PageSources, page: PageId, lsn: number, counts: boolean): PagePlan {
  const dropped = tombstones.lastTombstone(page, lsn);
  const copied = tombstones.lastCopyInto(page, lsn);
  const floor = Math.max(dropped, copied?.lsn ?? -1);
  const key = pageKeyText(page);
  const held = counts ? cache.get(key) : cache.peek(key);
  const cached = held !== undefined && held.lsn <= lsn && held.lsn > floor ? held : undefined;
  const refs = collectRefs(index.refsOf(page), table, cached === undefined ? floor : cached.lsn - 1, lsn);
  return { page, key, lsn, floor, copy: copied !== undefined && copied.lsn >= dropped ? copied : undefined, cached, refs };
}

/** Must the stored version be asked for? Not where the page is in memory, or its first record replaces it whatever it held. */
export function needsStored({ cached, refs }: PagePlan): boolean {
  const [first] = refs;
  return cached === undefined && (first === undefined || !refReplaces(first));
}

export type Base =
  | { readonly kind: 'newer'; readonly lsn: number }
  /** What is stored is from before the floor, or nothing is. */
  | { readonly kind: 'none' }
  | { readonly kind: 'version'; readonly version: PageVersion };

/** What a stored version is for a plan. */
export function baseOf({ floor, lsn }: Pick<PagePlan, 'floor' | 'lsn'>, version: PageVersion | undefined): Base {
  if (version === undefined || version.lsn <= floor) return { kind: 'none' };
  return version.lsn > lsn ? { kind: 'newer', lsn: version.lsn } : { kind: 'version', version };
}

/** The one of a record's touched pages that is `page`. Throws RedoError when there is none. */
export function touchedOf(touched: readonly TouchedPage[], page: PageId, record: WalRecord): TouchedPage {
  for (const one of touched) {
    if (
      one.block === page.block &&
      one.relNumber === page.relNumber &&
      one.fork === page.fork &&
      one.dbOid === page.dbOid &&
      one.spcOid === page.spcOid
    ) {
      return one;
    }
  }
  throw new RedoError('the index names a record that does not change the page', {
    lsn: record.lsn,
    record: `rmgr ${record.rmid}`,
    page: formatPage(page),
  });
}

/** Index of the first reference whose record starts at or past `lsn`. */
function firstRefAt(refs: readonly number[], table: RecordTable, lsn: number): number {
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
function collectRefs(refs: readonly number[] | undefined, table: RecordTable, floor: number, lsn: number): readonly number[] {
  if (refs === undefined) return NO_REFS;
  const end = firstRefAt(refs, table, lsn);
  const start = firstRefAt(refs, table, floor + 1);
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
