import type { Clock, Timer } from '@kube-aurora/clock';
import { formatLsn, maxLsn, minLsn } from '@kube-aurora/pg-format/lsn';
import type { EngineState, PageKey, TouchMany, TouchPage } from '@kube-aurora/redo-engine';
import { RECORD_LSN_BYTES, recordBytesInBatch, REDO_BATCH_HEADER_BYTES, type RedoBatchHeader } from '@kube-aurora/volume';
import type { RedoLog } from '../redo-log/redo-log.ts';
import type { Tombstones } from '../pages/tombstones.ts';
import type { RecordTable } from '../pages/record-table.ts';
import type { RedoIndex } from '../pages/redo-index.ts';
import type { WorkPace } from './work-pace.ts';

/**
 * From the log into memory: redo that is durable on a quorum is indexed (which record changes which page) and applied
 * to the engine's state, in LSN order and in one pass. It runs in slices, so that
 * appends and their acknowledgements go first, at a pace (work-pace.ts), and not for every batch: redo gathers for a
 * moment, unless a read waits for it. Nothing is made for a record: it is looked at where it stands, and its LSN is a number.
 *
 * Invariant: nothing past VDL is indexed, or reaches the state or a stored page; what is past it may still be annulled.
 */

const SLICE_MS = 3;
/**
 * New redo and a new VDL wait so long for more of it. A read does not: what gathers meanwhile is applied in a
 * millisecond or two.
 */
const GATHER_MS = 50;
const GATHER_BYTES_MAX = 256 * 1024;
/** Records between two looks at the clock. */
const CLOCK_STRIDE = 64;
/** Records that are taken in at once: some hundredths of a millisecond. */
const MANY_MAX = 512;
/** LSNs below it are exact as numbers: nine petabytes of redo. */
const LSN_END = 2n ** 53n;
/** Batches that are done with leave the list so many at a time. */
const PASSED_MAX = 256;

/** A batch that is on disk and not wholly applied. */
interface WaitingBatch {
  readonly startLsn: bigint;
  readonly endLsn: bigint;
  readonly position: number;
  readonly totalBytes: number;
}

/** Redo was applied that a history annuls: one of the two is wrong, and only a person can tell which. */
export class AnnulledAppliedError extends Error {
  readonly startLsn: bigint;
  readonly durableLsn: bigint;
  /** The history's last epoch. */
  readonly epoch: bigint;
  constructor(startLsn: bigint, durableLsn: bigint, epoch: bigint) {
    super(
      `the history of epoch ${epoch} annuls redo past ${formatLsn(startLsn)}, but it is durable and applied up to ${formatLsn(durableLsn)}`,
    );
    this.name = 'AnnulledAppliedError';
    this.startLsn = startLsn;
    this.durableLsn = durableLsn;
    this.epoch = epoch;
  }
}

export interface ApplierOptions {
  readonly log: RedoLog;
  readonly table: RecordTable;
  readonly index: RedoIndex;
  readonly tombstones: Tombstones;
  readonly clock: Clock;
  readonly pace: WorkPace;
  /** A page that has a multiple of so many references has a long chain. */
  readonly chainMax: number;
  /** Applied moved. */
  readonly onProgress: () => void;
  readonly onLongChain: (page: PageKey) => void;
  /** Redo cannot be read or applied: the applier has stopped. */
  readonly onFailure: (error: Error) => void;
}

/** Is given the state as of an LSN at which a batch ends. */
export type TakeSnapshot = (state: EngineState, lsn: bigint) => void;

export class Applier {
  readonly #options: ApplierOptions;
  readonly #state: EngineState;
  /** Takes in a page that the record of `#seq` changes. */
  readonly #touch: TouchPage;
  /** The same of many, the first of which is that of `#seq`. */
  readonly #touchMany: TouchMany;
  /** Pages whose chains have become long with them. */
  readonly #longChains: PageKey[] = [];
  #seq = 0;
  #waiting: WaitingBatch[] = [];
  /** The first of `#waiting` that is not wholly applied, and where in it the next record stands. */
  #first = 0;
  #at = REDO_BATCH_HEADER_BYTES;
  /** Where that starts, of one in the middle of its batch. */
  #atLsn = 0;
  /** That batch, where the log had to read it back. */
  #readBack: Buffer | undefined;
  #appliedLsn: bigint;
  #vdl: bigint;
  #takeSnapshot: TakeSnapshot | undefined;
  #gathering: Timer | undefined;
  #scheduled = false;
  /** The pace asks for a rest until then. */
  #restUntil = -Infinity;
  /** Somebody waits until all below is applied. */
  #wantedLsn = 0n;
  #stopped = false;
  recordsApplied = 0;

