import type { Disk } from '../disk/disk.ts';
import { errnoOf, isStoreIoError } from '../disk/disk-room.ts';
import type { Clock } from '@kube-aurora/clock';
import { join } from 'node:path';
import { decodeVolumeState, type PageId, RedoError } from '@kube-aurora/redo';
import { annulPoint, lastEpoch, type EpochStart, type RedoBatchHeader } from '@kube-aurora/volume';
import { AnnulledAppliedError, Applier } from '../checkpoint/applier.ts';
import { Checkpointer } from '../checkpoint/checkpointer.ts';
import { decodeTombstones, Tombstones, type Tombstone } from '../pages/tombstones.ts';
import { RecordTable } from '../pages/record-table.ts';
import { RedoIndex } from '../pages/redo-index.ts';
import { PageStore, type Checkpoint } from '../pages/page-store.ts';
import { StoredValueError } from '../pages/stored-value.ts';
import type { LogDamage } from '../redo-log/log-recovery.ts';
import { RedoLog } from '../redo-log/redo-log.ts';
import { PageCache } from '../pages/page-cache.ts';
import { PageBuilder } from '../pages/page-builder.ts';
import { PageTurn } from '../pages/page-turn.ts';
import { RepairingReader } from '../pages/repairing-reader.ts';
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

export interface SegmentStorageHooks {
  readonly clock: Clock;
  /** Redo is on disk up to the log's durable end. */
  readonly onDurable: () => void;
  /** The applier moved. */
  readonly onProgress: () => void;
  /** The log was found damaged in the middle, and is cut there once this has resolved. */
  readonly onLogDamage: (damage: LogDamage) => Promise<void>;
  /** The log's disk failed: nothing more can be accepted. */
  readonly onLogFailure: (error: Error) => void;
  /** Redo could not be applied, or stored data not be read: reads must stop. */
  readonly onDamage: (error: Error) => void;
  /** Fetches one page as of the LSN from a peer; undefined result page: it does not exist. Rejects when no peer can. */
  readonly fetchPage: (page: PageId, lsn: number) => Promise<Buffer | undefined>;
  /** A checkpoint was made; the holder says up to where the log may be dropped. */
  readonly dropLimit: (checkpoint: Checkpoint) => bigint;
  readonly onCorruption: (kind: 'page' | 'log' | 'state', error: Error) => void;
  readonly onRepair: (kind: 'page' | 'log' | 'copy') => void;
}

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

export class SegmentStorage {
  readonly log: RedoLog;
  readonly store: PageStore;
  readonly table: RecordTable;
  readonly index: RedoIndex;
  readonly tombstones: Tombstones;
  readonly cache: PageCache;
  readonly builder: PageBuilder;
  readonly reader: RepairingReader;
  readonly applier: Applier;
  readonly checkpointer: Checkpointer;
  readonly #hooks: SegmentStorageHooks;
  #accepted: Accepted[] = [];
  #pgmrpl: number;

