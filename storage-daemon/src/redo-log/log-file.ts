import type { Disk, DiskFile } from '../disk/disk.ts';
import { ZERO_AHEAD_BYTES, zeroTo } from './log-pace.ts';

/**
 * One file of a redo log: batches one after another from byte 0, then zeros. `<first LSN, 16 hex digits>.redo`, where
 * the first LSN is the backlink of its first batch. The file has its full length from the start and is filled with
 * zeros a stretch ahead of the writes, so that fdatasync has no metadata to write.
 *
 * Invariant: a file is sealed (cut off behind what it holds, and synced) before the next one gets its first byte.
 */

/** Writes up to this size go into the page cache on the caller's thread, which is cheaper than a thread hop. */
const WRITE_SYNC_MAX_BYTES = 256 * 1024;
/** A look-up point every so many bytes. */
const LOOKUP_STRIDE_BYTES = 64 * 1024;
const ZEROS = Buffer.alloc(ZERO_AHEAD_BYTES);

export function logFileName(firstLsn: bigint): string {
  return `${firstLsn.toString(16).padStart(16, '0')}.redo`;
}

/** The first LSN in a log file's name; undefined for other files. */
export function parseLogFileName(name: string): bigint | undefined {
  const match = /^([0-9a-f]{16})\.redo$/.exec(name);
  return match === null ? undefined : BigInt(`0x${match[1]}`);
}

export class LogFile {
  readonly path: string;
  readonly firstLsn: bigint;
  /** Where byte 0 of this file stands in the log's own numbering of bytes; grows from file to file. */
  readonly base: number;
  /** Bytes that hold batches. */
  used = 0;
  /** End of the last batch in it. */
  endLsn: bigint;
  #capacity: number;
  #zeroedTo: number;
  readonly #phase: number;
  readonly #disk: Disk;
  #file: DiskFile | undefined;
  readonly #lookupLsns: bigint[] = [];
  readonly #lookupOffsets: number[] = [];

  private constructor(
    disk: Disk,
    path: string,
    firstLsn: bigint,
    base: number,
    file: DiskFile | undefined,
    capacity: number,
    phase: number,
  ) {
    this.#phase = phase;
    this.#disk = disk;
    this.path = path;
    this.firstLsn = firstLsn;
    this.base = base;
    this.endLsn = firstLsn;
    this.#file = file;
    this.#capacity = capacity;
    this.#zeroedTo = 0;
  }

  /** A file that is to be: `create` makes it before its first write. */
  static planned(disk: Disk, path: string, firstLsn: bigint, base: number, capacity: number, phase: number): LogFile {
    return new LogFile(disk, path, firstLsn, base, undefined, capacity, phase);
  }

  get isCreated(): boolean {
    return this.#file !== undefined;
  }

  /** Makes the file; the caller syncs the directory. */
  async create(): Promise<void> {
    this.#file = await this.#disk.openFile(this.path, 'create');
    await this.#file.truncate(this.#capacity);
  }

  get #open(): DiskFile {
    if (this.#file === undefined) throw new Error(`${this.path} is not open`);
    return this.#file;
  }

  static async open(disk: Disk, path: string, firstLsn: bigint, base: number): Promise<LogFile> {
    const file = await disk.openFile(path, 'existing');
    // It has room at its end at most once, and then goes on as any other.
    return new LogFile(disk, path, firstLsn, base, file, file.size, 0);
  }

  get capacity(): number {
    return this.#capacity;
  }

  get room(): number {
    return this.#capacity - this.used;
  }

  /** Counts a batch that stands (or is about to be written) at the end of what is used. */
  note(backlink: bigint, endLsn: bigint, bytes: number): void {
    const last = this.#lookupOffsets.at(-1);
    if (last === undefined || this.used - last >= LOOKUP_STRIDE_BYTES) {
      this.#lookupLsns.push(backlink);
      this.#lookupOffsets.push(this.used);
    }
    this.used += bytes;
    this.endLsn = endLsn;
  }

