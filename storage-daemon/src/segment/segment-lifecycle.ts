import type { Disk } from '../disk/disk.ts';
import { errnoOf, isNoRoom, isStoreIoError, probeDisk, type DiskRoom } from '../disk/disk-room.ts';
import type { Clock } from '@kube-aurora/clock';
import { join } from 'node:path';
import { formatLsn } from '@kube-aurora/pg-format/lsn';
import type { Logger } from '@kube-aurora/process';
import { RedoError, type EngineRegistry, type PageKey, type RedoEngine } from '@kube-aurora/redo-engine';
import { AuroraRpcError, type SegmentFault, type SegmentPhase } from '@kube-aurora/rpc';
import { AnnulledAppliedError } from '../checkpoint/applier.ts';
import { PageStore } from '../pages/page-store.ts';
import { StoredValueError } from '../pages/stored-value.ts';
import { LogReadError } from '../redo-log/log-errors.ts';
import type { LogDamage } from '../redo-log/log-recovery.ts';
import type { DurableEvent } from '../redo-log/durable-event.ts';
import { logDirectory, pagesDirectory, StoreUnusableError, type StorageParts } from './open-storage.ts';
import { SegmentStorage } from './segment-storage.ts';
import type { SegmentControl } from './control-file.ts';
import type { CurrentControl } from './current-control.ts';
import { DurablePoint } from './durable-point.ts';
import { Retention, type HeldRedo } from './retention.ts';
import type { SegmentLimits } from './limits.ts';
import type { ConditionWaiter } from './condition-waiter.ts';

/**
 * Whether a segment has content, and which: opened from disk, found damaged, or replaced as a whole by an import or a
 * copy. A segment's phase is what is said of it here.
 */

/** What a segment counts; the daemon's metrics implement it. */
export interface SegmentEvents {
  corruption(kind: 'page' | 'log' | 'state' | 'control'): void;
  repair(kind: 'page' | 'log' | 'copy' | 'control'): void;
}

export interface SegmentLifecycleParts {
  readonly directory: string;
  readonly disk: Disk;
  readonly engines: EngineRegistry;
  readonly control: CurrentControl;
  /** Told when redo of this segment has got to its disk. */
  readonly durable: DurableEvent;
  readonly conditions: ConditionWaiter;
  readonly limits: SegmentLimits;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly events: SegmentEvents;
  readonly fetchPage: (page: PageKey, lsn: bigint) => Promise<Buffer | undefined>;
  /** Lowest SCL among the peers, as last heard; undefined while one is unknown. */
  readonly lowestPeerScl: () => bigint | undefined;
  /** Highest SCL among the peers, as last heard; 0n when none was. */
  readonly highestPeerScl: () => bigint;
}

/** What changes in the control file with new pages, given what it holds by then. Throws AuroraRpcError when they came too late. */
export type Replacement = (current: SegmentControl) => Partial<SegmentControl>;

/** Where new pages are written, before they take the place of the old ones. */
export interface NewPages {
  readonly store: PageStore;
  /** Free bytes of the disk that it is on. */
  readonly freeBytes: () => Promise<number>;
}

/** Writes all of the new pages, their checkpoint included. */
export type Fill = (pages: NewPages) => Promise<Replacement>;

export class SegmentLifecycle {
  readonly #parts: SegmentLifecycleParts;
  readonly #volumeId: string;
  #storage: SegmentStorage | undefined;
  #isImporting = false;
  #failure: { readonly fault: SegmentFault; readonly message: string } | undefined;
  #storeBytes = 0;
  #durable: DurablePoint | undefined;
  #room: DiskRoom | undefined;
  #isReopening = false;
  /** Who else needs redo that is here. */
  readonly #retention = new Retention();

  constructor(parts: SegmentLifecycleParts) {
    this.#parts = parts;
    this.#volumeId = parts.control.value.volumeId;
    // One that was not heard lately may lack everything.
    this.#retention.hold({ name: 'peers', floor: () => parts.lowestPeerScl() ?? 0n, givesWay: true });
  }

  /** Holds redo from the checkpoint on, for who will come for it, whatever becomes of the disk; until what this gives is called. */
  holdRedo(name: string): () => void {
    const floor = this.#storage?.checkpointLsn ?? 0n;
    return this.#retention.hold({ name, floor: () => floor, givesWay: false });
  }

  /** Who holds redo here, from the lowest floor on. */
  get heldRedo(): readonly HeldRedo[] {
    return this.#storage === undefined ? [] : this.#retention.holders();
  }

