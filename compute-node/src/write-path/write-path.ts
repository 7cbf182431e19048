import { WAL_PAGE_BYTES, WalFormatError, WalStreamDecoder, formatLsn, type Lsn, type StreamRecord } from '@kube-aurora/pg-format';
import { recordBytesInBatch } from '@kube-aurora/volume';
import type { FlushOutcome, WriteEnd } from '../flush-outcome.ts';
import type { VolumeView } from '../read-path/volume-view.ts';
import type { SegmentStreamState } from './segment-stream.ts';
import { VolumeWriter, type VolumeWriterOptions } from './volume-writer.ts';

/** Where WAL bytes come from: pg_wal of our PostgreSQL (LocalWal). */
export interface WalSource {
  /** At least one byte of [from, to), at most `bytesMax`. */
  read(from: Lsn, to: bigint, bytesMax: number): Buffer;
}

/** Records gather in a batch up to this; a bigger record is a batch of its own. */
const BATCH_BYTES_MAX = 1024 * 1024;
const READ_BYTES_MAX = 1024 * 1024;

export interface WritePathOptions extends Omit<VolumeWriterOptions, 'onDurable'> {
  /** The local WAL can't be what PostgreSQL wrote. Nothing is acknowledged from then on. */
  readonly onDamagedWal: (error: Error) => void;
  readonly onFlushed: (seconds: number) => void;
}

interface WaitingFlush {
  readonly writtenLsn: bigint;
  /** End of the last complete record at or below writtenLsn, known when all of it was read. */
  target: bigint | undefined;
  readonly startedAt: number;
  readonly resolve: (outcome: FlushOutcome) => void;
}

/**
 * Makes PostgreSQL's WAL durable: local WAL → records → the volume's writer; a flush resolves when VDL covers it.
 *
 * Invariants:
 * - a flush resolves with a durableLsn only when the volume holds, durably and in our epoch, all redo up to it;
 * - after fencing or damage none resolves with one;
 * - WAL is read only while the rings have room: memory is bounded whatever the segments do.
 */
export class WritePath implements VolumeView {
  readonly #options: WritePathOptions;
  readonly #volume: VolumeWriter;
  readonly #batchBytesMax: number;
  #decoder: WalStreamDecoder | undefined;
  #wal: WalSource | undefined;
  #flushes: WaitingFlush[] = [];
  #reading: bigint;
  #over: WriteEnd | undefined;
  #durableWaiters: { readonly lsn: bigint; readonly resolve: (outcome: FlushOutcome) => void }[] = [];

