import type { Disk } from '../disk/disk.ts';
import { errnoOf, isStoreIoError } from '../disk/disk-room.ts';
import type { Clock } from '@kube-aurora/clock';
import { join } from 'node:path';
import { decodeVolumeState, type PageId, RedoError } from '@kube-aurora/redo';
import { annulPoint, lastEpoch, type EpochStart, type RedoBatchHeader } from '@kube-aurora/volume';
import { AnnulledAppliedError, Ingest } from '../apply/ingest.ts';
import { Merger } from '../apply/merger.ts';
import { decodeCuts, PageCuts, type Cut } from '../apply/page-cuts.ts';
import { RecordTable } from '../apply/record-table.ts';
import { RedoIndex } from '../apply/redo-index.ts';
import { PageStore, type Mark } from '../page-store/page-store.ts';
import { StoredValueError } from '../page-store/stored-value.ts';
import { LogReadError } from '../redo-log/log-errors.ts';
import type { LogDamage } from '../redo-log/log-recovery.ts';
import { RedoLog } from '../redo-log/redo-log.ts';
import { PageCache } from '../read/page-cache.ts';
import { PageReader, TooOldError, type PageAt } from '../read/page-reader.ts';
import type { SegmentLimits } from './limits.ts';
import type { SegmentControl } from './control-file.ts';

/** What a segment holds once it has a volume's data: log, pages, and what ties them together in memory. */

/** The stored pages or state cannot be used: they have to be copied from a peer. */
export class StoreUnusableError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'StoreUnusableError';
  }
}

export interface ContentHooks {
  readonly clock: Clock;
  /** Redo is on disk up to the log's durable end. */
  readonly onDurable: () => void;
  /** Ingest moved. */
  readonly onProgress: () => void;
  /** The log was found damaged in the middle, and is cut there once this has resolved. */
  readonly onLogDamage: (damage: LogDamage) => Promise<void>;
  /** The log's disk failed: nothing more can be accepted. */
  readonly onLogFailure: (error: Error) => void;
  /** Redo could not be applied, or stored data not be read: reads must stop. */
  readonly onDamage: (error: Error) => void;
  /** Fetches one page as of the LSN from a peer; undefined result page: it does not exist. Rejects when no peer can. */
  readonly fetchPage: (page: PageId, lsn: number) => Promise<Buffer | undefined>;
  /** Redo up to the mark is merged; the holder says up to where the log may be dropped. */
  readonly dropLimit: (mark: Mark) => bigint;
  readonly onCorruption: (kind: 'page' | 'log' | 'state', error: Error) => void;
  readonly onRepair: (kind: 'page' | 'log' | 'copy') => void;
}

const ZERO_PAGE = Buffer.alloc(8192);

interface Accepted {
  readonly header: RedoBatchHeader;
  readonly batch: Buffer;
  readonly position: number;
}

export function pagesDirectory(directory: string, generation: number): string {
  return join(directory, `pages-${generation}`);
}

export function logDirectory(directory: string, generation: number): string {
  return join(directory, `log-${generation}`);
}

export class SegmentContent {
  readonly log: RedoLog;
  readonly store: PageStore;
  readonly table: RecordTable;
  readonly index: RedoIndex;
  readonly cuts: PageCuts;
  readonly cache: PageCache;
  readonly reader: PageReader;
  readonly ingest: Ingest;
  readonly merger: Merger;
  readonly #hooks: ContentHooks;
  #accepted: Accepted[] = [];
  #pgmrpl: number;

  private constructor(parts: {
    log: RedoLog;
    store: PageStore;
    table: RecordTable;
    index: RedoIndex;
    cuts: PageCuts;
    ingest: Ingest;
    mark: Mark;
    owesRemovals: boolean;
    limits: SegmentLimits;
    hooks: ContentHooks;
  }) {
    const { log, store, table, index, cuts, ingest, limits, hooks } = parts;
    this.log = log;
    this.store = store;
    this.table = table;
    this.index = index;
    this.cuts = cuts;
    this.ingest = ingest;
    this.#hooks = hooks;
    this.#pgmrpl = Number(parts.mark.lsn);
    this.cache = new PageCache(limits.pageCacheBytes);
    const sources = {
      log,
      table,
      index,
      cuts,
      store,
      cache: this.cache,
      keptFrom: () => this.keptFrom,
      writtenTo: () => this.merger.writtenTo,
    };
    this.reader = new PageReader(sources);
    this.merger = new Merger({
      ...sources,
      reader: this.reader,
      ingest,
      limits: { bytes: limits.mergeBytes, refs: limits.mergeRefs, phase: limits.mergePhase },
      turns: { clock: hooks.clock, sliceMs: limits.sliceMs },
      mark: parts.mark,
      owesRemovals: parts.owesRemovals,
      readFloor: () => this.#pgmrpl,
      mend: (page, lsn) => this.#mend(page, lsn),
      repairPage: (page) => this.repairPage(page),
      onMerged: async (mark) => void (await log.dropBelow(hooks.dropLimit(mark))),
      onFailure: hooks.onDamage,
    });
    log.onDurable = () => this.#onDurable();
    log.onFailure = hooks.onLogFailure;
    ingest.onProgress = () => {
      this.merger.poke();
      hooks.onProgress();
    };
    ingest.onFailure = hooks.onDamage;
    ingest.onLongChain = (page) => this.merger.addLongChain(page);
  }

