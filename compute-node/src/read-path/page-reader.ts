import type { Clock, Timer } from '@kube-aurora/clock';
import { PAGE_BYTES, formatLsn, pageIsNew, pageLsn } from '@kube-aurora/pg-format';
import type { Logger } from '@kube-aurora/process';
import { encodePageKeys } from '@kube-aurora/redo';
import { AuroraRpcError, fromServiceError, type GetPagesRequest } from '@kube-aurora/rpc';
import type { Placement } from '../placement.ts';
import type { SegmentEndpoint, WriterIdentity } from '../segments.ts';
import { PagePieces } from './page-pieces.ts';
import { pagesIn, type PageRange } from './page-range.ts';
import type { PagesRead } from './pages-ahead.ts';
import { readWeight, SegmentLoads } from './segment-loads.ts';
import type { VolumeView } from './volume-view.ts';

/** Requests under way at once; the rest wait in order. Each holds up to 1 MiB of pages. */
const CONCURRENT_READS_MAX = 64;
const ATTEMPT_DEADLINE_MS = 5000;
const HEDGE_MIN_MS = 10;
const RETRY_MIN_MS = 20;
const RETRY_MAX_MS = 500;
/** Rounds in which some segments had the pages no longer and the others did not answer: about two seconds. */
const TOO_OLD_ROUNDS = 8;

export interface PageReaderOptions {
  readonly segments: readonly SegmentEndpoint[];
  readonly identity: WriterIdentity;
  readonly epoch: bigint;
  /** Our own zone: a segment in it is asked first. */
  readonly zone: string;
  readonly volume: VolumeView;
  readonly placement: Placement;
  readonly onFenced: (message: string) => void;
  /**
   * No segment has these pages as they were then any more, of those that have answered for seconds. The read goes on
   * asking until it is given up.
   */
  readonly onTooOld?: (message: string) => void;
  readonly onRead: (outcome: { seconds: number; pages: number; hedged: boolean }) => void;
  readonly onError: (segment: string, code: string) => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A read under way. One thing at a time waits for its end: its turn, its answer, or the next attempt. */
class Reading {
  /** The LSN that it reads at. */
  readonly at: bigint;
  over = false;
  /** Of the segments asked in this round, those that said that they have the pages no longer, and those that failed otherwise. */
  tooOld = 0;
  failed = 0;
  #whenOver: (() => void) | undefined;

  constructor(at: bigint) {
    this.at = at;
  }

  /**
   * Called once when nobody waits for it any more, also when that is so already; until `watch` is given something else.
   */
  watch(whenOver: (() => void) | undefined): void {
    this.#whenOver = whenOver;
    if (this.over) whenOver?.();
  }

  readonly end = (): void => {
    if (this.over) return;
    this.over = true;
    this.#whenOver?.();
  };
}

interface Answered {
  readonly read: PagesRead;
  readonly hedged: boolean;
}

const readIsOver = (): AuroraRpcError => new AuroraRpcError('UNREACHABLE', 'nobody waits for this read any more');

/**
 * Reads pages as of an LSN from one segment that holds redo up to it; never a quorum. A slow one is hedged with a
 * second, a failing one is passed over. It takes as long as it takes: a read ends early only when its reader gives up,
 * or with `stop`.
 */
export class PageReader {
  readonly #options: PageReaderOptions;
  readonly #loads: SegmentLoads;
  readonly #reading = new Set<Reading>();
  readonly #queue: (() => void)[] = [];
  /** Tails that gave a page when last asked: each stands in for a full segment. */
  readonly #standIns = new Set<SegmentEndpoint>();
  #stopped = false;
  #active = 0;
  #lastRefusal = '';
  #lastTooOld = '';

  constructor(options: PageReaderOptions) {
    this.#options = options;
    this.#loads = new SegmentLoads(options.segments.length);
  }

  /** Reads that have not ended, with those that wait for their turn. */
  get underWay(): number {
    return this.#reading.size;
  }

