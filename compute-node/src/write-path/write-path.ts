import type { Clock, Timer } from '@kube-aurora/clock';
import { WAL_PAGE_BYTES, WalFormatError, WalStreamDecoder, formatLsn, type Lsn, type StreamRecord } from '@kube-aurora/pg-format';
import { encodeAppendRequest, type EpochStart } from '@kube-aurora/rpc';
import { QuorumTracker, RedoRing, WRITE_QUORUM, encodeRedoBatch, recordBytesInBatch } from '@kube-aurora/volume';
import type { Logger } from '@kube-aurora/process';
import type { FlushOutcome, WriteEnd } from '../flush-outcome.ts';
import type { SegmentEndpoint, WriterIdentity } from '../segments.ts';
import { FanOut } from './fan-out.ts';
import { SegmentStream, heartbeatMessage, type StreamPhase } from './segment-stream.ts';

/** Where WAL bytes come from: pg_wal of our PostgreSQL (LocalWal). */
export interface WalSource {
  /** At least one byte of [from, to), at most `bytesMax`. */
  read(from: Lsn, to: bigint, bytesMax: number): Buffer;
}

/** Records gather in a batch up to this; a bigger record is a batch of its own. */
const BATCH_BYTES_MAX = 1024 * 1024;
const READ_BYTES_MAX = 1024 * 1024;
/** Segments hear of a new VDL this soon even when no redo follows to carry it. */
const HEARTBEAT_MS = 50;

export interface WritePathOptions {
  readonly segments: readonly SegmentEndpoint[];
  readonly identity: WriterIdentity;
  readonly epoch: bigint;
  readonly history: readonly EpochStart[];
  /** X: redo of this epoch follows it. */
  readonly startLsn: bigint;
  /** Epoch of the batch that ends at X. */
  readonly previousEpoch: bigint;
  readonly ringBytesMax: number;
  /** Lowest LSN that a page read under way may still ask for, or undefined when there is none. */
  readonly oldestRead: () => bigint | undefined;
  readonly onFenced: (message: string) => void;
  /** The local WAL can't be what PostgreSQL wrote. Nothing is acknowledged from then on. */
  readonly onDamagedWal: (error: Error) => void;
  readonly onFlushed: (seconds: number) => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface WaitingFlush {
  readonly writtenLsn: bigint;
  /** End of the last complete record at or below writtenLsn, known when all of it was read. */
  target: bigint | undefined;
  readonly startedAt: number;
  readonly resolve: (outcome: FlushOutcome) => void;
}

/**
 * Makes redo durable: local WAL → records → batches → ring → six streams; a flush resolves when PGCL covers it.
 *
 * With one protection group VCL is PGCL, and every record ends a mini-transaction, so VDL is PGCL too.
 *
 * Invariants:
 * - a flush resolves with a durableLsn only when four segments hold, on disk, all redo up to it in our epoch;
 * - after fencing or damage none resolves with one;
 * - WAL is read only while the ring has room: memory is bounded whatever the segments do.
 */
export class WritePath {
  readonly #options: WritePathOptions;
  readonly #ring: RedoRing;
  readonly #tracker: QuorumTracker;
  readonly #streams: SegmentStream[];
  readonly #fanOut: FanOut;
  readonly #batchBytesMax: number;
  #decoder: WalStreamDecoder | undefined;
  #wal: WalSource | undefined;
  #previousEpoch: bigint;
  #flushes: WaitingFlush[] = [];
  #reading: bigint;
  #over: WriteEnd | undefined;
  #announcedVdl: bigint;
  #announcedPgmrpl = 0n;
  #heartbeat: Timer | undefined;
  #durableWaiters: { readonly lsn: bigint; readonly resolve: (outcome: FlushOutcome) => void }[] = [];

  constructor(options: WritePathOptions) {
    this.#options = options;
    this.#ring = new RedoRing(options.startLsn, options.ringBytesMax);
    // Four segments held X when the volume was opened.
    this.#tracker = new QuorumTracker(options.startLsn, options.segments.length);
    this.#previousEpoch = options.previousEpoch;
    // The ring holds several: it fills while one is on its way.
    this.#batchBytesMax = Math.min(BATCH_BYTES_MAX, Math.floor(options.ringBytesMax / 4));
    this.#announcedVdl = options.startLsn;
    this.#reading = options.startLsn;
    this.#streams = options.segments.map(
      (endpoint) =>
        new SegmentStream(endpoint, {
          identity: options.identity,
          epoch: options.epoch,
          history: options.history,
          ring: this.#ring,
          vdl: () => this.vdl,
          // Announced, not just told: reads that begin later must be at or above it.
          pgmrpl: () => this.#announcePgmrpl(),
          onAcknowledged: (segment, scl) => this.#acknowledged(segment, scl),
          onFenced: (message) => this.#fence(message),
          clock: options.clock,
          logger: options.logger,
        }),
    );
    this.#fanOut = new FanOut({ sinks: this.#streams, quorum: WRITE_QUORUM, clock: options.clock });
  }

