import { join } from 'node:path';
import type { Clock } from '@kube-aurora/clock';
import { RedoError, type EngineState, type PageKey, type RedoEngine } from '@kube-aurora/redo-engine';
import { annulPoint, lastEpoch, type RedoBatchHeader } from '@kube-aurora/volume';
import { AnnulledAppliedError, Applier } from '../checkpoint/applier.ts';
import { WorkPace } from '../checkpoint/work-pace.ts';
import type { Disk } from '../disk/disk.ts';
import { errnoOf, isStoreIoError } from '../disk/disk-room.ts';
import { PageStore } from '../pages/page-store.ts';
import type { Checkpoint } from '../pages/stored-pages.ts';
import { RecordTable } from '../pages/record-table.ts';
import { RedoIndex } from '../pages/redo-index.ts';
import { decodeTombstones, Tombstones, type Tombstone } from '../pages/tombstones.ts';
import type { DurableEvent } from '../redo-log/durable-event.ts';
import type { ChainLink } from '../redo-log/log-chain.ts';
import type { LogDamage } from '../redo-log/log-recovery.ts';
import { RedoLog } from '../redo-log/redo-log.ts';
import type { SegmentControl } from './control-file.ts';
import { KeyUnusableError } from '../disk/key-unusable-error.ts';
import type { SegmentForms } from './segment-key.ts';
import type { SegmentLimits } from './limits.ts';

/** Opens what a segment's control file points to: the page store, the log, and from the two what is kept in memory. */

/** An eighth of what may wait to be applied is worth all there is: a read of the newest page waits for it. */
const EAGER = 8;

/** The stored pages or state cannot be used: they have to be copied from a peer. */
export class StoreUnusableError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'StoreUnusableError';
  }
}

export interface StorageOptions {
  readonly engine: RedoEngine;
  readonly disk: Disk;
  /** How redo and pages stand on it. */
  readonly forms: SegmentForms;
  readonly directory: string;
  readonly limits: SegmentLimits;
  readonly clock: Clock;
  /** Told whenever redo has got to the disk. */
  readonly durable: DurableEvent;
  /** The applier moved. */
  readonly onProgress: () => void;
  /** The log was found damaged in the middle, and is cut off there once this has resolved. */
  readonly onLogDamage: (damage: LogDamage) => Promise<void>;
  /** The log's disk failed: nothing more can be accepted. */
  readonly onLogFailure: (error: Error) => void;
  /** Redo could not be applied, or stored data not be read: reads must stop. */
  readonly onDamage: (error: Error) => void;
  /** Fetches one page as of the LSN from a peer; undefined result page: it does not exist. Rejects when no peer can. */
  readonly fetchPage: (page: PageKey, lsn: bigint) => Promise<Buffer | undefined>;
  /** Up to where redo may go, now that pages are stored as of the checkpoint. */
  readonly dropLimit: (checkpointLsn: bigint) => bigint;
  readonly onCorruption: (kind: 'page' | 'log' | 'state', error: Error) => void;
  readonly onRepair: (kind: 'page' | 'log' | 'copy') => void;
}

/** What was opened; `SegmentStorage` ties it together. */
export interface OpenedStorage {
  readonly log: RedoLog;
  readonly store: PageStore;
  readonly table: RecordTable;
  readonly index: RedoIndex;
  readonly tombstones: Tombstones;
  readonly applier: Applier;
  /** The applier's. */
  readonly pace: WorkPace;
  readonly checkpoint: Checkpoint;
  readonly hasRemovalsDue: boolean;
}

/** What is known elsewhere of the log that is opened. */
export interface KnownOfLog {
  /** Redo up to here is durable on a quorum: no history may annul it. */
  readonly durableLsn: bigint;
  /**
   * What this process had synced, after a write failed: redo past it may look sound and never have reached the disk.
   */
  readonly endLsn?: bigint | undefined;
}

export function pagesDirectory(directory: string, generation: number): string {
  return join(directory, `pages-${generation}`);
}

export function logDirectory(directory: string, generation: number): string {
  return join(directory, `log-${generation}`);
}

/**
 * Opens what the control file points to. Throws StoreUnusableError when the pages must be copied from a peer,
 * KeyUnusableError when what is there does not open with its key, and AnnulledAppliedError when its history rules out what its pages hold, or what is durable. Redo past `endLsn` is cut
 * off. Errors of the disk are thrown as they are.
 */