  /** `state` is the one at `lsn`. */
  constructor(options: ApplierOptions, state: EngineState, lsn: bigint) {
    this.#options = options;
    this.#state = state;
    const { index, chainMax, onLongChain } = options;
    this.#touch = (space, block, replaces) => {
      const refs = index.add(space, block, replaces, this.#seq);
      if (refs >= chainMax && refs % chainMax === 0) onLongChain({ space, block });
    };
    this.#touchMany = (space, block, refs, from, to) => {
      const count = index.addMany(space, block, this.#seq, refs, from, to);
      if (Math.floor(count / chainMax) > Math.floor((count - (to - from)) / chainMax)) this.#longChains.push({ space, block });
    };
    this.#appliedLsn = lsn;
    this.#vdl = lsn;
  }

  get state(): EngineState {
    return this.#state;
  }
  get appliedLsn(): bigint {
    return this.#appliedLsn;
  }
  /** References from which on a page's chain is long. */
  get chainMax(): number {
    return this.#options.chainMax;
  }
  get vdl(): bigint {
    return this.#vdl;
  }
  /** Does the state stand at the end of a batch, with something applied since the table's start? */
  get isAtBatchEnd(): boolean {
    const { table } = this.#options;
    return table.size > 0 && table.isLastOfBatch(table.next - 1);
  }

  /** Is every record that starts below `lsn` applied? */
  hasApplied(lsn: bigint): boolean {
    return this.#appliedLsn >= lsn || (this.#nextLsn() ?? -1n) >= lsn;
  }

