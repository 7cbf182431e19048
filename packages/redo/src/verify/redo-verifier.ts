import { type BlockRef, type Lsn, restoreBlockImage, type WalRecord } from '@kube-aurora/pg-format';
import { RMGRS } from '../rmgrs.ts';
import { RedoError } from '@kube-aurora/redo-engine';
import type { TouchedPage } from '../contract.ts';
import { formatPage, type PageId, SLRU_FORK } from '../page-key.ts';
import { setPageLsn } from '../page/header.ts';
import { redo } from '../redo.ts';
import { VM_FORK } from '../rmgr/visibility-map.ts';
import { applyEffects } from '../state/apply-effects.ts';
import { decodeVolumeState, encodeVolumeState } from '../state/codec.ts';
import { Postgres18State } from '../state/postgres18-state.ts';
import type { VolumeState } from '../state/volume-state.ts';
import { touchedPages } from '../touched-pages.ts';
import { type ComparedPage, comparePages, isLossyMapImage, type PageDifference } from './compare-pages.ts';
import type { PageStore } from './page-store.ts';

/** One page that replay made differently from what the writer had, or could not make at all. */
export interface Mismatch {
  readonly lsn: Lsn;
  readonly record: string;
  readonly page: string;
  readonly block: number | undefined;
  readonly difference: PageDifference | string;
}

/** How often a record type was seen, and how many of its pages were replayed and compared with an attached image. */
export interface Coverage {
  records: number;
  pages: number;
  compared: number;
  mismatches: number;
}

/**
 * Replays records natively onto pages in memory and compares each page with the image that
 * `wal_consistency_checking` attached to the record: PostgreSQL's page right after the change. A page that differs is
 * reported and replaced by the image, so that one fault is not reported again for each record that follows.
 */
export class RedoVerifier {
  readonly state: VolumeState;
  readonly pages: PageStore;
  readonly coverage = new Map<string, Coverage>();
  readonly mismatches: Mismatch[] = [];
  /** Which resource manager changed a page last, by {@link formatPage}: says how to mask it when files are compared. */
  readonly lastManager = new Map<string, number>();
  /** Visibility-map pages whose image left the map out. */
  readonly lossyMaps = new Set<string>();
  /** The state as a daemon brings it forward, which walks over most records: it must come to the same. */
  readonly #taken: Postgres18State;

  constructor(state: VolumeState, pages: PageStore) {
    this.state = state;
    this.#taken = new Postgres18State(decodeVolumeState(encodeVolumeState(state)));
    this.pages = pages;
  }

  /** Takes the next record. Throws RedoError when the state cannot follow it; pages that fail are reported instead. */
  apply(record: WalRecord): void {
    const name = RMGRS.recordName(record);
    const coverage = this.#coverageOf(name);
    coverage.records++;
    const pages = touchedPages(record, this.state.control.trackCommitTimestamp);
    this.#takeIn(record, name, pages);
    for (const touched of pages) {
      coverage.pages++;
      this.#applyToPage(record, touched, name, coverage);
    }
    for (const effect of applyEffects(this.state, record)) this.pages.apply(effect);
  }

  /** The state as a daemon has it after all of these records. */
  encodedAsTaken(): Buffer {
    return this.#taken.encode();
  }

  #takeIn({ raw, lsn }: WalRecord, name: string, pages: readonly TouchedPage[]): void {
    let at = 0;
    this.#taken.take(raw, 0, raw.length, Number(lsn), (space, block, replaces) => {
      const page = pages[at++];
      if (page?.space === space && page.block === block && page.replaces === replaces) return;
      const found = `taken in, its change ${at} is to block ${block} of ${Buffer.from(space, 'latin1').toString('hex')}, replacing ${replaces}`;
      this.mismatches.push({
        lsn,
        record: name,
        page: page === undefined ? 'none' : formatPage(page),
        block: undefined,
        difference: found,
      });
    });
    if (at >= pages.length) return;
    const difference = `taken in, it changes ${at} pages of ${pages.length}`;
    this.mismatches.push({ lsn, record: name, page: 'all', block: undefined, difference });
  }

  /** How a page is to be compared; `heapBlock` as in {@link ComparedPage}. */
  comparedPage(id: PageId, rmid: number, heapBlock: number | undefined): ComparedPage {
    const lossyMap = id.fork === VM_FORK && this.lossyMaps.has(formatPage(id));
    return { rmid, fork: id.fork, block: id.block, lossyMap, heapBlock };
  }

  #applyToPage(record: WalRecord, touched: TouchedPage, name: string, coverage: Coverage): void {
    const block = touched.blockIndex === undefined ? undefined : record.blocks[touched.blockIndex];
    if (touched.fork !== SLRU_FORK) {
      this.lastManager.set(formatPage(touched), record.rmid);
      if (block?.image?.apply === true && isLossyMapImage(touched.fork, block.image.holeLength)) this.lossyMaps.add(formatPage(touched));
    }
    const image = block?.image?.apply === false ? block.image : undefined;
    let difference: PageDifference | string | undefined;
    try {
      const page = redo(this.pages.get(touched), record, touched);
      this.pages.put(touched, page);
      if (image !== undefined) {
        coverage.compared++;
        difference = comparePages(
          this.comparedPage(touched, record.rmid, record.blocks.find(isHeap)?.blockNumber),
          restoreBlockImage(image),
          page,
        );
      }
    } catch (error) {
      if (!(error instanceof RedoError)) throw error;
      difference = error.message;
    }
    if (difference === undefined) return;
    coverage.mismatches++;
    this.mismatches.push({ lsn: record.lsn, record: name, page: formatPage(touched), block: block?.id, difference });
    if (image !== undefined) this.#adopt(touched, restoreBlockImage(image), record.endLsn);
  }

  #adopt(id: PageId, page: Buffer, endLsn: Lsn): void {
    setPageLsn(page, endLsn);
    this.pages.put(id, page);
  }

  #coverageOf(name: string): Coverage {
    let coverage = this.coverage.get(name);
    if (coverage === undefined) this.coverage.set(name, (coverage = { records: 0, pages: 0, compared: 0, mismatches: 0 }));
    return coverage;
  }
}

function isHeap(block: BlockRef): boolean {
  return block.fork === 0;
}

/** Coverage as lines of text, one a record type, in alphabetical order. */
export function formatCoverage(coverage: ReadonlyMap<string, Coverage>): string {
  const rows = [...coverage].sort(([a], [b]) => (a < b ? -1 : 1));
  const line = (name: string, ...columns: (string | number)[]): string =>
    `${name.padEnd(36)}${columns.map((column) => String(column).padStart(12)).join('')}`;
  return [
    line('record', 'records', 'pages', 'compared', 'different'),
    ...rows.map(([name, row]) => line(name, row.records, row.pages, row.compared, row.mismatches)),
  ].join('\n');
}
