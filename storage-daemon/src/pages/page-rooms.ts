import { windowRoom } from '../redo-log/record-window.ts';
import { stepsRoom, type BuildRoom } from './redo-run.ts';

/** Free rooms that are kept: as many pages as the requests of a scan ask for that are on their way. */
const KEPT_BYTES_MAX = 4 * 1024 * 1024;

/** Steps are five arrays of numbers, of eight bytes at most. */
const bytesOf = ({ pages, log, steps }: BuildRoom): number => pages.length + log.bytes.length + 5 * steps.order.byteLength;

/**
 * Memory in which the pages of an answer are made, used again once the answer is sent. A page that is given away is garbage outside V8's heap: V8
 * collects all of a program's heap when there is some of it, and a scan makes all of it anew for every few hundred pages.
 *
 * Invariant: a room is given back once at most, when nobody writes into it or reads from it any more. One that never comes back is V8's to collect.
 */
export class PageRooms {
  /** By the bytes of their pages, a power of two. */
  readonly #free = new Map<number, BuildRoom[]>();
  #keptBytes = 0;

  /** Bytes of free rooms. */
  get keptBytes(): number {
    return this.#keptBytes;
  }

  /** With so many bytes for pages, or more, of whatever was in them before. */
  take(bytes: number): BuildRoom {
    const size = 2 ** Math.ceil(Math.log2(Math.max(1, bytes)));
    const room = this.#free.get(size)?.pop();
    if (room === undefined) return { pages: Buffer.allocUnsafeSlow(size), log: windowRoom(), steps: stepsRoom() };
    this.#keptBytes -= bytesOf(room);
    return room;
  }

  give(room: BuildRoom): void {
    const bytes = bytesOf(room);
    if (this.#keptBytes + bytes > KEPT_BYTES_MAX) return;
    this.#keptBytes += bytes;
    const free = this.#free.get(room.pages.length);
    if (free === undefined) this.#free.set(room.pages.length, [room]);
    else free.push(room);
  }
}
