import type { Clock, Timer } from '@kube-aurora/clock';
import { formatLsn } from '@kube-aurora/pg-format/lsn';
import type { EngineState, PageKey, RedoEngine, RedoRecord, TouchedPages } from '@kube-aurora/redo-engine';
import { REDO_BATCH_HEADER_BYTES, recordsOf, type RedoBatchHeader } from '@kube-aurora/volume';
import type { RedoLog } from '../redo-log/redo-log.ts';
import type { Tombstones } from '../pages/tombstones.ts';
import type { RecordTable } from '../pages/record-table.ts';
import type { RedoIndex } from '../pages/redo-index.ts';

/**
 * From the log into memory: durable batches are indexed (which record changes which page), and what is at or below VDL
 * is applied to the engine's state, in LSN order. Both run in slices, so that appends and their acknowledgements go
 * first, and neither runs for every batch: redo gathers for a moment, unless a read waits for it.
 *
 * Invariant: nothing past VDL reaches the state or a stored page; what is past it may still be annulled.
 */

const SLICE_MS = 3;
/** New redo and a new VDL wait so long for more of it. */
const GATHER_MS = 20;
const GATHER_BYTES_MAX = 256 * 1024;
/** Records between two looks at the clock. */
const CLOCK_STRIDE = 64;
/** Decoded records that wait for VDL, and their bytes, at most; the rest is read and decoded again. */
const DECODED_MAX = 8192;
const DECODED_BYTES_MAX = 4 * 1024 * 1024;

interface WaitingBatch {
  readonly header: RedoBatchHeader;
  readonly batch: Buffer;
  readonly position: number;
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

export interface ApplierParts {
  readonly engine: RedoEngine;
  readonly log: RedoLog;
  readonly table: RecordTable;
  readonly index: RedoIndex;
  readonly tombstones: Tombstones;
  readonly clock: Clock;
  /** A page that has a multiple of so many references has a long chain. */
  readonly chainMax: number;
  /** Indexed or applied moved. */
  readonly onProgress: () => void;
  readonly onLongChain: (page: PageKey) => void;
  /** Redo cannot be read or applied: the applier has stopped. */
  readonly onFailure: (error: Error) => void;
}

/** Is given the state as of an LSN at which a batch ends. */
export type TakeSnapshot = (state: EngineState, lsn: number) => void;

export class Applier {
  readonly #parts: ApplierParts;
  #state: EngineState;
  #waiting: WaitingBatch[] = [];
  #waitingBytes = 0;
  #records: Generator<{ lsn: bigint; raw: Buffer }> | undefined;
  #recordsLeft = 0;
  #recordPosition = 0;
  #decoded: RedoRecord[] = [];
  #decodedFirst = 0;
  #decodedBytes = 0;
  #applySeq: number;
  #indexedLsn: number;
  #appliedLsn: number;
  #vdl: number;
  #touched: TouchedPages;
  #takeSnapshot: TakeSnapshot | undefined;
  #gathering: Timer | undefined;
  #scheduled = false;
  /** Somebody waits until all below is applied. */
  #wantedLsn = 0;
  #stopped = false;
  recordsIndexed = 0;

  /** `state` is the one at `lsn`. */
  constructor(parts: ApplierParts, state: EngineState, lsn: number) {
    this.#parts = parts;
    this.#state = state;
    this.#touched = state.touchedPages();
    this.#applySeq = parts.table.next;
    this.#indexedLsn = lsn;
    this.#appliedLsn = lsn;
    this.#vdl = lsn;
  }

  get state(): EngineState {
    return this.#state;
  }
  get indexedLsn(): number {
    return this.#indexedLsn;
  }
  get appliedLsn(): number {
    return this.#appliedLsn;
  }
  /** References from which on a page's chain is long. */
  get chainMax(): number {
    return this.#parts.chainMax;
  }
  get vdl(): number {
    return this.#vdl;
  }
  /** Does the state stand at the end of a batch, with something applied since the table's start? */
  get isAtBatchEnd(): boolean {
    const { table } = this.#parts;
    return this.#applySeq > table.first && table.isLastOfBatch(this.#applySeq - 1);
  }