  /**
   * Opens what the control file points to. Throws StoreUnusableError when the pages must be copied from a peer, and
   * AnnulledAppliedError when its history rules out what its pages hold, or what is durable (`durableLsn`). Redo past `endLsn` is cut off:
   * it may look sound and never have reached the disk. Errors of the disk are thrown as they are.
   */
  static async open(
    disk: Disk,
    directory: string,
    control: SegmentControl,
    { durableLsn, endLsn }: { readonly durableLsn: bigint; readonly endLsn?: bigint | undefined },
    limits: SegmentLimits,
    hooks: ContentHooks,
  ): Promise<SegmentContent> {
    let store: PageStore;
    try {
      store = await PageStore.open(disk, pagesDirectory(directory, control.pagesGeneration), {
        cacheBytes: limits.levelCacheBytes,
        writeBufferBytes: limits.levelWriteBufferBytes,
      });
    } catch (error) {
      if (errnoOf(error) !== '' || isStoreIoError(error)) throw error;
      throw new StoreUnusableError(`the page store cannot be opened: ${String(error instanceof Error ? (error.cause ?? error) : error)}`);
    }
    let log: RedoLog | undefined;
    try {
      const { mark, state, removals } = await readMarkAndState(store, hooks);
      const table = new RecordTable();
      const index = new RedoIndex();
      const cuts = new PageCuts();
      for (const { lsn, effect } of removals) cuts.add(lsn, effect);
      const startLsn = Number(mark.lsn);
      let ingest: Ingest | undefined;
      const parts = (opened: RedoLog): Ingest =>
        (ingest ??= new Ingest({ log: opened, table, index, cuts, clock: hooks.clock }, state, startLsn, limits.chainMax));
      const later: Accepted[] = [];
      // Batches past the mark are indexed after the scan, read back through the log in pieces.
      log = await RedoLog.open(
        logDirectory(directory, control.logGeneration),
        { fileBytes: limits.logFileBytes, tailCacheBytes: limits.tailCacheBytes, disk, clock: hooks.clock },
        mark,
        (header, _bytes, position) => {
          if (header.endLsn > mark.lsn) later.push({ header, batch: Buffer.alloc(0), position });
          return Promise.resolve();
        },
        hooks.onLogDamage,
      );
      if (log.startLsn > mark.lsn) throw new StoreUnusableError(`the log starts at ${log.startLsn}, after the pages' mark ${mark.lsn}`);
      if (endLsn !== undefined && endLsn < log.tail.lsn && endLsn >= log.startLsn) await log.truncate(endLsn);
      if (log.tail.lsn < mark.lsn) await log.restart(mark);
      const annul = annulPoint(control.history, log.runs);
      const durable = durableLsn > mark.lsn ? durableLsn : mark.lsn;
      if (annul !== undefined && annul < durable) throw new AnnulledAppliedError(annul, durable, lastEpoch(control.history));
      if (annul !== undefined) await log.truncate(annul);
      const end = log.tail.lsn;
      const opened = parts(log);
      for (const { header, position } of later) {
        if (header.endLsn > end) break;
        opened.addNow(header, log.reader.batch(position, header.totalBytes), position);
        if (opened.recordsIndexed % 4096 < header.recordCount) await hooks.clock.turn();
      }
      const content = new SegmentContent({
        log,
        store,
        table,
        index,
        cuts,
        ingest: opened,
        mark,
        owesRemovals: removals.length > 0,
        limits,
        hooks,
      });
      content.merger.poke();
      return content;
    } catch (error) {
      await log?.close();
      await store.close();
      throw error;
    }
  }

  /** Below this LSN, the mark, not every page can be told any more. */
  get keptFrom(): number {
    return Number(this.merger.mark.lsn);
  }

  get pgmrpl(): number {
    return this.#pgmrpl;
  }