  constructor(options: WritePathOptions) {
    this.#options = options;
    // The ring holds several: it fills while one is on its way.
    this.#batchBytesMax = Math.min(BATCH_BYTES_MAX, Math.floor(options.ringBytesMax / 4));
    this.#reading = options.startLsn;
    this.#volume = new VolumeWriter({
      ...options,
      onDurable: () => this.#durable(),
      onFenced: (message) => this.#fence(message),
    });
  }

  get vdl(): bigint {
    return this.#volume.vdl;
  }
  get readFloor(): bigint {
    return this.#volume.readFloor;
  }
  scl(group: number, segment: number): bigint {
    return this.#volume.scl(group, segment);
  }
  segment(group: number, index: number): SegmentStreamState {
    return this.#volume.segment(group, index);
  }
  get ringBytes(): number {
    return this.#volume.ringBytes;
  }
  /** End of the redo that was sent, durable or not. */
  get sentLsn(): bigint {
    return this.#volume.sentLsn;
  }
  get waitingFlushes(): number {
    return this.#flushes.length;
  }
  /** Milliseconds that the oldest flush has waited for its quorum. */
  get oldestFlushMs(): number {
    const [oldest] = this.#flushes;
    return oldest === undefined ? 0 : this.#options.clock.now() - oldest.startedAt;
  }

  start(): void {
    this.#volume.start();
  }

  stop(): void {
    this.#end('stopped');
  }

  /** Appends records that did not come from PostgreSQL (the first batch of an epoch) and waits until they are durable. */
  appendFirst(records: readonly StreamRecord[]): Promise<FlushOutcome> {
    if (this.#over !== undefined) return Promise.resolve({ kind: this.#over });
    const end = records.at(-1)?.endLsn ?? this.#volume.sentLsn;
    this.#volume.append(records);
    return new Promise((resolve) => {
      this.#durableWaiters.push({ lsn: end, resolve });
      this.#settle();
    });
  }

  /** From now on `flush` reads WAL from `source`, beginning after the record at `prev`, which ends where the ring does. */
  follow(source: WalSource, prev: Lsn, systemIdentifier: bigint): void {
    this.#wal = source;
    this.#decoder = new WalStreamDecoder(this.#volume.sentLsn as Lsn, { prev, systemIdentifier });
    this.#reading = this.#volume.sentLsn;
  }

  /** Resolves when every complete record at or below writtenLsn is durable, or with the reason why that can never be. */
  flush(writtenLsn: bigint): Promise<FlushOutcome> {
    if (this.#over !== undefined) return Promise.resolve({ kind: this.#over });
    return new Promise((resolve) => {
      this.#flushes.push({ writtenLsn, target: undefined, startedAt: this.#options.clock.now(), resolve });
      this.#read();
      this.#settle();
    });
  }

  /** Reads and sends WAL for the flushes that wait, as far as the ring has room. */
  #read(): void {
    const decoder = this.#decoder;
    const wal = this.#wal;
    if (decoder === undefined || wal === undefined || this.#over !== undefined) return;
    try {
      for (const flush of this.#flushes) {
        if (flush.target !== undefined) continue;
        if (!this.#readUpTo(flush.writtenLsn, decoder, wal)) return;
        flush.target = decoder.position < flush.writtenLsn ? decoder.position : flush.writtenLsn;
      }
    } catch (error) {
      if (this.#end('damaged')) this.#options.onDamagedWal(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** False when the ring is full; called again when it has room. */
  #readUpTo(writtenLsn: bigint, decoder: WalStreamDecoder, wal: WalSource): boolean {
    if (writtenLsn <= this.#reading) return true;
    // PostgreSQL writes whole pages. The last may end in zeros or in a record that another backend is still copying in;
    // before it everything is complete.
    const lastPage = writtenLsn - BigInt(WAL_PAGE_BYTES);
    let records: StreamRecord[] = [];
    let bytes = 0;
    try {
      for (;;) {
        if (bytes === 0 && !this.#volume.hasRoom(this.#batchBytesMax)) return false;
        const record = decoder.next();
        if (record !== undefined) {
          records.push(record);
          bytes += recordBytesInBatch(record.raw.length);
          if (bytes >= this.#batchBytesMax) {
            this.#volume.append(records);
            records = [];
            bytes = 0;
          }
        } else if (decoder.reachedZeros || decoder.receivedLsn >= writtenLsn) {
          if (decoder.reachedZeros && decoder.position < lastPage) {
            throw new WalFormatError(decoder.position, 'xl_tot_len', `WAL is zero here, PostgreSQL wrote up to ${formatLsn(writtenLsn)}`);
          }
          break;
        } else {
          decoder.push(wal.read(decoder.receivedLsn, writtenLsn, READ_BYTES_MAX));
        }
      }
    } catch (error) {
      if (!(error instanceof WalFormatError) || decoder.position < lastPage) throw error;
    }
    if (records.length > 0) this.#volume.append(records);
    decoder.rewind();
    this.#reading = decoder.position;
    return true;
  }

  #durable(): void {
    if (this.#over !== undefined) return;
    this.#settle();
    if (this.#flushes.some((flush) => flush.target === undefined)) {
      this.#read();
      this.#settle();
    }
  }

  #settle(): void {
    const durableLsn = this.#volume.vdl;
    for (let flush = this.#flushes[0]; flush?.target !== undefined && flush.target <= durableLsn; flush = this.#flushes[0]) {
      this.#flushes.shift();
      flush.resolve({ kind: 'durable', durableLsn });
      this.#options.onFlushed((this.#options.clock.now() - flush.startedAt) / 1000);
    }
    if (this.#durableWaiters.length > 0) {
      const reached = this.#durableWaiters.filter((waiter) => waiter.lsn <= durableLsn);
      this.#durableWaiters = this.#durableWaiters.filter((waiter) => waiter.lsn > durableLsn);
      for (const waiter of reached) waiter.resolve({ kind: 'durable', durableLsn });
    }
  }

  #fence(message: string): void {
    if (this.#end('fenced')) this.#options.onFenced(message);
  }

  /** Nothing is acknowledged from here on, and whoever waits hears why. False when it had ended already: the first reason counts. */
  #end(end: WriteEnd): boolean {
    const first = this.#over === undefined;
    this.#over ??= end;
    this.#volume.stop();
    const waiting = [...this.#flushes, ...this.#durableWaiters];
    this.#flushes = [];
    this.#durableWaiters = [];
    for (const one of waiting) one.resolve({ kind: this.#over });
    return first;
  }
}