  /** Lowest LSN asked for by a read under way: what this compute's read floor keeps to. */
  oldestRead(): bigint | undefined {
    let oldest: bigint | undefined;
    for (const { at } of this.#reading) if (oldest === undefined || at < oldest) oldest = at;
    return oldest;
  }

  stop(): void {
    this.#stopped = true;
    for (const reading of this.#reading) reading.end();
  }

  /**
   * The LSN to read at for pages as of `lsn` or later. Pages change through our PostgreSQL alone, and what it changed
   * since the start it has locally: any LSN from the one asked for on gives the same page. Below PGMRPL storage may not
   * have it any more.
   */
  lsnToReadAt(lsn: bigint): bigint {
    const lowest = this.#options.volume.readFloor;
    return lsn > lowest ? lsn : lowest;
  }

  /**
   * `count` pages of 8 KiB as of `lsn` or later, in buffers that end anywhere; zeros where there is none. Rejects as
   * `readAt` does.
   */
  async read(range: PageRange, lsn: bigint, signal?: AbortSignal): Promise<readonly Buffer[]> {
    return (await this.readAt(range, this.lsnToReadAt(lsn), signal)).pages.pages(0, range.count);
  }

  /**
   * Pages as of an LSN that `lsnToReadAt` gave in this turn of the event loop. Rejects only when `signal` aborts
   * (nobody waits for them any more), after `stop`, or fenced.
   */
  readAt(range: PageRange, at: bigint, signal?: AbortSignal): Promise<PagesRead> {
    return this.#readTogether([range], at, signal);
  }

  /**
   * Pages of several ranges, in as few requests as there are groups that hold them: for each, in their order. They are 256 at most, which is what a
   * request may name. Rejects as `readAt` does.
   */
  async readSeveralAt(ranges: readonly PageRange[], at: bigint, signal?: AbortSignal): Promise<readonly PagesRead[]> {
    const { placement } = this.#options;
    const found = new Map<PageRange, PagesRead>();
    if (ranges.length === 1 && ranges[0] !== undefined) return [await this.readAt(ranges[0], at, signal)];
    const groups = Map.groupBy(ranges, (range) => placement.groupOf(range));
    const readGroup = async (of: readonly PageRange[]): Promise<void> => {
      const { pages, present } = await this.#readTogether(of, at, signal);
      let from = 0;
      for (const range of of) {
        const past = from + range.count;
        // A copy: one page that nobody asks for would keep the whole answer in memory.
        found.set(range, { pages: new PagePieces([Buffer.concat(pages.pages(from, range.count))]), present: present.subarray(from, past) });
        from = past;
      }
    };
    await Promise.all([...groups.values()].map(readGroup));
    return ranges.flatMap((range) => found.get(range) ?? []);
  }

  /** Of one group. */
  async #readTogether(ranges: readonly PageRange[], at: bigint, signal: AbortSignal | undefined): Promise<PagesRead> {
    const reading = new Reading(at);
    if (this.#stopped || signal?.aborted === true) throw readIsOver();
    signal?.addEventListener('abort', reading.end, { once: true });
    this.#reading.add(reading);
    try {
      if (this.#active < CONCURRENT_READS_MAX) this.#active++;
      else await this.#turn(reading);
      try {
        return await this.#readUntilDone(ranges, reading);
      } finally {
        this.#passOn();
      }
    } finally {
      this.#reading.delete(reading);
      signal?.removeEventListener('abort', reading.end);
    }
  }

  /** Waits for a turn. Rejects, and has none, when it is over before that. */
  async #turn(reading: Reading): Promise<void> {
    const given = await new Promise<boolean>((resolve) => {
      const take = (): void => {
        reading.watch(undefined);
        resolve(true);
      };
      this.#queue.push(take);
      reading.watch(() => {
        const at = this.#queue.indexOf(take);
        if (at >= 0) this.#queue.splice(at, 1);
        resolve(false);
      });
    });
    if (!given) throw readIsOver();
  }

  /** Gives a turn to the next in the queue. */
  #passOn(): void {
    const next = this.#queue.shift();
    if (next === undefined) this.#active--;
    else next();
  }

  async #readUntilDone(ranges: readonly PageRange[], reading: Reading): Promise<PagesRead> {
    const { clock, logger, onRead } = this.#options;
    const pages = pagesIn(ranges);
    const startedAt = clock.now();
    let tooOldRounds = 0;
    for (let waitMs = RETRY_MIN_MS; ; waitMs = Math.min(waitMs * 2, RETRY_MAX_MS)) {
      if (reading.over) throw readIsOver();
      reading.tooOld = 0;
      reading.failed = 0;
      const outcome = await this.#race(ranges, reading, this.#order(this.#groupOf(ranges), reading.at, waitMs > RETRY_MIN_MS));
      if (outcome !== undefined) {
        onRead({ seconds: (clock.now() - startedAt) / 1000, pages, hedged: outcome.hedged });
        return outcome.read;
      }
      if (reading.over) continue;
      tooOldRounds = reading.tooOld > 0 ? tooOldRounds + 1 : 0;
      if (tooOldRounds > 0 && (reading.failed === 0 || tooOldRounds >= TOO_OLD_ROUNDS)) this.#options.onTooOld?.(this.#lastTooOld);
      const [first] = ranges;
      if (waitMs === RETRY_MAX_MS && first !== undefined) {
        const { spcOid, dbOid, relNumber, fork, block } = first;
        logger.warn(
          {
            page: `${spcOid}/${dbOid}/${relNumber} fork ${fork}`,
            block,
            count: pages,
            lsn: formatLsn(reading.at),
            reason: this.#lastRefusal,
          },
          'no segment serves these pages, asking again',
        );
      }
      const awake = new AbortController();
      reading.watch(() => awake.abort());
      await clock.sleep(waitMs, awake.signal);
    }
  }