  get vdl(): bigint {
    return this.#tracker.point;
  }
  get ringBytes(): number {
    return this.#ring.bytes;
  }
  /** End of the redo that was sent, durable or not. */
  get sentLsn(): bigint {
    return this.#ring.endLsn;
  }
  get waitingFlushes(): number {
    return this.#flushes.length;
  }
  /** Milliseconds that the oldest flush has waited for its quorum. */
  get oldestFlushMs(): number {
    const [oldest] = this.#flushes;
    return oldest === undefined ? 0 : this.#options.clock.now() - oldest.startedAt;
  }
  /** The lowest LSN storage was told it must still serve: reads ask at this or higher. */
  get announcedPgmrpl(): bigint {
    return this.#announcedPgmrpl;
  }
  segment(index: number): { phase: StreamPhase; scl: bigint; errors: number; lastError: string; inFlightBytes: number } {
    const stream = this.#streams[index];
    if (stream === undefined) return { phase: 'stopped', scl: 0n, errors: 0, lastError: '', inFlightBytes: 0 };
    return {
      phase: stream.phase,
      scl: stream.scl,
      errors: stream.errors,
      lastError: stream.lastError,
      inFlightBytes: stream.inFlightBytes,
    };
  }

  start(): void {
    for (const stream of this.#streams) stream.start();
  }

  stop(): void {
    this.#end('stopped');
  }

  /** Appends records that did not come from PostgreSQL (the first batch of an epoch) and waits until they are durable. */
  appendFirst(records: readonly StreamRecord[]): Promise<FlushOutcome> {
    if (this.#over !== undefined) return Promise.resolve({ kind: this.#over });
    const end = records.at(-1)?.endLsn ?? this.#ring.endLsn;
    this.#push(records);
    return new Promise((resolve) => {
      this.#durableWaiters.push({ lsn: end, resolve });
      this.#settle();
    });
  }

  /** From now on `flush` reads WAL from `source`, beginning after the record at `prev`, which ends where the ring does. */
  follow(source: WalSource, prev: Lsn, systemIdentifier: bigint): void {
    this.#wal = source;
    this.#decoder = new WalStreamDecoder(this.#ring.endLsn as Lsn, { prev, systemIdentifier });
    this.#reading = this.#ring.endLsn;
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
        if (bytes === 0 && !this.#ring.hasRoom(this.#batchBytesMax, this.#tracker.point)) return false;
        const record = decoder.next();
        if (record !== undefined) {
          records.push(record);
          bytes += recordBytesInBatch(record.raw.length);
          if (bytes >= this.#batchBytesMax) {
            this.#push(records);
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
    if (records.length > 0) this.#push(records);
    decoder.rewind();
    this.#reading = decoder.position;
    return true;
  }

  #push(records: readonly StreamRecord[]): void {
    const { epoch } = this.#options;
    const backlink = this.#ring.endLsn;
    const batch = encodeRedoBatch({ pg: this.#options.identity.segment.pg, epoch, backlink, previousEpoch: this.#previousEpoch, records });
    const endLsn = records[records.length - 1]?.endLsn ?? backlink;
    const message = encodeAppendRequest([batch], this.#announceVdl(), this.#announcePgmrpl());
    this.#ring.push({ backlink, endLsn, message });
    this.#previousEpoch = epoch;
    this.#fanOut.pushed(endLsn, message.length);
  }

  #acknowledged(segment: number, scl: bigint): void {
    if (this.#over !== undefined || !this.#tracker.acknowledge(segment, scl)) return;
    this.#fanOut.durable(this.#tracker.point);
    this.#settle();
    if (this.#flushes.some((flush) => flush.target === undefined)) {
      this.#read();
      this.#settle();
    }
    this.#heartbeat ??= this.#options.clock.after(HEARTBEAT_MS, () => this.#beat());
  }

  #settle(): void {
    const durableLsn = this.#tracker.point;
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

  #beat(): void {
    this.#heartbeat = undefined;
    if (this.#over !== undefined) return;
    if (this.#announcedVdl < this.vdl) {
      const message = heartbeatMessage(this.#announceVdl(), this.#announcePgmrpl());
      for (const stream of this.#streams) stream.heartbeat(message);
    }
  }

  #announceVdl(): bigint {
    this.#announcedVdl = this.vdl;
    return this.#announcedVdl;
  }

  #announcePgmrpl(): bigint {
    const point = this.#pgmrpl();
    if (point > this.#announcedPgmrpl) this.#announcedPgmrpl = point;
    return this.#announcedPgmrpl;
  }

  #pgmrpl(): bigint {
    const oldest = this.#options.oldestRead();
    return oldest !== undefined && oldest < this.vdl ? oldest : this.vdl;
  }

  #fence(message: string): void {
    if (this.#end('fenced')) this.#options.onFenced(message);
  }

  /** Nothing is acknowledged from here on, and whoever waits hears why. False when it had ended already: the first reason counts. */
  #end(end: WriteEnd): boolean {
    const first = this.#over === undefined;
    this.#over ??= end;
    for (const stream of this.#streams) stream.stop();
    this.#heartbeat?.cancel();
    this.#fanOut.stop();
    const waiting = [...this.#flushes, ...this.#durableWaiters];
    this.#flushes = [];
    this.#durableWaiters = [];
    for (const one of waiting) one.resolve({ kind: this.#over });
    return first;
  }
}
