import {
  WAL_PAGE_BYTES,
  WalFormatError,
  WalStreamDecoder,
  formatLsn,
  recordOnTimeline,
  type BegunRecord,
  type Lsn,
} from '@kube-aurora/pg-format';
import type { RecordRun } from '@kube-aurora/volume';
import { RunCutter, type NoteRecord } from '@kube-aurora/wal-cut';
import { RunningTransactions } from './running-transactions.ts';

/** Where WAL bytes come from: pg_wal of our PostgreSQL (LocalWal). */
export interface WalSource {
  /** At least one byte of [from, to), at most `bytesMax`. They hold until the next call. */
  read(from: Lsn, to: bigint, bytesMax: number): Buffer;
  /** The volume's timeline, where PostgreSQL writes on another: its records are given as if they had been written on this. */
  readonly volumeTimeline?: number | undefined;
}

/** More would not be read faster, and this much stays in the processor's cache while records are cut from it. */
const READ_BYTES_MAX = 256 * 1024;

/** How a pass stands: `full`: the run is; go on when it was sent. `end`: everything that is complete was read. */
export type PassState = 'full' | 'end';

/**
 * Cuts the WAL that PostgreSQL has written, and goes on writing, into whole records.
 *
 * PostgreSQL writes whole pages, in their order, and only the last one that it has written may be written again: it may
 * end in zeros or in a record that a backend is still copying in, and it may change while it is read. Hence passes: one
 * begins with a position up to which WAL was written, takes what is complete before it, and forgets the rest of what it
 * read.
 *
 * Invariants:
 * - no byte at or past the position of its pass is read;
 * - what is wrong in bytes before the last page of a pass is damage, for those are final; what is wrong in that page is
 *   not yet written out, and is read again in the next pass;
 * - a record is given once, whole, with its CRC checked, after the one that its xl_prev names;
 * - no record that is given names another timeline than the volume's.
 */
export class WalReader {
  readonly #decoder: WalStreamDecoder;
  readonly #source: WalSource;
  readonly #running = new RunningTransactions();
  readonly #cutter: RunCutter;
  /** Kept, so that a call makes no function. */
  readonly #note: NoteRecord = (lsn, bytes, start, length) => this.#running.note(lsn, bytes, start, length);
  /** A record whose head is final and which ends later than what was written when it was met. */
  #waitsFor: BegunRecord | undefined;
  #passEnd: bigint;
  #inPass = false;

  /** Begins after the record at `prev`, which ends at `startLsn`. */
  constructor(source: WalSource, startLsn: Lsn, prev: Lsn, systemIdentifier: bigint) {
    this.#source = source;
    this.#decoder = new WalStreamDecoder(startLsn, { prev, systemIdentifier });
    this.#cutter = new RunCutter(systemIdentifier);
    this.#passEnd = startLsn;
  }

  /** End of the last record that was given. */
  get position(): Lsn {
    return this.#decoder.position;
  }

  /**
   * Every record of a transaction that runs now begins at or after this LSN, as far as WAL was read. Whatever comes
   * later does so as well.
   */
  get runningLsn(): bigint {
    const oldest = this.#running.oldestLsn;
    return oldest === undefined ? this.#decoder.position : BigInt(oldest);
  }

  /** Is there a pass that has not come to its end? */
  get inPass(): boolean {
    return this.#inPass;
  }

  /** Can a pass up to `writtenLsn` find a record? Not while the one to come is known to end later. */
  hasNews(writtenLsn: bigint): boolean {
    return writtenLsn > this.#decoder.position && (this.#waitsFor === undefined || this.#waitsFor.endLsn <= writtenLsn);
  }

  /** Begins a pass over what PostgreSQL has written so far. */
  begin(writtenLsn: bigint): void {
    this.#decoder.rewind();
    this.#passEnd = writtenLsn;
    this.#waitsFor = undefined;
    this.#inPass = true;
  }

  /**
   * Goes on with the pass: adds records to `run` until it has `bytesMax` bytes or the pass is at its end. Throws
   * WalFormatError, LocalWalError or the file system's error when the WAL is not what PostgreSQL wrote.
   */
  fill(run: RecordRun, bytesMax: number): PassState {
    const decoder = this.#decoder;
    const timeline = this.#source.volumeTimeline;
    // The last page that was written begins here; what is before it is final.
    const lastPage = this.#passEnd - BigInt(WAL_PAGE_BYTES);
    try {
      for (;;) {
        // Nearly all records; what it leaves is the decoder's: a record that chunks divide, the end of what was written, damage.
        if (this.#cutter.cut(decoder, run, bytesMax, this.#note) > 0 && run.byteLength >= bytesMax) return 'full';
        if (decoder.advance()) {
          const { lsn, endLsn, bytes, start, length } = decoder.record;
          const renamed = timeline === undefined ? undefined : recordOnTimeline(bytes, start, length, timeline);
          if (renamed === undefined) run.add(lsn, endLsn, bytes, start, length);
          else run.add(lsn, endLsn, renamed, 0, length);
          this.#running.note(lsn, bytes, start, length);
          if (run.byteLength >= bytesMax) return 'full';
        } else if (decoder.reachedZeros) {
          if (decoder.stoppedLsn <= lastPage) {
            const written = formatLsn(this.#passEnd as Lsn);
            throw new WalFormatError(decoder.position, 'xl_tot_len', `WAL is zero here, PostgreSQL wrote up to ${written}`);
          }
          break;
        } else if (decoder.receivedLsn >= this.#passEnd) {
          const { begun } = decoder;
          if (begun !== undefined && begun.lsn < lastPage) this.#waitsFor = begun;
          break;
        } else {
          decoder.push(this.#source.read(decoder.receivedLsn, this.#passEnd, READ_BYTES_MAX));
        }
      }
    } catch (error) {
      if (!(error instanceof WalFormatError) || decoder.stoppedLsn <= lastPage) throw error;
    }
    this.#inPass = false;
    return 'end';
  }
}