  /**
   * Segments by promise: those that hold the LSN, the quicker first; the others after them, for SCLs known here are
   * late. Tails come after all full ones, and only those that stand in for one, as far as is known: once no full one gives a page
   * (`isRepeated`), all are asked.
   */
  #order(group: number, at: bigint, isRepeated: boolean): SegmentEndpoint[] {
    const { segments, volume, zone, clock } = this.#options;
    const now = clock.now();
    const ranked = segments
      .filter((endpoint) => isFull(endpoint) || isRepeated || this.#standIns.has(endpoint))
      .map((endpoint) => ({
        endpoint,
        rank:
          (isFull(endpoint) ? 0 : 1e12) +
          (volume.scl(group, endpoint.index) >= at ? 0 : 1e9) +
          this.#loads.expectedMs(endpoint.index, endpoint.zone === zone, now),
      }));
    return ranked.sort((a, b) => a.rank - b.rank).map(({ endpoint }) => endpoint);
  }

  /**
   * One round over the segments: the first alone, the next when one fails or is slower than nearly all reads are. Every
   * further one is given twice the time, so that a zone that hangs costs milliseconds. Undefined when all failed, or it
   * is over.
   */
  #race(ranges: readonly PageRange[], reading: Reading, order: readonly SegmentEndpoint[]): Promise<Answered | undefined> {
    const { clock } = this.#options;
    const { promise, resolve, reject } = Promise.withResolvers<Answered | undefined>();
    const asked = new Map<SegmentEndpoint, AbortController>();
    let next = 0;
    let waitMs = Math.max(HEDGE_MIN_MS, this.#loads.nearlyAllWithinMs(readWeight(pagesIn(ranges))));
    let hedged = false;
    let settled = false;
    let timer: Timer | undefined;
    const settle = (finish: () => void): void => {
      if (settled) return;
      settled = true;
      timer?.cancel();
      reading.watch(undefined);
      finish();
      for (const [endpoint, call] of asked) {
        call.abort();
        // Those that were asked first and have still not answered.
        if (hedged) this.#loads.penalise(endpoint.index, clock.now());
      }
    };
    const ask = (): void => {
      const endpoint = order[next++];
      if (endpoint === undefined) {
        if (asked.size === 0) settle(() => resolve(undefined));
        return;
      }
      const call = new AbortController();
      asked.set(endpoint, call);
      this.#ask(endpoint, ranges, reading.at, call.signal).then(
        (read) => {
          asked.delete(endpoint);
          if (!isFull(endpoint)) this.#standIns.add(endpoint);
          settle(() => resolve({ read, hedged }));
        },
        (error: unknown) => {
          asked.delete(endpoint);
          if (settled) return;
          const known = fromServiceError(error, endpoint.id);
          if (known.code === 'NO_PAGES') {
            // A tail as any: nothing is wrong with it.
            this.#standIns.delete(endpoint);
            ask();
            return;
          }
          this.#options.onError(endpoint.id, known.code);
          this.#lastRefusal = `${endpoint.id}: ${known.message}`;
          if (known.code === 'TOO_OLD') {
            reading.tooOld++;
            this.#lastTooOld = this.#lastRefusal;
          } else reading.failed++;
          this.#loads.penalise(endpoint.index, clock.now());
          if (known.code === 'FENCED') {
            this.#options.onFenced(known.message);
            settle(() => reject(known));
          } else ask();
        },
      );
    };
    const hedge = (): void => {
      timer = clock.after(waitMs, () => {
        if (next >= order.length) return;
        hedged = true;
        ask();
        waitMs *= 2;
        hedge();
      });
    };
    hedge();
    ask();
    reading.watch(() => settle(() => resolve(undefined)));
    return promise;
  }