  /** Where the next record starts; undefined when it is not here yet. */
  #nextLsn(): bigint | undefined {
    const next = this.#waiting[this.#first];
    if (next === undefined) return undefined;
    return this.#at === REDO_BATCH_HEADER_BYTES ? next.startLsn : BigInt(this.#atLsn);
  }

  /** Has the state of the next batch's end its taker? */
  get isSnapshotWanted(): boolean {
    return this.#takeSnapshot !== undefined;
  }

  /** Gives `take` the state once, at the end of the next batch that is applied. */
  wantSnapshot(take: TakeSnapshot): void {
    this.#takeSnapshot = take;
  }

  /** Redo that is durable on a quorum and still has to be applied, in bytes of LSN: reads may wait for it. */
  get unappliedBytes(): number {
    const end = this.#waiting.at(-1)?.endLsn ?? this.#appliedLsn;
    return Number(maxLsn(0n, minLsn(this.#vdl, end) - this.#appliedLsn));
  }

  /** A batch that is on disk. */
  add(header: RedoBatchHeader, position: number): void {
    this.addStored(header, position);
    this.schedule();
  }

  /** The same, while opening: it is applied once something is scheduled. */
  addStored({ startLsn, endLsn, totalBytes }: RedoBatchHeader, position: number): void {
    this.#waiting.push({ startLsn, endLsn, position, totalBytes });
  }

  /** A read waits for what starts below `lsn`: no gathering until it is applied. */
  want(lsn: bigint): void {
    if (lsn > this.#wantedLsn) this.#wantedLsn = lsn;
    if (!this.hasApplied(lsn)) this.schedule();
  }

  noteVdl(lsn: bigint): void {
    if (lsn <= this.#vdl) return;
    this.#vdl = lsn;
    this.schedule();
  }

  /** There is something to apply. */
  schedule(): void {
    if (this.#scheduled || this.#stopped || !this.#canApply()) return;
    this.#goOnIn(this.unappliedBytes <= GATHER_BYTES_MAX ? GATHER_MS : this.#restUntil - this.#options.clock.now());
  }

  /** In so many milliseconds, or in the event loop's next turn where a read waits. */
  #goOnIn(ms: number): void {
    const { clock } = this.#options;
    if (ms > 0 && this.hasApplied(this.#wantedLsn)) {
      this.#gathering ??= clock.after(ms, () => this.#pump());
      return;
    }
    this.#gathering?.cancel();
    this.#gathering = undefined;
    this.#scheduled = true;
    clock.soon(() => {
      this.#scheduled = false;
      this.#pump();
    });
  }

  stop(): void {
    this.#stopped = true;
    this.#gathering?.cancel();
  }

  #pump(): void {
    this.#gathering?.cancel();
    this.#gathering = undefined;
    if (this.#stopped) return;
    try {
      const { clock, pace } = this.#options;
      const began = clock.now();
      this.#applySome(began + SLICE_MS);
      const ended = clock.now();
      const restMs = pace.restAfter(ended - began);
      this.#restUntil = ended + restMs;
      if (!this.#scheduled && this.#canApply()) this.#goOnIn(restMs);
    } catch (error) {
      this.#stopped = true;
      this.#options.onFailure(error instanceof Error ? error : new Error(String(error)));
    }
    this.#options.onProgress();
  }

  /** Records from here on may be annulled still. */
  get #limit(): bigint {
    return this.#vdl;
  }

  #canApply(): boolean {
    const next = this.#waiting[this.#first];
    return next !== undefined && (this.#nextLsn() ?? next.startLsn) < this.#limit;
  }

  #applySome(until: number): void {
    try {
      this.#applyUntil(until, Number(this.#limit));
    } finally {
      this.#noteApplied();
    }
  }

  /** `limit`: records from there on may be annulled still. */
  #applyUntil(until: number, limit: number): void {
    const { clock } = this.#options;
    let count = 0;
    let looked = 0;
    for (;;) {
      const batch = this.#waiting[this.#first];
      if (batch === undefined || batch.startLsn >= limit) break;
      if (batch.endLsn >= LSN_END) throw new RangeError(`redo ends at ${formatLsn(batch.endLsn)}, past what can be told apart`);
      const bytes = this.#bytesOf(batch);
      while (this.#at < batch.totalBytes) {
        const lsn = lsnAt(bytes, this.#at);
        this.#atLsn = lsn;
        if (lsn >= limit) return;
        if (count - looked >= CLOCK_STRIDE) {
          looked = count;
          if (clock.now() > until) return;
        }
        count += this.#applyMany(batch, bytes, limit) || this.#applyRecord(batch, bytes, lsn);
      }
      this.#passOver();
    }
  }

  /** Applies records that change pages alone, from the one at `#at` on; gives how many. */
  #applyMany(batch: WaitingBatch, bytes: Buffer, limit: number): number {
    const { table } = this.#options;
    const { position, totalBytes } = batch;
    const places = table.places(MANY_MAX);
    this.#seq = table.next;
    const count = this.#state.takeMany({ batch: bytes, position, at: this.#at, end: totalBytes, limit }, places, this.#touchMany);
    if (count === 0) return 0;
    const last = places.first + count - 1;
    this.#at = (places.positions[last] ?? 0) - position + recordBytesInBatch(places.lengths[last] ?? 0);
    table.filled(count, this.#at >= totalBytes);
    this.recordsApplied += count;
    // Whoever writes one asks the table for its records.
    for (const page of this.#longChains.splice(0)) this.#options.onLongChain(page);
    if (this.#at >= totalBytes) this.#atBatchEnd();
    return count;
  }

  /** Applies the record at `#at`, whatever it is; gives that it was one. */
  #applyRecord(batch: WaitingBatch, bytes: Buffer, lsn: number): number {
    const { table, tombstones } = this.#options;
    const at = this.#at;
    const length = bytes.readUInt32LE(at + RECORD_LSN_BYTES);
    this.#at = at + recordBytesInBatch(length);
    const isLast = this.#at >= batch.totalBytes;
    this.#seq = table.push(lsn, batch.position + at, length, isLast);
    const effects = this.#state.take(bytes, at + RECORD_LSN_BYTES, length, lsn, this.#touch);
    for (const effect of effects) tombstones.add(BigInt(lsn), effect);
    this.recordsApplied++;
    if (isLast) this.#atBatchEnd();
    return 1;
  }

  #atBatchEnd(): void {
    const take = this.#takeSnapshot;
    if (take === undefined) return;
    this.#takeSnapshot = undefined;
    this.#noteApplied();
    take(this.#state, this.#appliedLsn);
  }

  #noteApplied(): void {
    this.#appliedLsn = maxLsn(this.#appliedLsn, this.#state.endLsn);
  }

  /** On to the next batch. */
  #passOver(): void {
    this.#readBack = undefined;
    this.#first++;
    this.#at = REDO_BATCH_HEADER_BYTES;
    if (this.#first < PASSED_MAX && this.#first < this.#waiting.length) return;
    this.#waiting.splice(0, this.#first);
    this.#first = 0;
  }

  /** Of use for as long as nothing is appended. Throws LogReadError. */
  #bytesOf({ position, totalBytes }: WaitingBatch): Buffer {
    const { reader } = this.#options.log;
    return reader.recentBatch(position, totalBytes) ?? (this.#readBack ??= reader.batch(position, totalBytes));
  }

  /**
   * Forgets redo past `lsn`, where a batch ends, and which is not below what was applied: it was annulled. A batch that
   * is applied in part ends at or below it, then.
   */
  annul(lsn: bigint): void {
    this.#waiting = this.#waiting.slice(this.#first).filter((waiting) => waiting.endLsn <= lsn);
    this.#first = 0;
    this.#readBack = undefined;
    this.#vdl = minLsn(this.#vdl, lsn);
  }
}

/** A record's LSN, which stands before it in a batch. */
function lsnAt(batch: Buffer, at: number): number {
  return batch.readUInt32LE(at) + batch.readUInt32LE(at + 4) * 0x1_0000_0000;
}