  get storage(): SegmentStorage | undefined {
    return this.#storage;
  }

  get phase(): SegmentPhase {
    if (this.#isImporting) return 'IMPORTING';
    if (this.#failure === undefined) return this.#storage === undefined ? 'EMPTY' : 'READY';
    return this.#canRead ? 'READY' : 'DAMAGED';
  }

  /** Why reads are refused; undefined when they are not. */
  get damage(): string | undefined {
    return this.#canRead ? undefined : this.#failure?.message;
  }

  /** A disk that cannot be written takes nothing away from what is stored. */
  get #canRead(): boolean {
    return this.#failure === undefined || (this.#storage !== undefined && isOfDisk(this.#failure.fault));
  }

  /** Why no redo is taken although it could be read: the disk is full or fails. Undefined while redo is taken. */
  get unwritable(): string | undefined {
    if (this.#failure !== undefined && isOfDisk(this.#failure.fault)) return this.#failure.message;
    return this.#room?.isFull === true ? fullMessage(this.#room) : undefined;
  }

  get #hasDiskFault(): boolean {
    return this.#failure !== undefined && isOfDisk(this.#failure.fault);
  }

  get #damageKind(): SegmentFault['kind'] | undefined {
    return this.#failure?.fault.kind;
  }

  /** What is wrong, and in words; undefined while nothing is. */
  get fault(): { readonly fault: SegmentFault; readonly message: string } | undefined {
    if (this.#failure !== undefined) return this.#failure;
    if (this.#room?.isFull === true) return { fault: fullFault(this.#room), message: fullMessage(this.#room) };
    if (!this.mustRecover) return undefined;
    const { recoverToLsn } = this.#parts.control.value;
    return {
      fault: { kind: 'LOST_REDO', lsn: recoverToLsn, heldLsn: this.scl },
      message: `lost redo up to ${formatLsn(recoverToLsn)} to damage`,
    };
  }

  /** Empty, or with a store that only a copy from a peer can replace. */
  get needsCopy(): boolean {
    if (this.#isImporting) return false;
    return this.#failure === undefined ? this.#storage === undefined : this.#damageKind === 'DAMAGED_DATA';
  }

  /** Durable SCL; 0n when there is no log. */
  get scl(): bigint {
    return this.#storage?.durable.lsn ?? 0n;
  }

  /**
   * Redo up to here is durable on a quorum, as far as is known here: no history may annul it. What a writer says of VDL counts
   * as far as somebody is known to hold redo.
   */
  get durableLsn(): bigint {
    const storage = this.#storage;
    const floor = this.#durable?.lsn ?? 0n;
    if (storage === undefined) return floor;
    // With what is on its way to the disk: it may be applied as soon as it is there.
    const held = highest(storage.tail.lsn, this.#parts.highestPeerScl());
    return highest(floor, storage.checkpointLsn, storage.appliedLsn, storage.vdl < held ? storage.vdl : held);
  }

  /** Bytes on disk, the page store's as last measured. */
  get bytesUsed(): number {
    return (this.#storage?.logBytes ?? 0) + this.#storeBytes;
  }

  /** Must it get redo back that it may have acknowledged once? */
  get mustRecover(): boolean {
    return this.#parts.control.value.recoverToLsn > this.scl && this.#storage !== undefined;
  }

  /** Peers have shown that what was lost here was never durable. */
  clearRecovery(): Promise<void> {
    const { control } = this.#parts;
    return control.exclusive(() => (control.value.recoverToLsn > 0n ? control.save({ recoverToLsn: 0n }) : Promise.resolve()));
  }

  /** Refreshes the size on disk. */
  async measure(): Promise<void> {
    this.#storeBytes = (await this.#storage?.storeBytes()) ?? 0;
  }

  /** Removes what a copy or import that did not come to its end left, or one that did and could not remove what it replaced. At start only. */
  async removeLeftovers(): Promise<void> {
    const { directory, disk, control } = this.#parts;
    const { ready, pagesGeneration, logGeneration } = control.value;
    const used = ready ? [pagesDirectory('', pagesGeneration), logDirectory('', logGeneration)] : [];
    for (const name of disk.list(directory)) {
      if (/^(pages|log)-\d+$/.test(name) && !used.includes(name)) await disk.removeTree(join(directory, name));
    }
  }

  /** Opens what the control file points to; the log up to `endLsn` where it is given. What cannot be used is reported as damage. */
  async open(endLsn?: bigint): Promise<void> {
    const { directory, disk, engines, control, events, logger } = this.#parts;
    try {
      this.#durable = await DurablePoint.open(disk, join(directory, 'durable'), control.value.baseEpoch, (error) =>
        logger.error({ volume: this.#volumeId, err: error }, 'what is durable cannot be noted; after a restart less of it is known'),
      );
      const known = this.#durable.lsn;
      const engine = engines.get(control.value.engine);
      const storage = await SegmentStorage.open(this.#storageParts(engine), control.value, { durableLsn: known, endLsn });
      this.#storage = storage;
      storage.noteVdl(known < this.scl ? known : this.scl);
      // What was durable was on this disk: its log has lost it since, whatever the log itself says.
      if (known > this.scl && known > control.value.recoverToLsn) await control.save({ recoverToLsn: known });
      await this.measure();
    } catch (error) {
      if (error instanceof AnnulledAppliedError) {
        this.#onDamage(error);
        return;
      }
      if (errnoOf(error) !== '' || isStoreIoError(error)) {
        await this.#onDiskError(error, 'open');
        return;
      }
      if (!(error instanceof StoreUnusableError || error instanceof StoredValueError || error instanceof LogReadError)) throw error;
      events.corruption('state');
      this.stop({ kind: 'DAMAGED_DATA', part: 'state' }, error.message);
    }
  }

  /** What the log may have acknowledged is noted before the log forgets that it ever had it. */
  async #noteLogDamage({ lsn, claimedLsn, message }: LogDamage): Promise<void> {
    const { control, events, logger } = this.#parts;
    events.corruption('log');
    logger.error(
      { volume: this.#volumeId, scl: formatLsn(lsn), lostTo: formatLsn(claimedLsn), why: message },
      'the redo log is damaged; fetching the rest from peers',
    );
    if (claimedLsn > lsn && claimedLsn > control.value.recoverToLsn) await control.save({ recoverToLsn: claimedLsn });
  }

  // The disk -------------------------------------------------------------------------------------------------------

  /**
   * Takes a look at the disk. While there is no room for redo, redo before the checkpoint is dropped whoever lacks it, and a new checkpoint is
   * made: that gives room back. Once what failed can be written again, the content is opened anew.
   */
  noteRoom(room: DiskRoom): void {
    const { control, logger, conditions } = this.#parts;
    const wasFull = this.#room?.isFull === true;
    this.#room = room;
    if (room.isFull !== wasFull) {
      const fields = { volume: this.#volumeId, freeBytes: room.freeBytes, neededBytes: room.neededBytes };
      if (room.isFull) logger.error(fields, 'the disk is full: no redo is taken until there is room; reads and peers are served');
      else logger.info(fields, 'the disk has room again: redo is taken');
      conditions.recheck();
    }
    if (this.#failure?.fault.kind === 'DISK_FULL') this.#failure = { fault: fullFault(room), message: this.#failure.message };
    const storage = this.#storage;
    if (room.isFull && storage !== undefined && this.#failure === undefined) {
      storage.requestCheckpoint();
      void control
        .exclusive(async () => void (this.#storage === storage && (await storage.dropRedo())))
        .catch((error: unknown) => this.#onDiskError(error, 'drop redo log'));
    }
    if (this.#hasDiskFault && !room.isFull && !this.#isImporting && !this.#isReopening) {
      this.#isReopening = true;
      void control
        .exclusive(() => this.#reopen())
        .catch((error: unknown) => logger.error({ volume: this.#volumeId, err: error }, 'the segment could not be opened again'))
        .finally(() => {
          this.#isReopening = false;
        });
    }
  }

  /**
   * After a write failed nobody knows what the disk kept past the last sync. So the content is closed, opened as after a start, and its
   * log cut to what was synced, which is all that was acknowledged; peers have the rest.
   */
  async #reopen(): Promise<void> {
    const { directory, disk, logger, conditions } = this.#parts;
    if (!this.#hasDiskFault || this.#isImporting) return;
    if ((await probeDisk(disk, directory)) !== '') return;
    const syncedTo = this.#storage?.durable.lsn;
    await this.close();
    // Its fault stays until it is open: it must not look as if it never held anything.
    try {
      await this.open(syncedTo);
    } catch (error) {
      this.stop({ kind: 'UNKNOWN' }, `it cannot be opened again: ${describeCause(error)}`);
    }
    if (this.#storage !== undefined && this.#storage.logFailure === undefined && this.#hasDiskFault) {
      this.#failure = undefined;
      logger.info({ volume: this.#volumeId, scl: formatLsn(this.scl) }, 'the disk can be written again: redo is taken');
    }
    conditions.recheck();
  }

  /** A read or write failed. LevelDB does not say why: then the disk is asked. */
  async #onDiskError(error: unknown, operation: string): Promise<void> {
    const { directory, disk } = this.#parts;
    const words = `${operation}: ${describeCause(error)}`;
    const known = errnoOf(error);
    // At once, whatever the disk says: nothing may be taken now.
    this.#stopForDisk(known === '' ? 'EIO' : known, operation, words);
    if (known !== '') return;
    const failure = this.#failure;
    const probed = await probeDisk(disk, directory);
    // It may have been opened again meanwhile.
    if (this.#failure !== failure) return;
    if (isNoRoom(probed) || (probed !== '' && probed !== 'EIO')) this.#stopForDisk(probed, operation, words);
  }

  #stopForDisk(errno: string, operation: string, words: string): void {
    const room = this.#room ?? { isFull: true, freeBytes: 0, neededBytes: this.#parts.limits.diskReserveBytes };
    const fault: SegmentFault = isNoRoom(errno) ? fullFault(room) : { kind: 'DISK_ERROR', error: errno, operation };
    const message = isNoRoom(errno) ? fullMessage(room) : `the disk fails (${errno}): ${words}`;
    if (this.#failure !== undefined && (this.#failure.message === message || !isOfDisk(this.#failure.fault))) return;
    this.#failure = { fault, message };
    this.#parts.logger.error(
      { volume: this.#volumeId, fault, reason: words },
      'the disk cannot be written: no redo is taken until it can; what is stored is served',
    );
    this.#parts.conditions.recheck();
  }

  async close(): Promise<void> {
    await this.#storage?.close();
    this.#storage = undefined;
    await this.#durable?.close();
    this.#durable = undefined;
  }

  // Damage ---------------------------------------------------------------------------------------------------------

  /** Reads are refused from now on. */
  stop(fault: SegmentFault, message: string): void {
    this.#failure = { fault, message };
    this.#parts.logger.error({ volume: this.#volumeId, fault, damage: message }, 'segment damaged; reads are refused');
    this.#parts.conditions.recheck();
  }

  #onDamage(error: Error): void {
    if (errnoOf(error) !== '' || isStoreIoError(error)) {
      void this.#onDiskError(error, 'store pages').catch((failure: unknown) => this.stop({ kind: 'UNKNOWN' }, String(failure)));
      return;
    }
    this.stop(faultOf(error), describeFailure(error));
  }

  #storageParts(engine: RedoEngine): StorageParts {
    const { disk, directory, limits, clock, durable, conditions, events, logger, fetchPage } = this.#parts;
    return {
      engine,
      disk,
      directory,
      limits,
      clock,
      durable,
      onProgress: () => {
        this.#noteDurable();
        conditions.recheck();
      },
      onLogDamage: (damage) => this.#noteLogDamage(damage),
      onLogFailure: (error) => this.#stopForDisk(errnoOf(error) || 'EIO', 'write redo log', error.message),
      onDamage: (error) => this.#onDamage(error),
      fetchPage,
      dropLimit: (checkpointLsn) => this.#dropLimit(checkpointLsn),
      onCorruption: (kind, error) => {
        events.corruption(kind);
        logger.error({ volume: this.#volumeId, kind, err: error }, 'stored data is damaged');
      },
      onRepair: (kind) => {
        events.repair(kind);
        logger.warn({ volume: this.#volumeId, kind }, 'repaired from a peer');
      },
    };
  }

  #noteDurable(): void {
    const vdl = this.#storage?.vdl ?? 0n;
    this.#durable?.note(vdl < this.scl ? vdl : this.scl);
  }

  /** Beyond the retention limit, and on a full disk, redo goes although a peer lacks it: it will copy the pages. */
  #dropLimit(checkpointLsn: bigint): bigint {
    const isLong = (this.#storage?.logBytes ?? 0) > this.#parts.limits.logRetainBytes;
    return this.#retention.dropLimit(checkpointLsn, isLong || this.#room?.isFull === true);
  }

  // Replacement ----------------------------------------------------------------------------------------------------

  /**
   * Replaces the pages by what `fill` writes into a new store, then opens them with the log where that fits, and with
   * an empty one where not. For imports and copies from peers. On failure everything is as it was.
   */
  replace(fill: Fill): Promise<void> {
    if (this.#isImporting) throw new AuroraRpcError('NOT_READY', 'an import or copy is under way already');
    if (this.unwritable !== undefined) throw new AuroraRpcError('NOT_READY', this.unwritable);
    this.#isImporting = true;
    const { directory, disk, control, limits } = this.#parts;
    const generation = control.value.pagesGeneration + 1;
    const work = async (): Promise<void> => {
      const target = pagesDirectory(directory, generation);
      await disk.removeTree(target);
      await disk.makeDirectory(target);
      const store = await PageStore.open(disk, target, {
        cacheBytes: limits.levelCacheBytes,
        writeBufferBytes: limits.levelWriteBufferBytes,
      });
      const freeBytes = async (): Promise<number> => (await disk.space(target)).freeBytes;
      let replacement: Replacement;
      try {
        replacement = await fill({ store, freeBytes });
      } finally {
        await store.close();
      }
      // Invariant: what the control file becomes is worked out in its own turn. A promise given since the pages came is kept.
      await control.exclusive(() => this.#switch(generation, replacement(control.value)));
    };
    return work()
      .catch(async (error: unknown) => {
        // What did not come to its end takes no room.
        if (control.value.pagesGeneration !== generation) await disk.removeTree(pagesDirectory(directory, generation));
        throw error;
      })
      .finally(() => {
        this.#isImporting = false;
      });
  }

  async #switch(generation: number, change: Partial<SegmentControl>): Promise<void> {
    const { directory, disk, control } = this.#parts;
    const old = control.value;
    // Away before the new history shows: redo that it annuls may be in the old log, and no VDL of the new epoch may be believed there.
    const before = this.#storage;
    this.#storage = undefined;
    try {
      await control.save({
        ...change,
        ready: true,
        pagesGeneration: generation,
        ...(old.ready ? {} : { logGeneration: old.logGeneration + 1 }),
      });
    } catch (error) {
      this.#storage = before;
      throw error;
    }
    await before?.close();
    await this.#durable?.close();
    this.#durable = undefined;
    const heldTo = before?.durable.lsn ?? 0n;
    this.#failure = undefined;
    await this.open();
    if (this.#damageKind === 'DAMAGED_DATA' && old.ready) {
      // The log does not reach the new pages: what it held is fetched again.
      await this.close();
      this.#failure = undefined;
      await control.save({
        logGeneration: control.value.logGeneration + 1,
        recoverToLsn: heldTo > control.value.recoverToLsn ? heldTo : control.value.recoverToLsn,
      });
      await this.open();
    }
    await disk.removeTree(pagesDirectory(directory, old.pagesGeneration));
    if (control.value.logGeneration !== old.logGeneration) {
      await disk.removeTree(logDirectory(directory, old.logGeneration));
    }
    this.#isImporting = false;
  }
}

/** Redo that fails fails on every copy of the same bytes: only damaged bytes are worth a copy. */
function faultOf(error: Error): SegmentFault {
  if (error instanceof LogReadError) return { kind: 'DAMAGED_DATA', part: 'log' };
  if (error instanceof StoredValueError) return { kind: 'DAMAGED_DATA', part: 'page' };
  if (error instanceof AnnulledAppliedError) {
    const { epoch, startLsn, durableLsn } = error;
    return { kind: 'HISTORY_REFUSED', epoch, startLsn, durableLsn };
  }
  if (error instanceof RedoError) return { kind: 'REDO_FAILED', lsn: error.lsn, record: error.record, page: error.page ?? '' };
  return { kind: 'UNKNOWN' };
}

function describeFailure(error: Error): string {
  if (!(error instanceof RedoError)) return error.message;
  return `LSN ${formatLsn(error.lsn)}, ${error.record}${error.page === undefined ? '' : `, ${error.page}`}: ${error.message}`;
}

function describeCause(error: unknown): string {
  const cause = error instanceof Error ? (error.cause ?? error) : error;
  return cause instanceof Error ? cause.message : String(cause);
}

/** Faults that end when the disk can be written again. */
function isOfDisk(fault: SegmentFault): boolean {
  return fault.kind === 'DISK_FULL' || fault.kind === 'DISK_ERROR';
}

function fullFault({ freeBytes, neededBytes }: DiskRoom): SegmentFault {
  return { kind: 'DISK_FULL', freeBytes: BigInt(freeBytes), neededBytes: BigInt(neededBytes) };
}

/** Without the bytes that are free, so that the same words mean that nothing has changed. */
function fullMessage({ neededBytes }: DiskRoom): string {
  return `the disk is full: redo is taken again once ${neededBytes} bytes of it are free`;
}

function highest(...lsns: readonly bigint[]): bigint {
  return lsns.reduce((best, lsn) => (lsn > best ? lsn : best), 0n);
}
