import type { PageKey } from '@kube-aurora/redo-engine';
import { annulPoint, lastEpoch, type EpochStart, type RedoBatchHeader } from '@kube-aurora/volume';
import { AnnulledAppliedError, type Applier } from '../checkpoint/applier.ts';
import { Checkpointer } from '../checkpoint/checkpointer.ts';
import { RedoInflow } from '../checkpoint/redo-inflow.ts';
import { WorkPace } from '../checkpoint/work-pace.ts';
import type { StoreEntry } from '../disk/keyed-store.ts';
import { bytesOf, PageBuilder } from '../pages/page-builder.ts';
import { PageCache } from '../pages/page-cache.ts';
import { PageTurn } from '../pages/page-turn.ts';
import { RepairingReader, type PagesAt } from '../pages/repairing-reader.ts';
import type { BuildRoom } from '../pages/redo-run.ts';
import { exportCopy } from './export-copy.ts';
import { openStorage, type KnownOfLog, type OpenedStorage, type StorageOptions } from './open-storage.ts';
import type { SegmentControl } from './control-file.ts';
import { RedoStorage } from './redo-storage.ts';
import { Scrub } from './scrub.ts';
import { stateAt, type StateAt } from './state-at.ts';

/**
 * What a full segment, or a tail that stands in for one, holds once it has a volume's data: its log, its pages, and what ties them
 * together in memory. It gives verbs and values, no parts.
 */

/** Counts and sizes, for metrics. */
export interface StorageStats {
  readonly pageCacheBytes: number;
  readonly recordsApplied: number;
  readonly recordsAppliedToPages: number;
  readonly indexRefs: number;
  readonly checkpoints: number;
  readonly pagesWritten: number;
  readonly isCheckpointing: boolean;
  /** Milliseconds of applying redo and storing pages. */
  readonly mergeMs: number;
}

interface Accepted {
  readonly header: RedoBatchHeader;
  readonly position: number;
}

export class SegmentStorage extends RedoStorage {
  readonly #options: StorageOptions;
  readonly #opened: OpenedStorage;
  /** It stands in: its log is a tail's, and must do without the pages at any moment. */
  readonly #isTail: boolean;
  readonly #applier: Applier;
  readonly #cache: PageCache;
  readonly #builder: PageBuilder;
  readonly #reader: RepairingReader;
  readonly #checkpointer: Checkpointer;
  readonly #scrub: Scrub;
  readonly #pace: WorkPace;
  readonly #inflow: RedoInflow;
  readonly #unsubscribe: () => void;
  /** Appended and not yet with the applier, oldest first. */
  #accepted: Accepted[] = [];
  #acceptedBytes = 0;
  #pgmrpl: bigint;

