import type { Disk } from '../disk/disk.ts';
import { errnoOf, type DiskRoom } from '../disk/disk-room.ts';
import type { Clock } from '@kube-aurora/clock';
import { join } from 'node:path';
import { formatLsn, maxLsn, minLsn } from '@kube-aurora/pg-format/lsn';
import type { Logger } from '@kube-aurora/process';
import type { EngineRegistry, PageKey, RedoEngine } from '@kube-aurora/redo-engine';
import { AuroraRpcError, type SegmentFault, type SegmentPhase } from '@kube-aurora/rpc';
import type { DurableEvent } from '../redo-log/durable-event.ts';
import { openContent } from './open-content.ts';
import type { StorageOptions } from './open-storage.ts';
import type { RedoStorage } from './redo-storage.ts';
import { SegmentStorage } from './segment-storage.ts';
import { ContentFailures, type SegmentEvents } from './content-failures.ts';
import { ContentState } from './content-state.ts';
import { DiskFaults } from './disk-faults.ts';
import { Replacement, type ControlChange, type Fill, type FillBeside } from './replacement.ts';
import type { Failure } from './segment-fault.ts';
import type { CurrentControl } from './current-control.ts';
import type { SegmentKey } from './segment-key.ts';
import { DurablePoint } from './durable-point.ts';
import { Retention, type HeldRedo } from './retention.ts';
import type { SegmentLimits } from './limits.ts';
import type { ConditionWaiter } from './condition-waiter.ts';

/**
 * Whether a segment has content, and which: opens and closes it, and says what is wrong with it. What follows from what
 * is in content-table.ts; failures are heard in content-failures.ts, a disk that fails is in disk-faults.ts, an import
 * or copy in replacement.ts.
 */

export interface SegmentLifecycleOptions {
  readonly directory: string;
  readonly disk: Disk;
  readonly engines: EngineRegistry;
  readonly control: CurrentControl;
  readonly key: SegmentKey;
  /** Told when redo of this segment has got to its disk. */
  readonly durable: DurableEvent;
  readonly conditions: ConditionWaiter;
  readonly limits: SegmentLimits;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly events: SegmentEvents;
  /** The segment is of this epoch now, durably: a copy brought it. */
  readonly onEpoch: (epoch: bigint) => void;
  readonly fetchPage: (page: PageKey, lsn: bigint) => Promise<Buffer | undefined>;
  /** Lowest SCL among the peers, as last heard; undefined while one is unknown. */
  readonly lowestPeerScl: () => bigint | undefined;
  /** Highest SCL among the peers, as last heard; 0n when none was. */
  readonly highestPeerScl: () => bigint;
}

export class SegmentLifecycle {
  readonly #options: SegmentLifecycleOptions;
  readonly #volumeId: string;
  readonly #state = new ContentState();
  readonly #failures: ContentFailures;
  readonly #diskFaults: DiskFaults;
  readonly #replacement: Replacement;
  /** Who else needs redo that is here. */
  readonly #retention: Retention;
  #storage: RedoStorage | undefined;
  #durablePoint: DurablePoint | undefined;
  /** What was known to be durable when the disk failed under the content: its note cannot be relied on. */
  #durableAtFault = 0n;
  #storeBytes = 0;
  #bytesUsedMost = 0;

