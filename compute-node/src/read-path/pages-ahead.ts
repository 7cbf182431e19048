import type { Clock, Timer } from '@kube-aurora/clock';
import { PAGE_BYTES } from '@kube-aurora/pg-format';
import type { PagePieces } from './page-pieces.ts';
import { forkKey, type PageRange } from './page-range.ts';

/** What nobody asked for in so long is let go of. */
const IDLE_MS = 5000;

/** Neighbouring pages, and which of them exist. */
export interface PagesRead {
  /** One byte a page: 1 it exists, 0 it does not and its bytes are zeros. */
  readonly present: Buffer;
  readonly pages: PagePieces;
}

export interface PagesAheadOptions {
  /** Of all pages that are held or on their way. */
  readonly bytesMax: number;
  /** Told of pages that are let go of, and how many of them were used. */
  readonly onGone: (range: PageRange, used: number) => void;
  readonly clock: Clock;
}

/** Pages that were read ahead, or are being read. */
export class Extent {
  readonly range: PageRange;
  /** The LSN that they are read at. */
  readonly at: bigint;
  pages: PagePieces | undefined;
  state: 'reading' | 'there' | 'failed' = 'reading';
  used = 0;
  readonly #waiting = new Set<() => void>();

  constructor(range: PageRange, at: bigint) {
    this.range = range;
    this.at = at;
  }

  /** Resolves when it is read, or cannot be, or nobody waits any more. */
  settled(signal?: AbortSignal): Promise<void> {
    if (this.state !== 'reading' || signal?.aborted === true) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        this.#waiting.delete(done);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      this.#waiting.add(done);
      signal?.addEventListener('abort', done, { once: true });
    });
  }

  settle(pages: PagePieces | undefined): void {
    this.pages = pages;
    this.state = pages === undefined ? 'failed' : 'there';
    for (const done of this.#waiting) done();
  }
}

/** Blocks of a request that are read ahead, all by one extent, or not at all. */
export interface Piece {
  readonly block: number;
  readonly count: number;
  readonly extent: Extent | undefined;
}

/**
 * Pages that were read before PostgreSQL asks for them, in memory, each for one use: PostgreSQL keeps what it was given
 * in its local files.
 *
 * Invariant: a page read at an LSN is what a later request must be given as long as no relation file has lost blocks
 * since that LSN (`holesSince`). PostgreSQL asks only for blocks that are holes in its local files and are not in its
 * buffers. It changes pages in its buffers alone and writes them to the files before it lets go of them; so such a
 * block was not changed since it became a hole, and that was at `holesSince` at the latest.
 */
export class PagesAhead {
  readonly #options: PagesAheadOptions;
  /** By fork; few in each. */
  readonly #forks = new Map<string, Set<Extent>>();
  /** All of them, oldest first. */
  readonly #extents = new Set<Extent>();
  #bytes = 0;
  #lastAskedMs = 0;
  #idle: Timer | undefined;

  constructor(options: PagesAheadOptions) {
    this.#options = options;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Makes room and a place for pages that are about to be read at `at`; the caller settles it. Undefined where there is
   * no room, or they are there already.
   */
  begin(range: PageRange, at: bigint): Extent | undefined {
    const bytes = range.count * PAGE_BYTES;
    if (this.#isCovered(range) || !this.#makeRoom(bytes)) return undefined;
    const extent = new Extent(range, at);
    const key = forkKey(range);
    const inFork = this.#forks.get(key) ?? new Set();
    this.#forks.set(key, inFork.add(extent));
    this.#extents.add(extent);
    this.#bytes += bytes;
    this.#watchIdle();
    return extent;
  }

  /** For so many pages, with nothing let go of for them. */
  hasRoomFor(pages: number): boolean {
    return this.#bytes + pages * PAGE_BYTES <= this.#options.bytesMax;
  }

  /** A request cut into what is there and what is not. What is not as new as `holesSince` goes. */
  pieces(range: PageRange, holesSince: bigint): Piece[] {
    this.#lastAskedMs = this.#options.clock.now();
    const { block, count } = range;
    const extents = this.#forks.get(forkKey(range));
    if (extents === undefined) return [{ block, count, extent: undefined }];
    for (const extent of extents) if (extent.at < holesSince || extent.state === 'failed') this.#drop(extent);
    const pieces: Piece[] = [];
    for (let at = block; at < block + count;) {
      const { extent, end } = nextPiece(extents, at, block + count);
      pieces.push({ block: at, count: end - at, extent });
      at = end;
    }
    return pieces;
  }

  /** The pages of a piece whose extent is there; views. Undefined when they could not be read. */
  take({ block, count, extent }: Piece): readonly Buffer[] | undefined {
    if (extent?.pages === undefined) return undefined;
    const pages = extent.pages.pages(block - extent.range.block, count);
    extent.used += count;
    if (extent.used >= extent.range.count) this.#drop(extent);
    return pages;
  }

  /** Nothing is asked for any more. */
  stop(): void {
    this.#idle?.cancel();
    for (const extent of this.#extents) this.#drop(extent);
  }

  #isCovered({ block, count, ...fork }: PageRange): boolean {
    for (const { range } of this.#forks.get(forkKey(fork)) ?? []) {
      if (range.block <= block && range.block + range.count >= block + count) return true;
    }
    return false;
  }

  /** What is being read is not thrown away for more. */
  #makeRoom(bytes: number): boolean {
    for (const extent of this.#extents) {
      if (this.#bytes + bytes <= this.#options.bytesMax) break;
      if (extent.state !== 'reading') this.#drop(extent);
    }
    return this.#bytes + bytes <= this.#options.bytesMax;
  }

  #drop(extent: Extent): void {
    if (!this.#extents.delete(extent)) return;
    const { range } = extent;
    const key = forkKey(range);
    const inFork = this.#forks.get(key);
    inFork?.delete(extent);
    if (inFork?.size === 0) this.#forks.delete(key);
    this.#bytes -= range.count * PAGE_BYTES;
    if (extent.state !== 'failed') this.#options.onGone(range, extent.used);
  }

  #watchIdle(): void {
    this.#idle ??= this.#options.clock.after(IDLE_MS, () => {
      this.#idle = undefined;
      if (this.#options.clock.now() - this.#lastAskedMs >= IDLE_MS) {
        for (const extent of this.#extents) if (extent.state !== 'reading') this.#drop(extent);
      }
      if (this.#extents.size > 0) this.#watchIdle();
    });
  }
}

/** From `at` on, up to `past`: the extent that has the block and where that ends, or where the first extent begins. */
function nextPiece(extents: ReadonlySet<Extent>, at: number, past: number): { extent: Extent | undefined; end: number } {
  let end = past;
  for (const extent of extents) {
    const { block, count } = extent.range;
    if (block <= at && at < block + count) return { extent, end: Math.min(past, block + count) };
    if (block > at && block < end) end = block;
  }
  return { extent: undefined, end };
}
