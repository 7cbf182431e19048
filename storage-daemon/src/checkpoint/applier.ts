import type { Clock, Timer } from '@kube-aurora/clock';
import { decodeRecord, formatLsn, RMGR, type Lsn, type WalRecord } from '@kube-aurora/pg-format';
import { applyEffects, touchedPages, type VolumeState } from '@kube-aurora/redo';
import { REDO_BATCH_HEADER_BYTES, recordsOf, type RedoBatchHeader } from '@kube-aurora/volume';
import type { RedoLog } from '../redo-log/redo-log.ts';
import type { Tombstones } from '../pages/tombstones.ts';
import type { RecordTable } from '../pages/record-table.ts';
import type { RedoIndex } from '../pages/redo-index.ts';

/**
 * From the log into memory: durable batches are indexed (which record changes which page), and what is at or below VDL
 * is applied to the VolumeState, in LSN order. Both run in slices, so that appends and their acknowledgements go first, and
 * neither runs for every batch: redo gathers for a moment, unless a read waits for it.
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
const PARAMETER_CHANGE = 0x60;

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
  readonly log: RedoLog;
  readonly table: RecordTable;
  readonly index: RedoIndex;
  readonly tombstones: Tombstones;
  readonly clock: Clock;
}

export class Applier {
  readonly #parts: ApplierParts;
  #state: VolumeState;
  #waiting: WaitingBatch[] = [];
  #waitingBytes = 0;
  #records: Generator<{ lsn: Lsn; raw: Buffer }> | undefined;
  #recordsLeft = 0;
  #recordPosition = 0;
  #decoded: WalRecord[] = [];
  #decodedFirst = 0;
  #decodedBytes = 0;
  #applySeq: number;
  #indexedLsn: number;
  #appliedLsn: number;
  #vdl: number;
  #commitTimestamps: boolean;
  #gathering: Timer | undefined;
  #scheduled = false;
  /** Somebody waits until all below is applied. */
  #wantedLsn = 0;
  #stopped = false;
  recordsIndexed = 0;
  /** Called when indexed or applied moved. */
  onProgress: () => void = () => {};
  /** Called with the state after a record that ends a batch, while a snapshot is wanted. */
  onSnapshot: ((state: VolumeState, lsn: number) => void) | undefined;
  /** A page got this many references. */
  onLongChain: (page: Parameters<RedoIndex['add']>[0]) => void = () => {};
  readonly chainMax: number;
  onFailure: (error: Error) => void = () => {};

  /** `state` is the one at `lsn`. */
  constructor(parts: ApplierParts, state: VolumeState, lsn: number, chainMax: number) {
    this.#parts = parts;
    this.#state = state;
    this.#applySeq = parts.table.next;
    this.#indexedLsn = lsn;
    this.#appliedLsn = lsn;
    this.#vdl = lsn;
    this.chainMax = chainMax;
    this.#commitTimestamps = state.control.trackCommitTimestamp;
  }

  get state(): VolumeState {
    return this.#state;
  }
  get indexedLsn(): number {
    return this.#indexedLsn;
  }
  get appliedLsn(): number {
    return this.#appliedLsn;
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
  get waitingBytes(): number {
    return this.#waitingBytes;
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
      this.onFailure(error instanceof Error ? error : new Error(String(error)));
    }
    this.onProgress();
  }

  #indexSome(until: number): void {
    const { table, index, clock } = this.#parts;
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
        const record = decodeRecord(raw, lsn);
        if (record.rmid === RMGR.XLOG && (record.info & 0xf0) === PARAMETER_CHANGE && record.mainData.length > 25) {
          this.#commitTimestamps = record.mainData[25] !== 0;
        }
        const seq = table.push(Number(lsn), this.#recordPosition, raw.length, this.#recordsLeft === 0);
        this.#recordPosition += (8 + raw.length + 7) & ~7;
        for (const page of touchedPages(record, this.#commitTimestamps)) {
          const refs = index.add(page, seq);
          if (refs >= this.chainMax && refs % this.chainMax === 0) this.onLongChain(page);
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
      for (const effect of applyEffects(this.#state, record)) tombstones.add(lsn, effect);
      this.#applySeq++;
      this.#appliedLsn = Number(record.endLsn);
      if (this.onSnapshot !== undefined && table.isLastOfBatch(seq)) this.onSnapshot(this.#state, this.#appliedLsn);
      if (++count % CLOCK_STRIDE === 0 && clock.now() > until) break;
    }
    if (taken > 0) {
      this.#decoded.splice(0, taken);
      this.#decodedFirst += taken;
    }
  }

  #read(seq: number, lsn: number): WalRecord {
    const { table, log } = this.#parts;
    const at = BigInt(lsn) as Lsn;
    return decodeRecord(log.reader.record(table.position(seq), table.recordBytes(seq), at), at);
  }

  /** Forgets indexed records that start at or past `lsn`, which is not below what was applied: they were annulled. */
  truncate(lsn: number): void {
    const { table, index } = this.#parts;
    this.#waiting = this.#waiting.filter((waiting) => Number(waiting.header.endLsn) <= lsn);
    this.#waitingBytes = this.#waiting.reduce((sum, waiting) => sum + waiting.batch.length, 0);
    // A batch that was half indexed either stays whole or goes whole.
    if (this.#waiting.length === 0) this.#records = undefined;
    const seq = table.lowerBound(lsn);
    index.truncateFrom(seq);
    table.truncateFrom(seq);
    if (this.#decodedFirst + this.#decoded.length > seq) this.#decoded.length = Math.max(0, seq - this.#decodedFirst);
    this.#decodedBytes = this.#decoded.reduce((sum, record) => sum + record.raw.length, 0);
    this.#indexedLsn = Math.min(this.#indexedLsn, lsn);
    this.#vdl = Math.min(this.#vdl, lsn);
    this.#commitTimestamps = this.#state.control.trackCommitTimestamp;
  }
}