  /** Is every record that starts below `lsn` applied? */
  hasApplied(lsn: number): boolean {
    if (this.#appliedLsn >= lsn) return true;
    const { table } = this.#parts;
    return this.#indexedLsn >= lsn && (this.#applySeq >= table.next || table.lsn(this.#applySeq) >= lsn);
  }

  /** Has the state of the next batch's end its taker? */
  get isSnapshotWanted(): boolean {
    return this.#takeSnapshot !== undefined;
  }

  /** Gives `take` the state once, at the end of the next batch that is applied. */
  wantSnapshot(take: TakeSnapshot): void {
    this.#takeSnapshot = take;
  }

  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /** Redo that is indexed and durable, and still has to be applied, in bytes of LSN: reads may wait for it. */
  get unappliedBytes(): number {
    return Math.max(0, Math.min(this.#vdl, this.#indexedLsn) - this.#appliedLsn);
  }

  /** A batch that is on disk. */
  add(header: RedoBatchHeader, batch: Buffer, position: number): void {
    this.#waiting.push({ header, batch, position });
    this.#waitingBytes += batch.length;
    this.schedule();
  }

  /** A read waits for what starts below `lsn`: no gathering until it is applied. */
  want(lsn: number): void {
    if (lsn > this.#wantedLsn) this.#wantedLsn = lsn;
    if (!this.hasApplied(lsn)) this.schedule();
  }

  /** Indexes at once: for opening, when nothing else goes on. */
  addNow(header: RedoBatchHeader, batch: Buffer, position: number): void {
    this.add(header, batch, position);
    while (this.#waiting.length > 0) this.#indexSome(Infinity);
  }

  noteVdl(lsn: number): void {
    if (lsn <= this.#vdl) return;
    this.#vdl = lsn;
    this.schedule();
  }

  /** There is something to index or to apply. */
  schedule(): void {
    if (this.#scheduled || this.#stopped) return;
    if (this.#waitingBytes <= GATHER_BYTES_MAX && this.hasApplied(this.#wantedLsn)) {
      this.#gathering ??= this.#parts.clock.after(GATHER_MS, () => this.#pump());
    } else this.#goOn();
  }

  #goOn(): void {
    this.#scheduled = true;
    this.#parts.clock.soon(() => {
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
      const until = this.#parts.clock.now() + SLICE_MS;
      this.#indexSome(until);
      this.#applySome(until);
      if (!this.#scheduled && (this.#waiting.length > 0 || this.#canApply())) this.#goOn();
    } catch (error) {
      this.#stopped = true;
      this.#parts.onFailure(error instanceof Error ? error : new Error(String(error)));
    }
    this.#parts.onProgress();
  }

  #indexSome(until: number): void {
    const { engine, table, index, clock, chainMax, onLongChain } = this.#parts;
    let count = 0;
    while (this.#waiting.length > 0) {
      const waiting = this.#waiting[0];
      if (waiting === undefined) return;
      if (this.#records === undefined) {
        this.#records = recordsOf(waiting.batch);
        this.#recordsLeft = waiting.header.recordCount;
        this.#recordPosition = waiting.position + REDO_BATCH_HEADER_BYTES;
      }
      for (let next = this.#records.next(); next.done !== true; next = this.#records.next()) {
        const { lsn, raw } = next.value;
        this.#recordsLeft--;
        const record = engine.decode(raw, lsn);
        const seq = table.push(Number(lsn), this.#recordPosition, raw.length, this.#recordsLeft === 0);
        this.#recordPosition += (8 + raw.length + 7) & ~7;
        for (const page of this.#touched.of(record)) {
          const refs = index.add(page, seq);
          if (refs >= chainMax && refs % chainMax === 0) onLongChain(page);
        }
        if (this.#decoded.length === 0) this.#decodedFirst = seq;
        if (
          this.#decoded.length < DECODED_MAX &&
          this.#decodedBytes < DECODED_BYTES_MAX &&
          this.#decodedFirst + this.#decoded.length === seq
        ) {
          this.#decoded.push(record);
          this.#decodedBytes += raw.length;
        }
        this.recordsIndexed++;
        if (++count % CLOCK_STRIDE === 0 && clock.now() > until) return;
      }
      this.#records = undefined;
      this.#indexedLsn = Number(waiting.header.endLsn);
      this.#waitingBytes -= waiting.batch.length;
      this.#waiting.shift();
    }
  }

  #canApply(): boolean {
    const { table } = this.#parts;
    return this.#applySeq < table.next && table.lsn(this.#applySeq) < Math.min(this.#vdl, this.#indexedLsn);
  }

  #applySome(until: number): void {
    const { table, tombstones, clock } = this.#parts;
    const limit = Math.min(this.#vdl, this.#indexedLsn);
    let count = 0;
    let taken = 0;
    while (this.#applySeq < table.next) {
      const seq = this.#applySeq;
      const lsn = table.lsn(seq);
      if (lsn >= limit) break;
      let record = this.#decodedFirst + taken === seq ? this.#decoded[taken] : undefined;
      if (record === undefined) record = this.#read(seq, lsn);
      else {
        taken++;
        this.#decodedBytes -= record.raw.length;
      }
      for (const effect of this.#state.apply(record)) tombstones.add(lsn, effect);
      this.#applySeq++;
      this.#appliedLsn = Number(record.endLsn);
      if (this.#takeSnapshot !== undefined && table.isLastOfBatch(seq)) {
        const take = this.#takeSnapshot;
        this.#takeSnapshot = undefined;
        take(this.#state, this.#appliedLsn);
      }
      if (++count % CLOCK_STRIDE === 0 && clock.now() > until) break;
    }
    if (taken > 0) {
      this.#decoded.splice(0, taken);
      this.#decodedFirst += taken;
    }
  }

  #read(seq: number, lsn: number): RedoRecord {
    const { engine, table, log } = this.#parts;
    const at = BigInt(lsn);
    return engine.decode(log.reader.record(table.position(seq), table.recordBytes(seq), at), at);
  }

  /** Forgets indexed records that start at or past `lsn`, which is not below what was applied: they were annulled. */
  annul(lsn: number): void {
    const { table, index } = this.#parts;
    this.#waiting = this.#waiting.filter((waiting) => Number(waiting.header.endLsn) <= lsn);
    this.#waitingBytes = this.#waiting.reduce((sum, waiting) => sum + waiting.batch.length, 0);
    // A batch that was half indexed either stays whole or goes whole.
    if (this.#waiting.length === 0) this.#records = undefined;
    const seq = table.lowerBound(lsn);
    index.annulFrom(seq);
    table.annulFrom(seq);
    if (this.#decodedFirst + this.#decoded.length > seq) this.#decoded.length = Math.max(0, seq - this.#decodedFirst);
    this.#decodedBytes = this.#decoded.reduce((sum, record) => sum + record.raw.length, 0);
    this.#indexedLsn = Math.min(this.#indexedLsn, lsn);
    this.#vdl = Math.min(this.#vdl, lsn);
    this.#followAnew();
  }
  /**
   * What records after the state have set is what counts for those to come; what the annulled ones had set does not.
   */
  #followAnew(): void {
    const { table } = this.#parts;
    this.#touched = this.#state.touchedPages();
    for (let seq = this.#applySeq; seq < table.next; seq++) this.#touched.of(this.#read(seq, table.lsn(seq)));
  }
}