export async function openStorage(
  options: StorageOptions,
  control: SegmentControl,
  known: KnownOfLog,
  onLongChain: (page: PageKey) => void,
): Promise<OpenedStorage> {
  const { clock, limits, onProgress, onDamage } = options;
  const store = await openStore(options, control);
  let log: RedoLog | undefined;
  try {
    const { checkpoint, state, removals } = await readCheckpoint(store, options);
    const table = new RecordTable();
    const index = new RedoIndex();
    const tombstones = new Tombstones();
    for (const { lsn, effect } of removals) tombstones.add(lsn, effect);
    /** Batches past the checkpoint, which are read back and applied once it is known how far redo is durable. */
    const later: { header: RedoBatchHeader; position: number }[] = [];
    log = await openLog(options, control, checkpoint, (header, position) => {
      if (header.endLsn > checkpoint.lsn) later.push({ header, position });
    });
    // It would begin anew there, and lack what a tail keeps.
    if (control.role === 'TAIL' && log.tail.lsn < checkpoint.lsn)
      throw new StoreUnusableError(`the log ends at ${log.tail.lsn}, before the pages' checkpoint at ${checkpoint.lsn}`);
    if (log.startLsn > checkpoint.lsn)
      throw new StoreUnusableError(`the log starts at ${log.startLsn}, after the pages' checkpoint at ${checkpoint.lsn}`);
    await cutToWhatCounts(log, control, checkpoint, known);
    const { chainMax } = limits;
    const pace = new WorkPace(() => (EAGER * applier.unappliedBytes) / limits.unappliedBytes);
    const applier = new Applier(
      { log, table, index, tombstones, clock, pace, chainMax, onProgress, onLongChain, onFailure: onDamage },
      state,
      checkpoint.lsn,
    );
    const end = log.tail.lsn;
    for (const { header, position } of later) {
      if (header.endLsn > end) break;
      applier.addStored(header, position);
    }
    return { log, store, table, index, tombstones, applier, pace, checkpoint, hasRemovalsDue: removals.length > 0 };
  } catch (error) {
    await log?.close();
    await store.close();
    throw error;
  }
}

async function openStore({ disk, directory, limits, forms }: StorageOptions, control: SegmentControl): Promise<PageStore> {
  try {
    return await PageStore.open(disk, pagesDirectory(directory, control.pagesGeneration), {
      cacheBytes: limits.levelCacheBytes,
      writeBufferBytes: limits.levelWriteBufferBytes,
      flushPages: limits.flushPages,
      form: forms.pages,
    });
  } catch (error) {
    if (errnoOf(error) !== '' || isStoreIoError(error)) throw error;
    throw new StoreUnusableError(`the page store cannot be opened: ${String(error instanceof Error ? (error.cause ?? error) : error)}`);
  }
}

/** Opens the log; `start` is where it stands when it holds no batch. */
export function openLog(
  { engine, disk, forms, directory, limits, clock, durable, onLogFailure, onLogDamage }: StorageOptions,
  control: SegmentControl,
  start: ChainLink,
  onBatch: (header: RedoBatchHeader, position: number) => void,
): Promise<RedoLog> {
  return RedoLog.open(
    logDirectory(directory, control.logGeneration),
    {
      fileBytes: limits.logFileBytes,
      tailCacheBytes: limits.tailCacheBytes,
      disk,
      form: forms.batches,
      clock,
      durable,
      onFailure: onLogFailure,
      isRecordSound: (raw) => engine.isRecordSound(raw),
    },
    start,
    (header, _bytes, position) => {
      onBatch(header, position);
      return Promise.resolve();
    },
    onLogDamage,
  );
}

/**
 * Leaves of the log what was synced, what is needed past `from`, up to which redo is durable, and what the epoch
 * history lets stand.
 */
export async function cutToWhatCounts(
  log: RedoLog,
  { history }: SegmentControl,
  from: ChainLink,
  { durableLsn, endLsn }: KnownOfLog,
): Promise<void> {
  if (endLsn !== undefined && endLsn < log.tail.lsn && endLsn >= log.startLsn) await log.annul(endLsn);
  if (log.tail.lsn < from.lsn) await log.restart(from);
  const annulTo = annulPoint(history, log.runs);
  const durable = durableLsn > from.lsn ? durableLsn : from.lsn;
  if (annulTo !== undefined && annulTo < durable) throw new AnnulledAppliedError(annulTo, durable, lastEpoch(history));
  if (annulTo !== undefined) await log.annul(annulTo);
}

async function readCheckpoint(
  store: PageStore,
  { engine, onCorruption }: StorageOptions,
): Promise<{ checkpoint: Checkpoint; state: EngineState; removals: Tombstone[] }> {
  try {
    const checkpoint = await store.checkpoint();
    const bytes = await store.state();
    if (checkpoint === undefined || bytes === undefined) throw new StoreUnusableError('the page store has no checkpoint or no state');
    const removals = await store.removals();
    return { checkpoint, state: engine.decodeState(bytes), removals: removals === undefined ? [] : decodeTombstones(removals) };
  } catch (error) {
    if (error instanceof StoreUnusableError || error instanceof KeyUnusableError || error instanceof RedoError) throw error;
    if (errnoOf(error) !== '' || isStoreIoError(error)) throw error;
    const reason = error instanceof Error ? error : new Error(String(error));
    onCorruption('state', reason);
    throw new StoreUnusableError(reason.message);
  }
}