  private constructor(parts: {
    log: RedoLog;
    store: PageStore;
    table: RecordTable;
    index: RedoIndex;
    tombstones: Tombstones;
    applier: Applier;
    checkpoint: Checkpoint;
    hasRemovalsDue: boolean;
    limits: SegmentLimits;
    hooks: SegmentStorageHooks;
  }) {
    const { log, store, table, index, tombstones, applier, limits, hooks } = parts;
    this.log = log;
    this.store = store;
    this.table = table;
    this.index = index;
    this.tombstones = tombstones;
    this.applier = applier;
    this.#hooks = hooks;
    this.#pgmrpl = Number(parts.checkpoint.lsn);
    this.cache = new PageCache(limits.pageCacheBytes);
    const sources = {
      log,
      table,
      index,
      tombstones,
      store,
      cache: this.cache,
      keptFrom: () => this.keptFrom,
      writtenTo: () => this.checkpointer.writtenTo,
    };
    this.builder = new PageBuilder(sources);
    const turn = new PageTurn();
    this.reader = new RepairingReader({
      ...sources,
      builder: this.builder,
      turn,
      appliedLsn: () => applier.appliedLsn,
      fetchPage: hooks.fetchPage,
      onCorruption: hooks.onCorruption,
      onRepair: () => hooks.onRepair('page'),
    });
    this.checkpointer = new Checkpointer({
      ...sources,
      builder: this.builder,
      reader: this.reader,
      turn,
      applier,
      limits: { bytes: limits.checkpointBytes, refs: limits.checkpointRefs, stagger: limits.checkpointStagger },
      turns: { clock: hooks.clock, sliceMs: limits.sliceMs },
      checkpoint: parts.checkpoint,
      hasRemovalsDue: parts.hasRemovalsDue,
      readFloor: () => this.#pgmrpl,
      onCheckpoint: async (checkpoint) => void (await log.dropBelow(hooks.dropLimit(checkpoint))),
      onFailure: hooks.onDamage,
    });
    applier.onProgress = () => {
      this.checkpointer.maybeStart();
      hooks.onProgress();
    };
    applier.onFailure = hooks.onDamage;
    applier.onLongChain = (page) => this.checkpointer.addLongChain(page);
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
    hooks: SegmentStorageHooks,
  ): Promise<SegmentStorage> {
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
    // Nothing is appended, and so nothing becomes durable, before it is there.
    let storage: SegmentStorage | undefined;
    try {
      const { checkpoint, state, removals } = await readCheckpoint(store, hooks);
      const table = new RecordTable();
      const index = new RedoIndex();
      const tombstones = new Tombstones();
      for (const { lsn, effect } of removals) tombstones.add(lsn, effect);
      const startLsn = Number(checkpoint.lsn);
      let applier: Applier | undefined;
      const parts = (opened: RedoLog): Applier =>
        (applier ??= new Applier({ log: opened, table, index, tombstones, clock: hooks.clock }, state, startLsn, limits.chainMax));
      const later: Accepted[] = [];
      // Batches past the checkpoint are indexed after the scan, read back through the log in pieces.
      log = await RedoLog.open(
        logDirectory(directory, control.logGeneration),
        {
          fileBytes: limits.logFileBytes,
          tailCacheBytes: limits.tailCacheBytes,
          disk,
          clock: hooks.clock,
          onDurable: () => {
            if (storage !== undefined) storage.#onDurable();
          },
          onFailure: hooks.onLogFailure,
        },
        checkpoint,
        (header, _bytes, position) => {
          if (header.endLsn > checkpoint.lsn) later.push({ header, batch: Buffer.alloc(0), position });
          return Promise.resolve();
        },
        hooks.onLogDamage,
      );
      if (log.startLsn > checkpoint.lsn)
        throw new StoreUnusableError(`the log starts at ${log.startLsn}, after the pages' checkpoint at ${checkpoint.lsn}`);
      if (endLsn !== undefined && endLsn < log.tail.lsn && endLsn >= log.startLsn) await log.truncate(endLsn);
      if (log.tail.lsn < checkpoint.lsn) await log.restart(checkpoint);
      const annul = annulPoint(control.history, log.runs);
      const durable = durableLsn > checkpoint.lsn ? durableLsn : checkpoint.lsn;
      if (annul !== undefined && annul < durable) throw new AnnulledAppliedError(annul, durable, lastEpoch(control.history));
      if (annul !== undefined) await log.truncate(annul);
      const end = log.tail.lsn;
      const opened = parts(log);
      for (const { header, position } of later) {
        if (header.endLsn > end) break;
        opened.addNow(header, log.reader.batch(position, header.totalBytes), position);
        if (opened.recordsIndexed % 4096 < header.recordCount) await hooks.clock.turn();
      }
      storage = new SegmentStorage({
        log,
        store,
        table,
        index,
        tombstones,
        applier: opened,
        checkpoint,
        hasRemovalsDue: removals.length > 0,
        limits,
        hooks,
      });
      storage.checkpointer.maybeStart();
      return storage;
    } catch (error) {
      await log?.close();
      await store.close();
      throw error;
    }
  }

  /** Below this LSN, the checkpoint, not every page can be told any more. */
  get keptFrom(): number {
    return Number(this.checkpointer.checkpoint.lsn);
  }

  get pgmrpl(): number {
    return this.#pgmrpl;
  }

  notePgmrpl(lsn: number): void {
    if (lsn <= this.#pgmrpl) return;
    this.#pgmrpl = lsn;
    this.checkpointer.maybeStart();
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
      this.applier.add(header, batch, position);
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
    const applied = BigInt(this.applier.appliedLsn);
    if (point < applied) throw new AnnulledAppliedError(point, applied, lastEpoch(history));
    const lsn = point;
    this.builder.invalidate();
    this.applier.truncate(Number(lsn));
    this.cache.deletePast(Number(lsn));
    await this.log.truncate(lsn);
    return true;
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

  async close(): Promise<void> {
    this.applier.stop();
    await this.checkpointer.stop();
    await this.log.close();
    await this.store.close();
  }
}

async function readCheckpoint(
  store: PageStore,
  hooks: SegmentStorageHooks,
): Promise<{ checkpoint: Checkpoint; state: ReturnType<typeof decodeVolumeState>; removals: Tombstone[] }> {
  try {
    const checkpoint = await store.checkpoint();
    const bytes = await store.state();
    if (checkpoint === undefined || bytes === undefined) throw new StoreUnusableError('the page store has no checkpoint or no state');
    const removals = await store.removals();
    return { checkpoint, state: decodeVolumeState(bytes), removals: removals === undefined ? [] : decodeTombstones(removals) };
  } catch (error) {
    if (error instanceof StoreUnusableError || error instanceof RedoError || errnoOf(error) !== '' || isStoreIoError(error)) throw error;
    const reason = error instanceof Error ? error : new Error(String(error));
    hooks.onCorruption('state', reason);
    throw new StoreUnusableError(reason.message);
  }
}