  private constructor(options: StorageOptions, opened: OpenedStorage, isTail: boolean) {
    const { log, store, table, index, tombstones, applier } = opened;
    const { engine, clock, limits, onDamage } = options;
    super(engine, log);
    this.#options = options;
    this.#opened = opened;
    this.#isTail = isTail;
    this.#applier = applier;
    this.#pgmrpl = opened.checkpoint.lsn;
    const cache = new PageCache(limits.pageCacheBytes, engine.pageBytes);
    this.#cache = cache;
    const keptFrom = (): bigint => this.#checkpointer.checkpoint.lsn;
    const writtenTo = (): bigint => this.#checkpointer.writtenTo;
    const sources = { engine, log, table, index, tombstones, store, cache, keptFrom, writtenTo };
    const turns = { clock, sliceMs: limits.sliceMs };
    this.#inflow = new RedoInflow(() => clock.now());
    const pace = new WorkPace(
      () => this.#checkpointer.backlog,
      () => this.#inflow.isMuch && !this.#checkpointer.isAwaited,
    );
    this.#pace = pace;
    const builder = new PageBuilder(sources, turns);
    this.#builder = builder;
    const turn = new PageTurn();
    this.#reader = new RepairingReader({
      ...sources,
      builder,
      turn,
      appliedLsn: () => applier.appliedLsn,
      readFloor: () => this.#pgmrpl,
      fetchPage: options.fetchPage,
      onCorruption: options.onCorruption,
      onRepair: () => options.onRepair('page'),
    });
    this.#checkpointer = new Checkpointer({
      ...sources,
      builder,
      reader: this.#reader,
      turn,
      applier,
      limits: { bytes: limits.checkpointBytes, refs: limits.checkpointRefs, stagger: limits.checkpointStagger },
      turns,
      pace,
      checkpoint: opened.checkpoint,
      hasRemovalsDue: opened.hasRemovalsDue,
      readFloor: () => this.#pgmrpl,
      // A tail's redo goes in turn with what changes its history.
      onCheckpoint: () => (isTail ? Promise.resolve() : this.dropRedo()),
      onFailure: onDamage,
    });
    this.#scrub = new Scrub({
      store,
      log,
      repairPage: (page) => this.#reader.repairPage(page),
      renewCheckpoint: () => this.#checkpointer.request(),
      onCorruption: options.onCorruption,
      onDamage,
    });
    this.#unsubscribe = options.durable.subscribe((end) => this.#takeDurable(end.lsn));
  }

  /** Opens what the control file points to. Throws what `openStorage` throws. */
  static async open(options: StorageOptions, control: SegmentControl, known: KnownOfLog): Promise<SegmentStorage> {
    // Nothing is applied, and so nothing moves, before it is there; what has a long chain by then the checkpointer
    // finds itself.
    let storage: SegmentStorage | undefined;
    const onProgress = (): void => {
      if (storage !== undefined) storage.#checkpointer.maybeStart();
      options.onProgress();
    };
    const onLongChain = (page: PageKey): void => {
      if (storage !== undefined) storage.#checkpointer.addLongChain(page);
    };
    const opened = await openStorage({ ...options, onProgress }, control, known, onLongChain);
    storage = new SegmentStorage(options, opened, control.role === 'TAIL');
    storage.#checkpointer.maybeStart();
    return storage;
  }

  // Where it stands -------------------------------------------------------------------------------------------------

  get appliedLsn(): bigint {
    return this.#applier.appliedLsn;
  }

  /** The highest VDL that was heard and counts. */
  get vdl(): bigint {
    return this.#applier.vdl;
  }

  get pgmrpl(): bigint {
    return this.#pgmrpl;
  }

  /** Stored pages have all redo up to here. Below it, not every page can be told any more. */
  get checkpointLsn(): bigint {
    return this.#checkpointer.checkpoint.lsn;
  }

  /** Bytes that wait for the disk, and what waits to be applied past its own bound. */
  get queuedBytes(): number {
    const unapplied = this.#applier.unappliedBytes - this.#options.limits.unappliedBytes;
    return this.#acceptedBytes + Math.max(0, unapplied);
  }

  stats(): StorageStats {
    const { index } = this.#opened;
    const { checkpoints, pagesWritten, isRunning } = this.#checkpointer;
    return {
      pageCacheBytes: this.#cache.bytes,
      recordsApplied: this.#applier.recordsApplied,
      recordsAppliedToPages: this.#builder.recordsApplied,
      indexRefs: index.refs,
      checkpoints,
      pagesWritten,
      isCheckpointing: isRunning,
      mergeMs: this.#opened.pace.workedMs + this.#pace.workedMs,
    };
  }

  /** The most references to redo past the checkpoint that one page had since this was last asked. */
  takeLongestChain(): number {
    return this.#opened.index.takeLongest();
  }

  /** Bytes of the page store, about. */
  storeBytes(): Promise<number> {
    return this.#opened.store.approximateBytes();
  }

  // Redo in ---------------------------------------------------------------------------------------------------------

  protected accept(header: RedoBatchHeader, position: number): void {
    this.#inflow.note(header.totalBytes);
    this.#accepted.push({ header, position });
    this.#acceptedBytes += header.totalBytes;
  }

  #takeDurable(end: bigint): void {
    let count = 0;
    for (const { header, position } of this.#accepted) {
      if (header.endLsn > end) break;
      this.#applier.add(header, position);
      this.#acceptedBytes -= header.totalBytes;
      count++;
    }
    this.#accepted.splice(0, count);
    // Less waits for the disk, though none of it may be applied yet.
    if (count > 0) this.#options.onProgress();
  }

  /** Redo up to `lsn` is durable on a quorum, and may be applied. */
  noteVdl(lsn: bigint): void {
    this.#applier.noteVdl(lsn);
  }

  /** Nobody reads below `lsn` any more: pages may be stored as of it. */
  notePgmrpl(lsn: bigint): void {
    if (lsn <= this.#pgmrpl) return;
    this.#pgmrpl = lsn;
    this.#checkpointer.maybeStart();
  }

  /**
   * Annuls what `history` rules out, which is nothing that was applied: the caller asked (`refuseHistory`). Returns
   * whether anything was.
   */
  async annul(history: readonly EpochStart[]): Promise<boolean> {
    const { log } = this;
    await log.flushed();
    const point = annulPoint(history, log.runs);
    if (point === undefined) return false;
    if (point < this.appliedLsn) throw new AnnulledAppliedError(point, this.appliedLsn, lastEpoch(history));
    this.#builder.invalidate();
    this.#applier.annul(point);
    this.#cache.deletePast(point);
    await log.annul(point);
    return true;
  }

  // Pages out -------------------------------------------------------------------------------------------------------

  /** Is every record that starts below `lsn` applied? Then pages can be read as of it. */
  hasApplied(lsn: bigint): boolean {
    return this.#applier.hasApplied(lsn);
  }

  /** Someone waits to read as of `lsn`: redo up to it is applied without delay. */
  expediteTo(lsn: bigint): void {
    this.#applier.want(lsn);
  }

  /**
   * Pages as of `lsn`, in the order asked for; what is damaged is repaired first. Throws TooOldError, NoSoundCopyError,
   * RedoError. `room`: as PageBuilder.build takes it.
   */
  readPages(pages: readonly PageKey[], lsn: bigint, room?: BuildRoom): Promise<PagesAt> {
    return this.#reader.readPages(pages, lsn, room);
  }

  /**
   * One page as of `lsn`, undefined when it does not exist, with no peer asked: two damaged copies must not ask each
   * other in circles. Throws TooOldError, RedoError, and StoredValueError or LogReadError where it is damaged.
   */
  async readPageForPeer(page: PageKey, lsn: bigint): Promise<Buffer | undefined> {
    const [built] = await this.#builder.build([page], lsn, 'read');
    return built === undefined ? undefined : bytesOf(built, lsn, (one) => this.engine.describePage(one));
  }

  /** The volume's state as of exactly `lsn`, up to which redo is applied. Throws AuroraRpcError TOO_OLD, BEHIND. */
  stateAt(lsn: bigint): Promise<StateAt> {
    const { store, table, log } = this.#opened;
    const checkpointer = this.#checkpointer;
    return stateAt({ engine: this.engine, applier: this.#applier, checkpointer, store, table, log, clock: this.#options.clock }, lsn);
  }

  /** Asks for a checkpoint whatever the limits say. It is made once PGMRPL has got to what is applied now. */
  requestCheckpoint(): void {
    this.#checkpointer.request();
  }

  // Redo and pages out, for peers and backups -----------------------------------------------------------------------

  /** Everything stored as of one checkpoint: see export-copy.ts for what it promises. */
  exportCopy(): AsyncIterable<StoreEntry[]> {
    return exportCopy(this.#opened.store, (page) => this.#reader.repairPage(page));
  }

  // Keeping it sound ------------------------------------------------------------------------------------------------

  /**
   * Reads about `bytes` of pages, of the log and of the store's own files back, from where the last step ended, and has
   * repaired what is damaged. `repairLog` has a damaged stretch of the log repaired and says whether it was. Gives the
   * bytes that were checked.
   */
  scrubStep(bytes: number, repairLog: (lsn: bigint) => Promise<boolean>): Promise<number> {
    return this.#scrub.step(bytes, repairLog);
  }

  /** Drops redo before the checkpoint that nobody holds, whole files of it. */
  async dropRedo(): Promise<void> {
    const { checkpointLsn } = this;
    // A tail's last batch stays: nothing else says how far it is once it has no pages.
    const kept = this.#isTail ? this.durable.lsn - 1n : checkpointLsn;
    await this.log.dropBelow(this.#options.dropLimit(kept < checkpointLsn ? kept : checkpointLsn));
  }

  async close(): Promise<void> {
    this.#applier.stop();
    await this.#checkpointer.stop();
    await this.log.close();
    this.#unsubscribe();
    await this.#opened.store.close();
  }
}