  constructor(options: SegmentLifecycleOptions) {
    const { directory, disk, control, key, conditions, limits, events, logger } = options;
    this.#options = options;
    this.#volumeId = control.value.volumeId;
    const isLong = (): boolean => (this.#storage?.logBytes ?? 0) > limits.logRetainBytes;
    this.#retention = new Retention(() => isLong() || this.#diskFaults.isFull);
    // One that was not heard lately may lack everything.
    this.#retention.hold({ name: 'peers', floor: () => options.lowestPeerScl() ?? 0n, givesWay: true });
    const state = this.#state;
    this.#failures = new ContentFailures({
      state,
      control,
      conditions,
      events,
      logger,
      onDiskError: (error, operation) => this.#diskFaults.onError(error, operation),
    });
    this.#diskFaults = new DiskFaults({
      directory,
      disk,
      control,
      conditions,
      limits,
      logger,
      state,
      close: () => {
        this.#durableAtFault = maxLsn(this.#durableAtFault, this.durableLsn);
        return this.#closeFiles();
      },
      open: (endLsn) => this.open(endLsn, minLsn(this.#durableAtFault, endLsn ?? 0n)),
      fail: (failure, words) => this.#failures.fail(failure, words),
      makeRoom: () => this.#makeRoom(),
    });
    this.#replacement = new Replacement({
      directory,
      disk,
      control,
      key,
      limits,
      state,
      letGo: (save) =>
        this.#letGo(async () => {
          await save();
          // Before the new content can take redo: nothing of an older epoch is acknowledged by it.
          options.onEpoch(control.value.epoch);
        }),
      open: async () => {
        await this.open();
        return this.#state.phase !== 'replacing damaged';
      },
    });
  }

  get storage(): RedoStorage | undefined {
    return this.#storage;
  }

  /** The same, of a segment that has pages. */
  get pages(): SegmentStorage | undefined {
    return this.#storage instanceof SegmentStorage ? this.#storage : undefined;
  }

  get phase(): SegmentPhase {
    return this.#state.meaning.phase;
  }

  /** Why reads are refused; undefined when they are not. */
  get damage(): string | undefined {
    return this.#state.meaning.servesReads ? undefined : this.#state.failure?.message;
  }

  /** Why no redo is taken although it could be read: the disk is full or fails. Undefined while redo is taken. */
  get unwritable(): string | undefined {
    if (this.#state.meaning.isHeldByDisk) return this.#state.failure?.message;
    return this.#diskFaults.lackOfRoom?.message;
  }

  /** What is wrong, and in words; undefined while nothing is. */
  get fault(): { readonly fault: SegmentFault; readonly message: string } | undefined {
    const failure = this.#state.failure ?? this.#diskFaults.lackOfRoom;
    if (failure !== undefined || !this.mustRecover) return failure;
    const { recoverToLsn } = this.#options.control.value;
    return {
      fault: { kind: 'LOST_REDO', lsn: recoverToLsn, heldLsn: this.scl },
      message: `lost redo up to ${formatLsn(recoverToLsn)} to damage`,
    };
  }

  /** Empty, or with a store that only a copy from a peer can replace. */
  get needsCopy(): boolean {
    return this.#state.meaning.needsCopy;
  }

  /** Durable SCL; 0n when there is no log. */
  get scl(): bigint {
    return this.#storage?.durable.lsn ?? 0n;
  }

  /**
   * Redo up to here is durable on a quorum, as far as is known here: no history may annul it. What a writer says of VDL
   * counts as far as somebody is known to hold redo.
   */
  get durableLsn(): bigint {
    const storage = this.#storage;
    const floor = this.#durablePoint?.lsn ?? 0n;
    if (storage === undefined) return floor;
    // With what is on its way to the disk: it may be applied as soon as it is there.
    const held = highest(storage.tail.lsn, this.#options.highestPeerScl());
    return highest(floor, storage.checkpointLsn, storage.appliedLsn, storage.vdl < held ? storage.vdl : held);
  }

  /** Bytes on disk, the page store's as last measured. */
  get bytesUsed(): number {
    return (this.#storage?.logBytes ?? 0) + this.#storeBytes;
  }

  /** The most that was measured since the daemon started. */
  get bytesUsedMost(): number {
    return this.#bytesUsedMost;
  }

  /** Refreshes the size on disk. */
  async measure(): Promise<void> {
    this.#storeBytes = (await this.#storage?.storeBytes()) ?? 0;
    this.#bytesUsedMost = Math.max(this.#bytesUsedMost, this.bytesUsed);
  }

  /** Must it get redo back that it may have acknowledged once? */
  get mustRecover(): boolean {
    return this.#options.control.value.recoverToLsn > this.scl && this.#storage !== undefined;
  }

  /** At the daemon's start: removes what is left of replacements, and opens what the control file points to. */
  async start(): Promise<void> {
    await this.#replacement.removeLeftovers();
    if (this.#options.control.value.ready) await this.open();
  }

  /**
   * Opens what the control file points to; the log up to `endLsn` where it is given, of which `durableLsn` is known to be
   * durable on a quorum. What cannot be used is reported as damage.
   */
  async open(endLsn?: bigint, durableLsn = 0n): Promise<void> {
    const { directory, engines, control, logger } = this.#options;
    try {
      this.#durablePoint = await DurablePoint.open(this.#options, join(directory, 'durable'), control.value.baseEpoch, (error) =>
        logger.error({ volume: this.#volumeId, err: error }, 'what is durable cannot be noted; after a restart less of it is known'),
      );
      // The note may be behind what this process has heard: the disk that failed took none.
      const known = maxLsn(this.#durablePoint.lsn, durableLsn);
      const engine = engines.get(control.value.engine);
      const storage = await openContent({ ...this.#options, storage: this.#storageOptions(engine) }, { durableLsn: known, endLsn });
      this.#storage = storage;
      this.#state.on('opened');
      storage.noteVdl(known < this.scl ? known : this.scl);
      // What was durable was on this disk: its log has lost it since, whatever the log itself says.
      if (known > this.scl && known > control.value.recoverToLsn) await control.save({ recoverToLsn: known });
      await this.measure();
    } catch (error) {
      await this.#failures.notOpened(error);
    }
  }

  async close(): Promise<void> {
    await this.#closeFiles();
    this.#state.on('ending');
  }

  /** Gives the end of what was synced of the log; undefined when nothing was open. */
  async #closeFiles(): Promise<bigint | undefined> {
    const storage = this.#storage;
    await storage?.close();
    this.#storage = undefined;
    await this.#durablePoint?.close();
    this.#durablePoint = undefined;
    return storage?.durable.lsn;
  }

  #storageOptions(engine: RedoEngine): StorageOptions {
    const { disk, directory, key, limits, clock, durable, conditions, fetchPage } = this.#options;
    const failures = this.#failures;
    return {
      engine,
      disk,
      forms: key.forms,
      directory,
      limits,
      clock,
      durable,
      onProgress: () => {
        this.#noteDurable();
        conditions.recheck();
      },
      onLogDamage: (damage) => failures.logDamaged(damage),
      onLogFailure: (error) => this.#diskFaults.stop(errnoOf(error) || 'EIO', 'write redo log', error.message),
      onDamage: (error) => failures.damaged(error),
      fetchPage,
      dropLimit: (checkpointLsn) => this.#retention.dropLimit(checkpointLsn),
      onCorruption: (kind, error) => failures.corrupt(kind, error),
      onRepair: (kind) => failures.repaired(kind),
    };
  }

  #noteDurable(): void {
    const vdl = this.#storage?.vdl ?? 0n;
    this.#durablePoint?.note(vdl < this.scl ? vdl : this.scl);
  }

  /** It cannot go on as it did. */
  fail(failure: Failure): void {
    this.#failures.fail(failure);
  }

  /** Takes a look at the disk. */
  noteRoom(room: DiskRoom): void {
    this.#diskFaults.noteRoom(room);
  }

  /** Redo before the checkpoint goes whoever lacks it, and a new checkpoint is made. */
  async #makeRoom(): Promise<void> {
    this.pages?.requestCheckpoint();
    await this.#dropRedo();
  }

  async #dropRedo(): Promise<void> {
    await this.#options.control.exclusive(async () => this.#storage?.dropRedo());
  }

  /**
   * Redo goes that is not needed here and that nobody holds. Not while a history annuls any: see TailStorage. Where a
   * file cannot be removed no other is: the log is opened anew once the disk can be written, or it would have a hole.
   */
  async dropRedo(): Promise<void> {
    if (this.#state.phase !== 'open') return;
    try {
      await this.#dropRedo();
    } catch (error) {
      await this.#diskFaults.onError(error, 'drop redo log');
    }
  }

  /** Redo stays from `floor` on, whatever becomes of the disk: for a peer that nobody else can give it. */
  holdFor(name: string, floor: () => bigint): void {
    this.#retention.hold({ name, floor, givesWay: false });
  }

  /**
   * Holds redo from the checkpoint on, for who will come for it, whatever becomes of the disk; until what this gives is
   * called.
   */
  holdRedo(name: string): () => void {
    const floor = this.#storage?.checkpointLsn ?? 0n;
    return this.#retention.hold({ name, floor: () => floor, givesWay: false });
  }

  /** Who holds redo here, from the lowest floor on. */
  get heldRedo(): readonly HeldRedo[] {
    return this.#storage === undefined ? [] : this.#retention.holders();
  }

  /**
   * Replaces the pages by what `fill` writes into a new store, then opens them with the log where that fits, and with
   * an empty one where not. For imports and copies from peers. On failure everything is as it was.
   */
  async replace(fill: Fill): Promise<void> {
    if (this.unwritable !== undefined) throw new AuroraRpcError('NOT_READY', this.unwritable);
    await this.#replacement.run(fill);
  }

  /** The same for a tail: its log starts anew where `decide` says, or goes on where it reaches that. */
  async replaceRedo(decide: () => Promise<ControlChange>): Promise<void> {
    if (this.unwritable !== undefined) throw new AuroraRpcError('NOT_READY', this.unwritable);
    await this.#replacement.runWithoutPages(decide);
  }

  /** Gives a tail what `fill` writes beside its log. Throws AuroraRpcError; then everything is as it was. */
  async addPages(fill: FillBeside): Promise<void> {
    if (this.unwritable !== undefined) throw new AuroraRpcError('NOT_READY', this.unwritable);
    await this.#replacement.addPages(fill);
  }

  /** Has a tail that stands in let go of its pages. */
  async dropPages(): Promise<void> {
    await this.#replacement.dropPages();
  }

  async #letGo(save: () => Promise<void>): Promise<bigint> {
    const before = this.#storage;
    // From here on nothing is acknowledged that the new content might not have.
    before?.takeBack();
    this.#storage = undefined;
    try {
      await save();
    } catch (error) {
      this.#storage = before;
      throw error;
    }
    await before?.close();
    await this.#closeFiles();
    this.#durableAtFault = 0n;
    this.#state.on('replaced');
    return before?.durable.lsn ?? 0n;
  }
}

function highest(...lsns: readonly bigint[]): bigint {
  return lsns.reduce((best, lsn) => (lsn > best ? lsn : best), 0n);
}
