import { keyText, type EngineState, type PageKey } from '@kube-aurora/redo-engine';
import type { Checkpoint, PageVersion } from '../pages/stored-pages.ts';
import { NoSoundCopyError } from '../pages/stored-value.ts';
import type { Applier } from './applier.ts';
import { LongChains } from './long-chains.ts';
import { backlogOf, isCheckpointDue, type CheckpointLimits } from './checkpoint-schedule.ts';
import { encodeTombstones, type SpaceCopy, type Tombstone } from '../pages/tombstones.ts';
import { PageWriter, type PageWriterOptions } from './page-writer.ts';

/**
 * Turns redo into stored pages ("page checkpoint"). When a checkpoint is due, the state is taken at the next
 * batch end L; once PGMRPL has reached L every page with redo below it is written as of L, then state and checkpoint,
 * and the redo up to L is no longer needed here.
 *
 * Order that makes a crash at any point harmless: copied spaces first (they need their source's pages as of the
 * copy), then pages (each version carries its LSN, so redo is never applied twice), then the checkpoint, and with it in
 * one batch what is due: the removal of what was dropped below it. Only then may anything be removed: until the
 * checkpoint stands, redo is read again from the last one after a crash, and a dropped page's redo needs what was
 * stored of it. Until everything is removed its tombstones stay in memory, so that nothing of it shows; a crash before
 * that leaves the removals noted in the store, and they are made after the next open.
 */

const SLICE_PAGES = 32;
/** When peers could not help with a damaged page, they are asked again so much later. */
const REST_MS = 1000;

export interface CheckpointerOptions extends PageWriterOptions {
  readonly applier: Applier;
  readonly limits: CheckpointLimits;
  readonly checkpoint: Checkpoint;
  /** Has the checkpoint removals left to be made? They are those of the tombstones below it. */
  readonly hasRemovalsDue: boolean;
  /** Lowest LSN that anyone may still read at. */
  readonly readFloor: () => bigint;
  /** After a checkpoint was set. */
  readonly onCheckpoint: (checkpoint: Checkpoint) => Promise<void>;
  readonly onFailure: (error: Error) => void;
}

interface Target {
  readonly lsn: bigint;
  readonly epoch: bigint;
  readonly state: Buffer;
}

export class Checkpointer {
  readonly #options: CheckpointerOptions;
  readonly #writer: PageWriter;
  readonly #chains: LongChains;
  #checkpoint: Checkpoint;
  #target: Target | undefined;
  #asked = false;
  #isAwaited = false;
  #restUntil = -Infinity;
  #hasRemovalsDue: boolean;
  #running: Promise<void> | undefined;
  checkpoints = 0;

