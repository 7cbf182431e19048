import fs from 'node:fs';
import { promisify } from 'node:util';

/**
 * One file of a redo log: batches one after another from byte 0, then zeros. `<first LSN, 16 hex digits>.redo`, where the
 * first LSN is the backlink of its first batch. The file has its full length from the start and is filled with zeros a
 * stretch ahead of the writes, so that fdatasync has no metadata to write.
 *
 * Invariant: a file is sealed (cut to what it holds, and synced) before the next one gets its first byte.
 */

const ZERO_AHEAD_BYTES = 1024 * 1024;
/** Writes up to this size go into the page cache on the caller's thread, which is cheaper than a thread hop. */
const WRITE_SYNC_MAX_BYTES = 256 * 1024;
/** A look-up point every so many bytes. */
const LOOKUP_STRIDE_BYTES = 64 * 1024;
const ZEROS = Buffer.alloc(ZERO_AHEAD_BYTES);

const fdatasync = promisify(fs.fdatasync);
const ftruncate = promisify(fs.ftruncate);
const write = promisify(fs.write);
const writev = promisify(fs.writev);
const open = promisify(fs.open);
const close = promisify(fs.close);

export function logFileName(firstLsn: number): string {
  return `${firstLsn.toString(16).padStart(16, '0')}.redo`;
}

/** The first LSN in a log file's name; undefined for other files. */
export function parseLogFileName(name: string): number | undefined {
  const match = /^([0-9a-f]{16})\.redo$/.exec(name);
  return match === null ? undefined : Number.parseInt(match[1] ?? '', 16);
}

/** Makes a directory's entries durable. */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await fs.promises.open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

export class LogFile {
  readonly path: string;
  readonly firstLsn: number;
  /** Where byte 0 of this file stands in the log's own numbering of bytes; grows from file to file. */
  readonly base: number;
  /** Bytes that hold batches. */
  used = 0;
  /** End of the last batch in it. */
  endLsn: number;
  #capacity: number;
  #zeroedTo: number;
  #fd: number | undefined;
  readonly #lookupLsns: number[] = [];
  readonly #lookupOffsets: number[] = [];

  private constructor(path: string, firstLsn: number, base: number, fd: number | undefined, capacity: number) {
    this.path = path;
    this.firstLsn = firstLsn;
    this.base = base;
    this.endLsn = firstLsn;
    this.#fd = fd;
    this.#capacity = capacity;
    this.#zeroedTo = 0;
  }

  /** A file that is to be: `create` makes it before its first write. */
  static planned(path: string, firstLsn: number, base: number, capacity: number): LogFile {
    return new LogFile(path, firstLsn, base, undefined, capacity);
  }

  get isCreated(): boolean {
    return this.#fd !== undefined;
  }

  /** Makes the file; the caller syncs the directory. */
  async create(): Promise<void> {
    this.#fd = await open(this.path, 'w+');
    await ftruncate(this.#fd, this.#capacity);
  }

  get #open(): number {
    if (this.#fd === undefined) throw new Error(`${this.path} is not open`);
    return this.#fd;
  }

  static async open(path: string, firstLsn: number, base: number): Promise<LogFile> {
    const fd = await open(path, 'r+');
    const { size } = fs.fstatSync(fd);
    return new LogFile(path, firstLsn, base, fd, size);
  }

  get capacity(): number {
    return this.#capacity;
  }

  get room(): number {
    return this.#capacity - this.used;
  }

  /** Counts a batch that stands (or is about to be written) at the end of what is used. */
  note(backlink: number, endLsn: number, bytes: number): void {
    const last = this.#lookupOffsets.at(-1);
    if (last === undefined || this.used - last >= LOOKUP_STRIDE_BYTES) {
      this.#lookupLsns.push(backlink);
      this.#lookupOffsets.push(this.used);
    }
    this.used += bytes;
    this.endLsn = endLsn;
  }

  /** Backlink of a batch at or before the one whose backlink is `lsn`. */
  lookupLsn(lsn: number): number | undefined {
    return this.#lookupLsns[this.#lookupIndex(lsn)];
  }

  /** Offset of that batch. */
  lookup(lsn: number): number {
    return this.#lookupOffsets[this.#lookupIndex(lsn)] ?? 0;
  }

  #lookupIndex(lsn: number): number {
    let low = 0;
    let high = this.#lookupLsns.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#lookupLsns[middle] ?? 0) <= lsn) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** Writes at the end of what is written, filling ahead with zeros. Not synced. */
  write(buffers: Buffer[], offset: number, bytes: number): Promise<void> {
    if (offset + bytes <= this.#zeroedTo) return this.overwrite(buffers, offset, bytes);
    return this.#zeroAhead(offset + bytes).then(() => this.overwrite(buffers, offset, bytes));
  }

  /** Writes over bytes that are in use; what follows them stays. Not synced. */
  async overwrite(buffers: Buffer[], offset: number, bytes: number): Promise<void> {
    if (bytes <= WRITE_SYNC_MAX_BYTES) {
      const written = fs.writevSync(this.#open, buffers, offset);
      if (written === bytes) return;
    }
    let at = offset;
    for (const buffer of buffers) {
      let done = 0;
      while (done < buffer.length) {
        const { bytesWritten } = await writev(this.#open, [buffer.subarray(done)], at + done);
        done += bytesWritten;
      }
      at += buffer.length;
    }
  }

  async #zeroAhead(from: number): Promise<void> {
    const to = Math.min(this.#capacity, from + ZERO_AHEAD_BYTES);
    if (to > from) await write(this.#open, ZEROS, 0, to - from, from);
    this.#zeroedTo = to;
  }

  sync(): Promise<void> {
    return fdatasync(this.#open);
  }

  /** On the caller's thread. */
  syncHere(): void {
    fs.fdatasyncSync(this.#open);
  }

  /** Reads exactly `bytes`; short only at the file's end. */
  readSync(into: Buffer, intoOffset: number, bytes: number, offset: number): number {
    let done = 0;
    while (done < bytes) {
      const got = fs.readSync(this.#open, into, intoOffset + done, bytes - done, offset + done);
      if (got === 0) break;
      done += got;
    }
    return done;
  }

  /** Forgets, durably, everything from `offset` on; `endLsn` is where the log then ends. */
  async cut(offset: number, endLsn: number): Promise<void> {
    const capacity = this.#capacity;
    await ftruncate(this.#open, offset);
    await ftruncate(this.#open, capacity);
    await fdatasync(this.#open);
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
    await ftruncate(this.#open, this.used);
    this.#capacity = this.used;
    await fdatasync(this.#open);
  }

  async close(): Promise<void> {
    const fd = this.#fd;
    this.#fd = undefined;
    if (fd !== undefined) await close(fd);
  }

  async remove(): Promise<void> {
    await fs.promises.rm(this.path, { force: true });
    await this.close();
  }
}
