import type { Clock } from '@kube-aurora/clock';
import { PAGE_BYTES } from '@kube-aurora/pg-format';
import type { PageReader } from './page-reader.ts';
import { FirstTouch, firstTouchReads, type UntouchedFork } from './first-touch.ts';
import { pagesIn, partOf, type ForkName, type PageRange } from './page-range.ts';
import { PagesAhead, type Extent, type Piece } from './pages-ahead.ts';
import { SequentialReads } from './sequential-reads.ts';

/** With so many reads under way nothing is read ahead: what PostgreSQL waits for comes first. */
const READS_BEFORE_AHEAD = 24;

export interface PageRequest extends PageRange {
  /** Pages must hold every change below this. */
  readonly lsn: bigint;
  /** No relation file has lost blocks since: see PagesAhead. */
  readonly holesSince: bigint;
  /** So many blocks may come along with them. */
  readonly room: number;
}

/** Pages that nobody has asked for, from `block` on, in buffers of one or more. */
export interface PagesAlong {
  readonly block: number;
  readonly count: number;
  readonly pages: readonly Buffer[];
}

export interface PageSourceOptions {
  readonly reader: PageReader;
  /** Bytes of pages that may be held before they are asked for; 0 for none. */
  readonly aheadBytesMax: number;
  /** Forks of a database that PostgreSQL has not named since its start. */
  readonly untouchedForks: (database: ForkName) => Promise<readonly UntouchedFork[]>;
  /** Told of pages that were read ahead and are let go of, and how many of them were used. */
  readonly onAheadGone: (pages: number, used: number) => void;
  readonly clock: Clock;
}

/** Gives PostgreSQL the pages that it asks for: those that were read ahead at once, the others from storage. */
export class PageSource {
  readonly #reader: PageReader;
  readonly #sequential: SequentialReads;
  readonly #ahead: PagesAhead;
  readonly #aheadPagesMax: number;
  readonly #firstTouch = new FirstTouch();
  readonly #untouchedForks: PageSourceOptions['untouchedForks'];

  constructor({ reader, aheadBytesMax, untouchedForks, onAheadGone, clock }: PageSourceOptions) {
    this.#reader = reader;
    this.#untouchedForks = untouchedForks;
    this.#aheadPagesMax = aheadBytesMax / PAGE_BYTES;
    this.#sequential = new SequentialReads(this.#aheadPagesMax);
    this.#ahead = new PagesAhead({
      bytesMax: aheadBytesMax,
      onGone: (range, used) => {
        onAheadGone(range.count, used);
        if (used * 2 < range.count) this.#sequential.wasted(range);
      },
      clock,
    });
  }

  get bytesAhead(): number {
    return this.#ahead.bytes;
  }

  stop(): void {
    this.#ahead.stop();
  }

  /**
   * The pages of a request, in order, in buffers of one or more; zeros where there is none. Rejects as PageReader does.
   */
  read(request: PageRequest, signal?: AbortSignal): Promise<readonly Buffer[]> {
    const pieces = this.#ahead.pieces(request, request.holesSince);
    const [only] = pieces;
    const pages =
      only !== undefined && pieces.length === 1
        ? this.#readPiece(request, only, signal)
        : Promise.all(pieces.map((piece) => this.#readPiece(request, piece, signal))).then((parts) => parts.flat());
    if (this.#aheadPagesMax > 0) {
      const isAtHand = this.#firstTouch.wasReadWhole(request) && pieces.every(({ extent }) => extent !== undefined);
      if (!isAtHand) for (const range of this.#sequential.note(request)) this.#readAhead([range], request.lsn);
      if (this.#firstTouch.note(request)) void this.#touchFirst(request);
    }
    return pages;
  }

  /**
   * What may come along with the pages of a request, which `read` has given: the next of the same run that are at hand,
   * each as good as if it had been asked for with them.
   */
  along(request: PageRequest): PagesAlong | undefined {
    const range = this.#sequential.along(request, request.room);
    if (range === undefined) return undefined;
    const pages: Buffer[] = [];
    let count = 0;
    for (const piece of this.#ahead.pieces(range, request.holesSince)) {
      const taken = this.#ahead.take(piece);
      if (taken === undefined) break;
      pages.push(...taken);
      count += piece.count;
    }
    if (count === 0) return undefined;
    for (const next of this.#sequential.gaveAlong(partOf(range, range.block, count))) this.#readAhead([next], request.lsn);
    return { block: range.block, count, pages };
  }

  /** PostgreSQL says that it is going to ask for these. */
  expect(request: PageRequest): void {
    for (const { block, count, extent } of this.#ahead.pieces(request, request.holesSince)) {
      if (extent === undefined) this.#readAhead([partOf(request, block, count)], request.lsn);
    }
  }

  async #readPiece(request: PageRequest, piece: Piece, signal: AbortSignal | undefined): Promise<readonly Buffer[]> {
    if (piece.extent?.state === 'reading') await piece.extent.settled(signal);
    return this.#ahead.take(piece) ?? (await this.#reader.read(partOf(request, piece.block, piece.count), request.lsn, signal));
  }

  /** Half of what may be held at most, and where there is room for it: a scan under way keeps what it has. */
  async #touchFirst(request: PageRequest): Promise<void> {
    const forks = await this.#untouchedForks(request);
    for (const ranges of firstTouchReads(request, forks, this.#aheadPagesMax / 2)) {
      if (!this.#ahead.hasRoomFor(pagesIn(ranges)) || this.#reader.underWay >= READS_BEFORE_AHEAD) return;
      this.#firstTouch.readAhead(ranges);
      this.#readAhead(ranges, request.lsn);
    }
  }

  /** With one request. */
  #readAhead(ranges: readonly PageRange[], lsn: bigint): void {
    if (this.#reader.underWay >= READS_BEFORE_AHEAD) return;
    const at = this.#reader.lsnToReadAt(lsn);
    const extents = ranges.flatMap((range) => this.#ahead.begin(range, at) ?? []);
    if (extents.length > 0) void this.#fill(extents, at);
  }

  /** A failure is nobody's yet: whoever needs the pages asks for them, and hears of it. */
  async #fill(extents: readonly Extent[], at: bigint): Promise<void> {
    try {
      const ranges = extents.map(({ range }) => range);
      const found = await this.#reader.readSeveralAt(ranges, at);
      for (const [index, extent] of extents.entries()) {
        const { range } = extent;
        const read = found[index];
        const last = read?.present.lastIndexOf(1) ?? -1;
        if (last < range.count - 1) this.#sequential.ended(range, range.block + last + 1);
        extent.settle(read?.pages);
      }
    } catch (error) {
      for (const extent of extents) extent.settle(undefined);
      if (!(error instanceof Error)) throw error;
    }
  }
}