  notePgmrpl(lsn: number): void {
    if (lsn <= this.#pgmrpl) return;
    this.#pgmrpl = lsn;
    this.merger.poke();
  }

  /** Appends a checked batch that links to the log's tail. */
  append(header: RedoBatchHeader, batch: Buffer): void {
    const position = this.log.append(header, batch);
    this.#accepted.push({ header, batch, position });
  }

  #onDurable(): void {
    const end = this.log.durable.lsn;
    let count = 0;
    for (const { header, batch, position } of this.#accepted) {
      if (header.endLsn > end) break;
      this.ingest.add(header, batch, position);
      count++;
    }
    this.#accepted.splice(0, count);
    this.#hooks.onDurable();
  }

  /** Annuls what `history` rules out, which is nothing that was applied: the caller asked (`refuseHistory`). Returns whether anything was. */
  async annul(history: readonly EpochStart[]): Promise<boolean> {
    await this.log.flushed();
    const point = annulPoint(history, this.log.runs);
    if (point === undefined) return false;
    const applied = BigInt(this.ingest.appliedLsn);
    if (point < applied) throw new AnnulledAppliedError(point, applied, lastEpoch(history));
    const lsn = point;
    this.reader.invalidate();
    this.ingest.truncate(Number(lsn));
    this.cache.deletePast(Number(lsn));
    await this.log.truncate(lsn);
    return true;
  }

  /** A page as of `lsn`; a stored copy or log entry that is damaged is replaced by a peer's page first. */
  async pageAt(page: PageId, lsn: number): Promise<PageAt> {
    try {
      return await this.reader.pageAt(page, lsn);
    } catch (error) {
      if (!(error instanceof StoredValueError || error instanceof LogReadError)) throw error;
      this.#hooks.onCorruption(error instanceof LogReadError ? 'log' : 'page', error);
      // As of this LSN and no later one: a newer version could not answer.
      await this.repairPage(page, lsn);
      return this.reader.pageAt(page, lsn);
    }
  }

  /** Checks about `bytes` of the store's own files; damage there can only be made good by a copy. Gives the bytes checked. */
  async scrubTables(bytes: number): Promise<number> {
    try {
      return await this.store.scrubFiles(bytes);
    } catch (error) {
      if (!(error instanceof StoredValueError)) throw error;
      this.#hooks.onCorruption('page', error);
      this.#hooks.onDamage(error);
      return 0;
    }
  }

  /** Replaces the stored version of a page by a peer's as of `lsn`, at most what is applied here. */
  async repairPage(page: PageId, lsn = this.ingest.appliedLsn): Promise<void> {
    const bytes = await this.#hooks.fetchPage(page, lsn);
    await this.merger.exclusive(async () => {
      // A merge may have written a sound and newer one meanwhile.
      if ((await this.#storedLsn(page)) > lsn) return;
      // One that is gone by then gets a version all the same: redo from before it went is read again after a crash, and must be skipped.
      await this.store.write([{ page, version: { lsn, page: bytes ?? ZERO_PAGE } }]);
      this.reader.invalidate();
      this.cache.clear();
      this.index.trimPage(page, this.table.lowerBound(lsn));
    });
    this.#hooks.onRepair('page');
  }

  /** LSN of what is stored of a page; -1 when there is nothing, or nothing sound. */
  async #storedLsn(page: PageId): Promise<number> {
    try {
      return (await this.store.get(page))?.lsn ?? -1;
    } catch (error) {
      if (error instanceof StoredValueError) return -1;
      throw error;
    }
  }

  /** Has a page repaired whose stored data cannot be read. */
  async #mend(page: PageId, lsn: number): Promise<void> {
    try {
      await this.pageAt(page, lsn);
    } catch (error) {
      // What is stored is newer, and so needs no repair.
      if (!(error instanceof TooOldError)) throw error;
    }
  }

  async close(): Promise<void> {
    this.ingest.stop();
    await this.merger.stop();
    await this.log.close();
    await this.store.close();
  }
}

async function readMarkAndState(
  store: PageStore,
  hooks: ContentHooks,
): Promise<{ mark: Mark; state: ReturnType<typeof decodeVolumeState>; removals: Cut[] }> {
  try {
    const mark = await store.mark();
    const bytes = await store.state();
    if (mark === undefined || bytes === undefined) throw new StoreUnusableError('the page store has no mark or no state');
    const removals = await store.removals();
    return { mark, state: decodeVolumeState(bytes), removals: removals === undefined ? [] : decodeCuts(removals) };
  } catch (error) {
    if (error instanceof StoreUnusableError || error instanceof RedoError || errnoOf(error) !== '' || isStoreIoError(error)) throw error;
    const reason = error instanceof Error ? error : new Error(String(error));
    hooks.onCorruption('state', reason);
    throw new StoreUnusableError(reason.message);
  }
}