  /** Backlink of a batch at or before the one whose backlink is `lsn`. */
  lookupLsn(lsn: bigint): bigint | undefined {
    return this.#lookupLsns[this.#lookupIndex(lsn)];
  }

  /** Offset of that batch. */
  lookup(lsn: bigint): number {
    return this.#lookupOffsets[this.#lookupIndex(lsn)] ?? 0;
  }

  #lookupIndex(lsn: bigint): number {
    let low = 0;
    let high = this.#lookupLsns.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#lookupLsns[middle] ?? 0n) <= lsn) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** Can `writeHere` write these bytes? The file is there, and zeros are where they go. */
  isReadyFor(offset: number, bytes: number): boolean {
    return this.#file !== undefined && offset + bytes <= this.#zeroedTo;
  }

  /**
   * Where `write` writes, for who does it in its place, and fills ahead as it does; undefined where nobody can, or nothing is ready. Zeros are up
   * to `filled`, a boundary of the log's.
   */
  get ready(): { readonly descriptor: number; readonly offset: number; readonly filled: number; readonly capacity: number } | undefined {
    const descriptor = this.#file?.descriptor;
    const capacity = this.#capacity;
    const filled = Math.min(this.#zeroedTo, capacity);
    return descriptor === undefined || this.used >= filled ? undefined : { descriptor, offset: this.used, filled, capacity };
  }

  /** What `ready` gave was used so: written and synced, and filled with zeros so far behind what is used. */
  noteSynced(ms: number, aheadBytes: number): void {
    this.#zeroedTo = Math.max(this.#zeroedTo, this.used + aheadBytes);
    this.#open.noteSynced(ms);
  }

  /** Writes what it is ready for, on the caller's thread. Not synced. */
  writeHere(buffers: readonly Buffer[], offset: number): void {
    this.#open.writeHere(buffers, offset);
  }

  /** Writes at the end of what is written, filling ahead with zeros. Not synced. */
  async write(buffers: readonly Buffer[], offset: number, bytes: number): Promise<void> {
    if (offset + bytes > this.#zeroedTo) await this.#zeroAhead(offset + bytes);
    await this.overwrite(buffers, offset, bytes);
  }

  /** Writes over bytes that are in use; what follows them stays. Not synced. */
  async overwrite(buffers: readonly Buffer[], offset: number, bytes: number): Promise<void> {
    if (bytes <= WRITE_SYNC_MAX_BYTES) this.#open.writeHere(buffers, offset);
    else await this.#open.write(buffers, offset);
  }

  async #zeroAhead(from: number): Promise<void> {
    const to = Math.min(this.#capacity, zeroTo(from, this.#phase));
    if (to > from) await this.#open.write([ZEROS.subarray(0, to - from)], from);
    this.#zeroedTo = to;
  }

  sync(): Promise<void> {
    return this.#open.sync();
  }

  /** On the caller's thread. */
  syncHere(): void {
    this.#open.syncHere();
  }

  /** Likewise; gives the milliseconds that the disk took. */
  syncTimed(): number {
    return this.#open.syncTimed();
  }

  /** Reads exactly `bytes`; short only at the file's end. */
  readHere(into: Buffer, intoOffset: number, bytes: number, offset: number): number {
    return this.#open.readHere(into, intoOffset, bytes, offset);
  }

  /** Forgets, durably, everything from `offset` on; `endLsn` is where the log then ends. */
  async cutOff(offset: number, endLsn: bigint): Promise<void> {
    const capacity = this.#capacity;
    await this.#open.truncate(offset);
    await this.#open.truncate(capacity);
    await this.#open.sync();
    this.used = offset;
    this.endLsn = endLsn;
    this.#zeroedTo = offset;
    while ((this.#lookupOffsets.at(-1) ?? -1) >= offset) {
      this.#lookupOffsets.pop();
      this.#lookupLsns.pop();
    }
  }

  /** No more batches will come: gives the room behind them back. */
  async seal(): Promise<void> {
    await this.#open.truncate(this.used);
    this.#capacity = this.used;
    await this.#open.sync();
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }

  async remove(): Promise<void> {
    await this.#disk.removeFile(this.path);
    await this.close();
  }
}
