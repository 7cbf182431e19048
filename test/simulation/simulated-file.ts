import type { SeededRandom } from '../faults/random.ts';

/** What of a file survives a crash: all that was synced, and of the rest any part, sector by sector. */

const SECTOR_BYTES = 512;

/** Bytes that are not durable yet: a write, or the truncation to a length. */
type Change =
  | { readonly kind: 'write'; readonly offset: number; readonly bytes: Buffer }
  | { readonly kind: 'truncate'; readonly bytes: number };

/** A length of bytes that grows in place: what a file holds. */
class Bytes {
  #room: Buffer = Buffer.alloc(0);
  length = 0;

  get view(): Buffer {
    return this.#room.subarray(0, this.length);
  }

  write(bytes: Buffer, offset: number): void {
    const end = offset + bytes.length;
    this.#reserve(end);
    bytes.copy(this.#room, offset);
    if (end > this.length) this.length = end;
  }

  /** Invariant: what stands behind `length` is zeros. */
  truncate(bytes: number): void {
    if (bytes < this.length) this.#room.fill(0, bytes, this.length);
    else this.#reserve(bytes);
    this.length = bytes;
  }

  #reserve(bytes: number): void {
    if (bytes <= this.#room.length) return;
    const room = Buffer.alloc(Math.max(bytes, 2 * this.#room.length, SECTOR_BYTES));
    this.#room.copy(room, 0, 0, this.length);
    this.#room = room;
  }

  /** Makes this what `other` is between two offsets, and as long. */
  take(other: Bytes, from: number, to: number): void {
    this.truncate(other.length);
    const end = Math.min(to, other.length);
    if (from < end) other.#room.copy(this.#room, from, from, end);
  }
}

/** A file on a simulated disk: what it holds, and what of it a crash leaves. */
export class FileContent {
  readonly #durable = new Bytes();
  readonly #current = new Bytes();
  #changes: Change[] = [];
  /** Where the two differ, at most. */
  #dirty = { from: Infinity, to: 0 };

  get current(): Buffer {
    return this.#current.view;
  }

  /** What a crash leaves at least, as the file is then. */
  get durable(): Buffer {
    return this.#durable.view;
  }

  read(into: Buffer, intoOffset: number, bytes: number, offset: number): number {
    const end = Math.min(offset + bytes, this.#current.length);
    return offset < end ? this.current.copy(into, intoOffset, offset, end) : 0;
  }

  write(bytes: Buffer, offset: number): void {
    // The caller may use its buffer again.
    this.#changes.push({ kind: 'write', offset, bytes: Buffer.from(bytes) });
    this.#touch(Math.min(offset, this.#current.length), offset + bytes.length);
    this.#current.write(bytes, offset);
  }

  truncate(bytes: number): void {
    this.#changes.push({ kind: 'truncate', bytes });
    this.#touch(Math.min(bytes, this.#current.length), Math.max(bytes, this.#current.length));
    this.#current.truncate(bytes);
  }

  #touch(from: number, to: number): void {
    this.#dirty = { from: Math.min(from, this.#dirty.from), to: Math.max(to, this.#dirty.to) };
  }

  sync(): void {
    if (this.#changes.length === 0) return;
    this.#durable.take(this.#current, this.#dirty.from, this.#dirty.to);
    this.#clean();
  }

  #clean(): void {
    this.#changes = [];
    this.#dirty = { from: Infinity, to: 0 };
  }

  /** What of it is durable, as another file. */
  copy(): FileContent {
    const copy = new FileContent();
    copy.#durable.take(this.#durable, 0, this.#durable.length);
    copy.#current.take(this.#durable, 0, this.#durable.length);
    return copy;
  }

  get bytes(): number {
    return this.#current.length;
  }

  /** Flips one bit, on the disk and in the system's memory of it. */
  flipBit(random: SeededRandom): number {
    const at = random.integer(0, this.#current.length - 1);
    const bit = 1 << random.integer(0, 7);
    for (const { view } of [this.#current, this.#durable]) if (at < view.length) view[at] = (view[at] ?? 0) ^ bit;
    return at;
  }

  /** Bytes that were written for somewhere else land here, and are on the disk. Gives where. */
  misdirected(bytes: Buffer, random: SeededRandom): number {
    const sectors = Math.floor(this.#current.length / SECTOR_BYTES);
    const at = random.integer(0, Math.max(0, sectors - 1)) * SECTOR_BYTES;
    const part = bytes.subarray(0, this.#current.length - at);
    for (const content of [this.#current, this.#durable]) if (at + part.length <= content.length) content.write(part, at);
    return at;
  }

  /** As long as if `bytes` had been written at `offset`, which they were not. */
  lost(bytes: Buffer, offset: number): void {
    if (offset + bytes.length > this.#current.length) this.truncate(offset + bytes.length);
  }

  /**
   * What of the unsynced changes is found after a crash. Each sector of each write got there or did not, which covers
   * every order in which they can have been written: whoever overtakes another one is there without it.
   */
  crash(random: SeededRandom): void {
    if (this.#changes.length === 0) return;
    // Nothing, all, what was written first, or any.
    const mode = random.integer(0, 3);
    const kept = random.integer(0, this.#changes.length);
    const survives = (at: number): boolean => (mode === 0 ? false : mode === 1 ? true : mode === 2 ? at < kept : random.next() < 0.5);
    for (const [index, change] of this.#changes.entries()) {
      if (change.kind === 'truncate') {
        if (survives(index)) this.#durable.truncate(change.bytes);
        continue;
      }
      const { offset, bytes } = change;
      for (let at = 0; at < bytes.length;) {
        const end = Math.min(bytes.length, at + SECTOR_BYTES - ((offset + at) % SECTOR_BYTES));
        if (survives(index)) this.#durable.write(bytes.subarray(at, end), offset + at);
        at = end;
      }
    }
    this.#current.truncate(0);
    this.#current.take(this.#durable, 0, this.#durable.length);
    this.#clean();
  }
}
