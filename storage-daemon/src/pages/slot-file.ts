import { join } from 'node:path';
import type { Disk, DiskFile } from '../disk/disk.ts';
import { SlotMap } from './slot-map.ts';

/**
 * The file that holds pages: slots of one page each, from byte 0 on, with nothing between. Which page is in which slot,
 * and its checksum, the page store's index says; a slot that the index does not name is free, whatever it holds.
 */
const NAME = 'pages.slots';
/** Pages that are read or written with one call, at most. */
const RUN_PAGES_MAX = 64;
/** What is written is synced so many bytes at a time: one long sync would hold up the redo log's. */
const SYNC_BYTES = 2 * 1024 * 1024;
/** The file is cut when so much at its end is free. */
const CUT_BYTES = 1024 * 1024;

/** Where pages are to stand that are read: each at its place, counted in pages, of a room that somebody has. */
export interface PlacesInRoom {
  readonly room: Buffer;
  readonly places: readonly number[];
}

export class SlotFile {
  readonly map = new SlotMap();
  readonly #file: DiskFile;
  /** Of every page; 0 while there is none. */
  #pageBytes: number;
  #fileBytes: number;
  #unsyncedBytes = 0;
  /** Reads that are under way; a descriptor that is closed below one may be another file's by then. */
  readonly #reads = new Set<Promise<unknown>>();

  private constructor(file: DiskFile, pageBytes: number) {
    this.#file = file;
    this.#pageBytes = pageBytes;
    this.#fileBytes = file.size;
  }

  /** Opens the file in a directory, or makes it. `pageBytes`: of its pages, 0 where there is none yet. */
  static async open(disk: Disk, directory: string, pageBytes: number): Promise<SlotFile> {
    const path = join(directory, NAME);
    const isThere = disk.exists(path);
    const file = await disk.openFile(path, isThere ? 'existing' : 'create');
    if (!isThere) await disk.syncDirectory(directory);
    return new SlotFile(file, pageBytes);
  }

  get pageBytes(): number {
    return this.#pageBytes;
  }

  /** Of the file. */
  get bytes(): number {
    return this.#fileBytes;
  }

  /**
   * Writes pages into free slots, and gives those. Durable after `sync`. Throws RangeError for a page of another size.
   */
  async write(pages: readonly Buffer[]): Promise<number[]> {
    const [first] = pages;
    if (first === undefined) return [];
    if (this.#pageBytes === 0) this.#pageBytes = first.length;
    for (const { length } of pages) {
      if (length !== this.#pageBytes) throw new RangeError(`a page of ${length} bytes among those of ${this.#pageBytes}`);
    }
    const slots = pages.map(() => this.map.take());
    for (let at = 0; at < slots.length;) {
      const end = runEnd(slots, at);
      const offset = (slots[at] ?? 0) * this.#pageBytes;
      await this.#file.write(pages.slice(at, end), offset);
      this.#fileBytes = Math.max(this.#fileBytes, offset + (end - at) * this.#pageBytes);
      at = end;
    }
    const bytes = slots.length * this.#pageBytes;
    this.#unsyncedBytes += bytes;
    if (this.#unsyncedBytes >= SYNC_BYTES) await this.sync();
    return slots;
  }

  /** Everything written before it is durable when it resolves. */
  async sync(): Promise<void> {
    if (this.#unsyncedBytes === 0) return;
    this.#unsyncedBytes = 0;
    await this.#file.sync();
  }

  /**
   * What is in slots, in their order, each its own: undefined where the file ends before the slot does. With `into` they stand there.
   *
   * Invariant: once it has given something, or failed, nothing is on its way into the room any more.
   */
  async read(slots: readonly number[], into?: PlacesInRoom): Promise<(Buffer | undefined)[]> {
    const order = slots.map((_slot, at) => at).toSorted((a, b) => (slots[a] ?? 0) - (slots[b] ?? 0));
    const sorted = order.map((at) => slots[at] ?? 0);
    const places = into === undefined ? undefined : order.map((at) => into.places[at] ?? 0);
    const found: (Buffer | undefined)[] = slots.map(() => undefined);
    const reads: Promise<void>[] = [];
    for (let at = 0; at < sorted.length;) {
      const end = Math.min(runEnd(sorted, at), places === undefined ? Infinity : runEnd(places, at));
      const bytes = this.#memory(end - at, into?.room, places?.[at]);
      const read = this.#readRun(sorted[at] ?? 0, bytes, order.slice(at, end), found).finally(() => this.#reads.delete(read));
      this.#reads.add(read);
      reads.push(read);
      at = end;
    }
    const [only] = reads;
    if (reads.length === 1) await only;
    else
      for (const { status, reason } of (await Promise.allSettled(reads)) as PromiseRejectedResult[])
        if (status === 'rejected') throw reason;
    return found;
  }

  #memory(pages: number, room: Buffer | undefined, place = 0): Buffer {
    const size = this.#pageBytes;
    return room?.subarray(place * size, (place + pages) * size) ?? Buffer.allocUnsafeSlow(pages * size);
  }

  async #readRun(slot: number, bytes: Buffer, places: readonly number[], found: (Buffer | undefined)[]): Promise<void> {
    const size = this.#pageBytes;
    const got = size === 0 ? 0 : await this.#file.read(bytes, 0, bytes.length, slot * size);
    places.forEach((place, at) => {
      if ((at + 1) * size <= got) found[place] = bytes.subarray(at * size, (at + 1) * size);
    });
  }

  /** Gives back to the disk what is free at the end. Not before no durable index names it. */
  async cut(): Promise<void> {
    const wanted = this.map.end * this.#pageBytes;
    if (this.#fileBytes - wanted < CUT_BYTES) return;
    await this.#file.truncate(wanted);
    this.#fileBytes = wanted;
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#reads);
    await this.#file.close();
  }
}

/** Where the run of neighbours ends that begins at `from`. */
function runEnd(slots: readonly number[], from: number): number {
  let end = from + 1;
  while (end < slots.length && end - from < RUN_PAGES_MAX && slots[end] === (slots[end - 1] ?? 0) + 1) end++;
  return end;
}