  constructor(options: CheckpointerOptions) {
    this.#options = options;
    this.#checkpoint = options.checkpoint;
    this.#hasRemovalsDue = options.hasRemovalsDue;
    this.#writer = new PageWriter(options);
    this.#chains = new LongChains({
      ...options,
      writer: this.#writer,
      clock: options.turns.clock,
      onFailure: (error) => this.#fail(error),
    });
  }

  get checkpoint(): Checkpoint {
    return this.#checkpoint;
  }

  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  /** Does somebody who asked wait for the checkpoint under way, or the next? */
  get isAwaited(): boolean {
    return this.#isAwaited;
  }

  get writtenTo(): bigint {
    return this.#writer.writtenTo;
  }

  get pagesWritten(): number {
    return this.#writer.pagesWritten;
  }

  /** A page's chain grew long: it is written in the background. */
  addLongChain(page: PageKey): void {
    this.#chains.add(page);
  }

  /** Asks for a checkpoint whatever the limits say. */
  request(): void {
    this.#asked = true;
    this.#isAwaited = true;
    this.maybeStart();
  }

  /** Looks whether there is something to do; called as applier and PGMRPL move. */
  maybeStart(): void {
    this.#chains.maybeStart();
    if (this.#writer.stopped || this.#running !== undefined || this.#options.turns.clock.now() < this.#restUntil) return;
    const { applier, table, readFloor } = this.#options;
    if (this.#target === undefined && !applier.isSnapshotWanted && (this.#asked || this.#isDue())) {
      if (applier.isAtBatchEnd) this.#snapshot(applier.state, applier.appliedLsn);
      else if (table.size > 0) applier.wantSnapshot((state, lsn) => this.#snapshot(state, lsn));
      this.#asked = false;
    }
    const target = this.#target;
    let work: Promise<void>;
    if (this.#hasRemovalsDue) work = this.#makeRemovals();
    else if (target !== undefined && readFloor() >= target.lsn) {
      this.#target = undefined;
      work = this.#make(target);
    } else return;
    this.#running = work
      .catch((error: unknown) => {
        if (error instanceof NoSoundCopyError) this.#rest();
        else this.#fail(error);
      })
      .finally(() => {
        this.#running = undefined;
        // As much may have come meanwhile, and nothing may come any more that asks.
        if (this.#target !== undefined || this.#asked || this.#isDue()) this.#options.turns.clock.soon(() => this.maybeStart());
      });
  }

  /**
   * A page has to wait for its peers. Pages that were written keep their versions, and the next try is as of a newer
   * LSN: by then peers may have made checkpoints past this one.
   */
  #rest(): void {
    const { clock } = this.#options.turns;
    this.#restUntil = clock.now() + REST_MS;
    this.#asked = true;
    clock.after(REST_MS, () => this.maybeStart());
  }

  #snapshot(state: EngineState, lsn: bigint): void {
    const epoch = this.#options.log.epochAt(lsn);
    if (epoch !== undefined) this.#target = { lsn, epoch, state: state.encode() };
  }

  /**
   * How much waits for the checkpoint under way, or the next: 0 what always may, 1 another checkpoint's worth of it.
   */
  get backlog(): number {
    const { index, limits } = this.#options;
    return backlogOf(limits, { bytes: this.#bytesPast, refs: index.refs });
  }

  /** Of applied log past the checkpoint. */
  get #bytesPast(): number {
    const { table } = this.#options;
    return table.size === 0 ? 0 : table.position(table.next - 1) - table.position(table.first);
  }

  #isDue(): boolean {
    const { index, applier, limits } = this.#options;
    const bytes = this.#bytesPast;
    return isCheckpointDue(limits, { checkpoint: this.#checkpoint, appliedLsn: applier.appliedLsn, bytes, refs: index.refs });
  }

  #fail(error: unknown): void {
    if (this.#writer.stopped) return;
    this.#writer.stopped = true;
    this.#options.onFailure(error instanceof Error ? error : new Error(String(error)));
  }

  async stop(): Promise<void> {
    this.#writer.stopped = true;
    await this.#running;
    await this.#chains.idle();
  }

  async #make(target: Target): Promise<void> {
    const { tombstones, index, table, store, log, cache } = this.#options;
    const limit = table.lowerBound(target.lsn);
    for (const copy of tombstones.copies.filter((one) => one.lsn < target.lsn)) await this.#copySpaces(copy);
    await this.#writer.write(index.pagesBelow(limit), () => ({ lsn: target.lsn, limit }));
    if (this.#writer.stopped) return;
    const checkpoint = { lsn: target.lsn, epoch: target.epoch };
    const due = tombstones.below(target.lsn);
    await store.setCheckpoint(checkpoint, target.state, due.length === 0 ? undefined : encodeTombstones(due));
    this.#checkpoint = checkpoint;
    this.#hasRemovalsDue = due.length > 0;
    this.#options.builder.invalidate();
    // Pages in memory may be as of before a copy that is forgotten now.
    if (tombstones.copies.length > 0) cache.clear();
    tombstones.dropCopiesBelow(target.lsn);
    table.dropBelow(limit);
    this.checkpoints++;
    this.#isAwaited = this.#asked || this.#target !== undefined || this.#options.applier.isSnapshotWanted;
    if (log.failure === undefined) await this.#options.onCheckpoint(checkpoint);
    if (this.#hasRemovalsDue) await this.#makeRemovals();
  }

  /** Removes what the checkpoint left. Until it is done a crash, or a stop, leaves the note of it where it is. */
  async #makeRemovals(): Promise<void> {
    const { tombstones, store, cache, builder, turn } = this.#options;
    const checkpointLsn = this.#checkpoint.lsn;
    for (const tombstone of tombstones.below(checkpointLsn)) await this.#removeCovered(tombstone);
    if (this.#writer.stopped) return;
    await turn.exclusive(() => store.removalsDone());
    this.#hasRemovalsDue = false;
    builder.invalidate();
    // Pages in memory may be as of before a tombstone that is forgotten now.
    cache.clear();
    tombstones.dropTombstonesBelow(checkpointLsn);
  }

  async #copySpaces(copy: SpaceCopy): Promise<void> {
    const { store, index, table, turn, reader } = this.#options;
    const sources = new Map<string, PageKey>();
    for await (const page of store.pagesOfSpaces(copy.from)) sources.set(keyText(page), page);
    for (const page of index.pagesBelow(table.lowerBound(copy.lsn), copy.from)) sources.set(keyText(page), page);
    const pages = [...sources.values()];
    for (let at = 0; at < pages.length && !this.#writer.stopped; at += SLICE_PAGES) {
      const damaged = await turn.exclusive(() => this.#copyPages(copy, pages.slice(at, at + SLICE_PAGES)));
      // A repaired source would be newer than the copy: the copy itself is fetched.
      for (const page of damaged) await reader.repairPage(page);
    }
  }

  /** Copies pages that are not there yet. Gives copies whose source cannot be read. */
  async #copyPages(copy: SpaceCopy, sources: readonly PageKey[]): Promise<PageKey[]> {
    const { store, builder } = this.#options;
    const copyOf = ({ space, block }: PageKey): PageKey => ({ space: copy.to + space.slice(copy.from.length), block });
    const existing = await store.getMany(sources.map(copyOf));
    const wanting = sources.filter((_source, at) => {
      const version = existing[at];
      return version === undefined || version instanceof Error || version.lsn <= copy.lsn;
    });
    const puts: { page: PageKey; version: PageVersion }[] = [];
    const damaged: PageKey[] = [];
    for (const built of await builder.build(wanting, copy.lsn, 'store')) {
      const page = copyOf(built.page);
      if (built.kind === 'page') puts.push({ page, version: { lsn: copy.lsn + 1n, page: built.bytes } });
      else if (built.kind === 'damaged') damaged.push(page);
      // A newer source went on only after this copy was complete, before a crash.
    }
    await store.write(puts);
    return damaged;
  }

  /** Removes stored pages that a tombstone covers and that nothing wrote since. */
  async #removeCovered(tombstone: Tombstone): Promise<void> {
    const { store, turn } = this.#options;
    const remove = (pages: readonly PageKey[]): Promise<void> =>
      turn.exclusive(async () => {
        const versions = await store.getMany(pages);
        // A damaged one may be newer: it stays, to be found and repaired when it is read.
        const isOld = (version: (typeof versions)[number]): boolean =>
          version !== undefined && !(version instanceof Error) && version.lsn <= tombstone.lsn;
        await store.write(
          [],
          pages.filter((_page, index) => isOld(versions[index])),
        );
      });
    const { effect } = tombstone;
    const covered =
      effect.kind === 'drop-spaces' ? store.pagesOfSpaces(effect.spaces) : store.pagesOfBlocks(effect.space, effect.from, effect.before);
    let pages: PageKey[] = [];
    for await (const page of covered) {
      if (this.#writer.stopped) return;
      pages.push(page);
      if (pages.length < SLICE_PAGES) continue;
      await remove(pages);
      pages = [];
    }
    await remove(pages);
  }
}
