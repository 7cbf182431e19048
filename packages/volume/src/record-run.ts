import { formatLsn, type Lsn } from '@kube-aurora/pg-format';
import { REDO_BATCH_BYTES_MAX, REDO_BATCH_HEADER_BYTES, RECORD_LSN_BYTES, recordBytesInBatch } from './redo-batch-layout.ts';

/** Up to this a loop over words is faster than a call that copies; most WAL records are shorter. */
const WORD_COPY_MAX_BYTES = 256;
/** What longer runs needed is given back. */
const KEPT_BYTES = 2 * 1024 * 1024;

/**
 * Consecutive WAL records in the form in which a redo batch carries them (redo-batch.ts), with room for its header
 * before them. Records are copied once, straight from where they stand in the WAL; nothing is allocated for one. Used
 * again and again.
 */
export class RecordRun {
  #bytes: Buffer;
  #words: Int32Array;
  #at = REDO_BATCH_HEADER_BYTES;
  #count = 0;
  #startLsn = 0;
  #endLsn = 0;
  /** Words of the buffer that the last record came from; most records come from the same one. */
  #source: Int32Array = new Int32Array(0);

  constructor(bytes = 64 * 1024) {
    this.#bytes = Buffer.allocUnsafeSlow(bytes);
    this.#words = wordsOf(this.#bytes.buffer);
  }

  get count(): number {
    return this.#count;
  }
  /** Of the batch that it makes, header included. */
  get byteLength(): number {
    return this.#at;
  }
  /** Of the first record. */
  get startLsn(): Lsn {
    return BigInt(this.#startLsn) as Lsn;
  }
  /** End of the last record. */
  get endLsn(): Lsn {
    return BigInt(this.#endLsn) as Lsn;
  }
  /** A batch without its header, which whoever seals the run fills in. Holds until the run is changed. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#at);
  }

  /**
   * All the memory there is: whoever writes records behind the last one, in the form that they have here, says so by `written`. Holds until
   * a record is added or the run is cleared.
   */
  get memory(): Buffer {
    return this.#bytes;
  }

  /** `count` records that follow were written there, up to `byteLength` in all; the first is at `startLsn`. Throws RangeError as `add` does. */
  written(count: number, startLsn: number, endLsn: number, byteLength: number): void {
    if (this.#count > 0 && startLsn < this.#endLsn)
      throw new RangeError(`a record at ${formatLsn(BigInt(startLsn) as Lsn)} does not follow the run`);
    if (byteLength <= this.#at || byteLength > this.#bytes.length) throw new RangeError(`${byteLength} bytes were not written to a run`);
    if (this.#count === 0) this.#startLsn = startLsn;
    this.#count += count;
    this.#endLsn = endLsn;
    this.#at = byteLength;
  }

  /**
   * Adds the record [start, start + length) of `bytes`, which follows those before it. Throws RangeError when the run
   * would be too long for a batch, or the record does not follow: the caller's mistake.
   */
  add(lsn: number, endLsn: number, bytes: Buffer, start: number, length: number): void {
    if (this.#count > 0 && lsn < this.#endLsn) throw new RangeError(`a record at ${formatLsn(BigInt(lsn) as Lsn)} does not follow the run`);
    const at = this.#at;
    const end = at + recordBytesInBatch(length);
    if (end > this.#bytes.length) this.#grow(end);
    const words = this.#words;
    words[at >>> 2] = lsn | 0;
    words[(at >>> 2) + 1] = Math.floor(lsn / 2 ** 32);
    // Zeros up to a multiple of 8.
    words[(end >>> 2) - 2] = 0;
    words[(end >>> 2) - 1] = 0;
    this.#copy(bytes, start, length, at + RECORD_LSN_BYTES);
    if (this.#count === 0) this.#startLsn = lsn;
    this.#count++;
    this.#endLsn = endLsn;
    this.#at = end;
  }

  clear(): void {
    this.#at = REDO_BATCH_HEADER_BYTES;
    this.#count = 0;
    if (this.#bytes.length <= KEPT_BYTES) return;
    this.#bytes = Buffer.allocUnsafeSlow(KEPT_BYTES);
    this.#words = wordsOf(this.#bytes.buffer);
  }

  #copy(bytes: Buffer, start: number, length: number, to: number): void {
    const from = bytes.byteOffset + start;
    if (length > WORD_COPY_MAX_BYTES || (from & 3) !== 0) {
      bytes.copy(this.#bytes, to, start, start + length);
      return;
    }
    if (this.#source.buffer !== bytes.buffer) this.#source = wordsOf(bytes.buffer);
    const { length: wholeWords } = this.#source;
    const last = (from + length) >>> 2;
    if (last > wholeWords) {
      bytes.copy(this.#bytes, to, start, start + length);
      return;
    }
    const words = this.#words;
    const source = this.#source;
    let word = to >>> 2;
    for (let next = from >>> 2; next < last; next++) words[word++] = source[next]!;
    for (let next = length & ~3; next < length; next++) this.#bytes[to + next] = bytes[start + next]!;
  }

  #grow(bytes: number): void {
    if (bytes > REDO_BATCH_BYTES_MAX) throw new RangeError(`a redo batch of ${bytes} bytes is over the limit of ${REDO_BATCH_BYTES_MAX}`);
    const larger = Buffer.allocUnsafeSlow(Math.max((bytes + 7) & ~7, Math.min(2 * this.#bytes.length, REDO_BATCH_BYTES_MAX)));
    this.#bytes.copy(larger, 0, 0, this.#at);
    this.#bytes = larger;
    this.#words = wordsOf(larger.buffer);
  }
}

/** Of a little-endian machine, as all that we run on are. */
function wordsOf(buffer: ArrayBufferLike): Int32Array {
  return new Int32Array(buffer, 0, buffer.byteLength >>> 2);
}