  #groupOf([first]: readonly PageRange[]): number {
    if (first === undefined) throw new RangeError('a read of no pages');
    return this.#options.placement.groupOf(first);
  }

  async #ask(endpoint: SegmentEndpoint, ranges: readonly PageRange[], at: bigint, signal: AbortSignal): Promise<PagesRead> {
    const { identity, epoch, clock } = this.#options;
    const segment = { volumeId: identity.segment.volumeId, pg: this.#groupOf(ranges) };
    const keys = ranges.flatMap((range) => encodePageKeys(range, range.count));
    const request: GetPagesRequest = { segment, epoch, lsn: at, keys };
    const weight = readWeight(keys.length);
    const startedAt = clock.now();
    this.#loads.began(endpoint.index, weight);
    try {
      const response = await endpoint.client.getPages(request, { deadlineMs: ATTEMPT_DEADLINE_MS, signal });
      this.#loads.observe(endpoint.index, weight, clock.now() - startedAt, clock.now());
      const read = { present: response.present, pages: new PagePieces(response.pages) };
      checkPages(read, ranges, at, endpoint.id);
      return read;
    } finally {
      this.#loads.ended(endpoint.index, weight);
    }
  }
}

/** Tails keep redo alone, but for those that stand in for a full segment. */
const isFull = ({ role }: SegmentEndpoint): boolean => role === 'FULL';

/** A page from the future, or not a page: never give it to PostgreSQL; the next segment may have the right one. */
function checkPages({ pages, present }: PagesRead, ranges: readonly PageRange[], at: bigint, peer: string): void {
  const count = pagesIn(ranges);
  if (pages.byteLength !== count * PAGE_BYTES || present.length !== count) {
    throw new AuroraRpcError('DAMAGED', `${peer}: ${pages.byteLength} bytes for ${count} pages`);
  }
  let index = 0;
  for (const range of ranges) {
    for (let block = range.block; block < range.block + range.count; block++) {
      const page = pages.header(index++);
      if (pageLsn(page) <= at || pageIsNew(page)) continue;
      throw new AuroraRpcError(
        'DAMAGED',
        `${peer}: block ${block} of ${range.relNumber} has LSN ${formatLsn(pageLsn(page))}, asked at ${formatLsn(at)}`,
      );
    }
  }
}
