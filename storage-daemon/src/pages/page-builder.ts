import { decodeRecord, type Lsn, type WalRecord } from '@kube-aurora/pg-format';
import { encodePageKey, formatPage, redo, RedoError, touchedPages, type PageId, type TouchedPage } from '@kube-aurora/redo';
import { refReplaces, refSeq, type RedoIndex } from './redo-index.ts';
import type { Tombstones } from './tombstones.ts';
import type { RecordTable } from './record-table.ts';
import type { PageStore } from './page-store.ts';
import type { RedoLog } from '../redo-log/redo-log.ts';
import type { PageCache } from './page-cache.ts';

/**
 * A page at an LSN: its stored version and the redo between the two, or nothing where it was dropped or never was.
 * LSNs here are ends: "at lsn" means with every record that starts below it.
 */

/** The stored version is newer than the LSN asked for. */
export class TooOldError extends Error {
  constructor(page: PageId, lsn: number, have: number) {
    super(`${formatPage(page)} is kept from LSN ${have.toString(16)} on, not at ${lsn.toString(16)}`);
    this.name = 'TooOldError';
  }
}

export interface PageAt {
  /** Undefined: it does not exist at that LSN. The caller owns the buffer. */
  readonly page: Buffer | undefined;
  /** How many records were applied to get it. */
  readonly applied: number;
}

export interface PageSources {
  readonly log: RedoLog;
  readonly table: RecordTable;
  readonly index: RedoIndex;
  readonly tombstones: Tombstones;
  readonly store: PageStore;
  readonly cache: PageCache;
  /** The checkpoint: what was removed at or below it is not known to have been there. */
  readonly keptFrom: () => number;
  /** Pages were written as of LSNs up to this: of those that a tombstone below it removed the redo before the tombstone may be gone. */
  readonly writtenTo: () => number;
}

export class PageReader {
  readonly #from: PageSources;
  /** Moves whenever references are dropped, so that a read that was waiting does not cache what it began with. */
  #generation = 0;
  recordsApplied = 0;

  constructor(sources: PageSources) {
    this.#from = sources;
  }

  /** Must be told before references are dropped or annulled. */
  invalidate(): void {
    this.#generation++;
  }

  /** Throws TooOldError, StoredValueError, LogReadError, RedoError. */
  async pageAt(page: PageId, lsn: number): Promise<PageAt> {
    const { index, tombstones, cache, store, table } = this.#from;
    const generation = this.#generation;
    const key = encodePageKey(page).toString('latin1');
    const later = tombstones.lastTombstone(page, this.#from.writtenTo());
    if (later >= lsn) throw new TooOldError(page, lsn, later);
    const tombstone = tombstones.lastTombstone(page, lsn);
    const copy = tombstones.lastCopyInto(page, lsn);
    const floor = Math.max(tombstone, copy?.lsn ?? -1);

    const cached = cache.get(key);
    if (cached !== undefined && cached.lsn <= lsn && cached.lsn > floor) {
      const refs = index.refsOf(page);
      let applied = 0;
      try {
        applied = refs === undefined ? 0 : this.#apply(cached.page, page, refs, cached.lsn, lsn).applied;
      } catch (error) {
        cache.delete(key);
        throw error;
      }
      cached.lsn = lsn;
      return { page: Buffer.from(cached.page), applied };
    }

    // Taken before the store is asked: a checkpoint in between makes the version newer, and the references it has are skipped.
    const refs = collectRefs(index.refsOf(page), table, floor, lsn);
    let base: Buffer | undefined;
    let baseLsn = floor;
    if (refs.length === 0 || !refReplaces(refs[0] ?? 0)) {
      const records = this.#pin(refs);
      const version = await store.get(page);
      if (version !== undefined && version.lsn > lsn) throw new TooOldError(page, lsn, version.lsn);
      if (version !== undefined && version.lsn > floor) {
        base = version.page;
        baseLsn = version.lsn;
      } else if (copy !== undefined && copy.lsn >= tombstone) {
        const source = await this.pageAt({ ...page, spcOid: copy.from.spcOid, dbOid: copy.from.dbOid }, copy.lsn);
        base = source.page;
      }
      return this.#finish(page, key, base, records, baseLsn, lsn, generation);
    }
    return this.#finish(page, key, undefined, this.#pin(refs), baseLsn, lsn, generation);
  }

  /** Record numbers mean nothing once the table has moved on, so what they stand for is taken before any wait. */
  #pin(refs: readonly number[]): PinnedRecord[] {
    const { table } = this.#from;
    return refs.map((ref) => {
      const seq = refSeq(ref);
      return { lsn: table.lsn(seq), position: table.position(seq), bytes: table.recordBytes(seq) };
    });
  }

  #finish(
    page: PageId,
    key: string,
    base: Buffer | undefined,
    records: PinnedRecord[],
    baseLsn: number,
    lsn: number,
    generation: number,
  ): PageAt {
    let current = base;
    let applied = 0;
    for (const record of records) {
      if (record.lsn < baseLsn) continue;
      current = this.#applyOne(current, page, record);
      applied++;
    }
    // Of what is removed below the checkpoint nothing is left to tell what it was before.
    if (current === undefined && lsn < this.#from.keptFrom()) throw new TooOldError(page, lsn, this.#from.keptFrom());
    if (current !== undefined && applied > 0 && generation === this.#generation) this.#from.cache.put(key, lsn, Buffer.from(current));
    return { page: current, applied };
  }

  #apply(base: Buffer, page: PageId, refs: readonly number[], fromLsn: number, toLsn: number): { applied: number } {
    const { table } = this.#from;
    let applied = 0;
    for (let at = firstRefAt(refs, table, fromLsn); at < refs.length; at++) {
      const seq = refSeq(refs[at] ?? 0);
      const lsn = table.lsn(seq);
      if (lsn >= toLsn) break;
      this.#applyOne(base, page, { lsn, position: table.position(seq), bytes: table.recordBytes(seq) });
      applied++;
    }
    return { applied };
  }

  #applyOne(current: Buffer | undefined, page: PageId, at: PinnedRecord): Buffer {
    const lsn = BigInt(at.lsn) as Lsn;
    const record = decodeRecord(this.#from.log.reader.record(at.position, at.bytes, lsn), lsn);
    this.recordsApplied++;
    return redo(current, record, touchedOf(touchedPages(record, true), page, record));
  }
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

interface PinnedRecord {
  readonly lsn: number;
  readonly position: number;
  readonly bytes: number;
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
export function collectRefs(refs: readonly number[] | undefined, table: RecordTable, floor: number, lsn: number): number[] {
  if (refs === undefined) return [];
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
