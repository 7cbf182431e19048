import type { Clock, Timer } from '@kube-aurora/clock';
import { PAGE_BYTES, formatLsn, pageIsNew, pageLsn } from '@kube-aurora/pg-format';
import type { Logger } from '@kube-aurora/process';
import { encodePageKeys } from '@kube-aurora/redo';
import { AuroraRpcError, fromServiceError, type GetPagesRequest } from '@kube-aurora/rpc';
import type { Placement } from '../placement.ts';
import type { SegmentEndpoint, WriterIdentity } from '../segments.ts';
import { LatencyEstimate } from './latency-estimate.ts';
import type { VolumeView } from './volume-view.ts';

/** Requests under way at once; the rest wait in order. Each holds up to 1 MiB of pages. */
const CONCURRENT_READS_MAX = 64;
const ATTEMPT_DEADLINE_MS = 5000;
const HEDGE_MIN_MS = 10;
/** What another zone costs when segments are compared: a segment of our own that is this much slower is passed over. */
const OTHER_ZONE_MS = 20;
const RETRY_MIN_MS = 20;
const RETRY_MAX_MS = 500;

export interface PageRange {
  readonly spcOid: number;
  readonly dbOid: number;
  readonly relNumber: number;
  readonly fork: number;
  readonly block: number;
  readonly count: number;
}

export interface PageReaderOptions {
  readonly segments: readonly SegmentEndpoint[];
  readonly identity: WriterIdentity;
  readonly epoch: bigint;
  /** Our own zone: a segment in it is asked first. */
  readonly zone: string;
  readonly volume: VolumeView;
  readonly placement: Placement;
  readonly onFenced: (message: string) => void;
  readonly onRead: (outcome: { seconds: number; pages: number; hedged: boolean }) => void;
  readonly onError: (segment: string, code: string) => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A read under way. */
interface Reading {
  /** The LSN that it reads at. */
  readonly at: bigint;
  readonly over: AbortController;
}

const readIsOver = (): AuroraRpcError => new AuroraRpcError('UNREACHABLE', 'nobody waits for this read any more');

/**
 * Reads pages as of an LSN from one segment that holds redo up to it; never a quorum. A slow one is hedged with a second,
 * a failing one is passed over. It takes as long as it takes: a read ends early only when its reader gives up, or with `stop`.
 */
export class PageReader {
  readonly #options: PageReaderOptions;
  readonly #latency: LatencyEstimate[];
  readonly #overall = new LatencyEstimate();
  readonly #reading = new Set<Reading>();
  readonly #queue: (() => void)[] = [];
  #stopped = false;
  #active = 0;
  #lastRefusal = '';

  constructor(options: PageReaderOptions) {
    this.#options = options;
    this.#latency = options.segments.map(() => new LatencyEstimate());
  }

  /** Lowest LSN asked for by a read under way: what this compute's read floor keeps to. */
  oldestRead(): bigint | undefined {
    let oldest: bigint | undefined;
    for (const { at } of this.#reading) if (oldest === undefined || at < oldest) oldest = at;
    return oldest;
  }

  stop(): void {
    this.#stopped = true;
    for (const { over } of this.#reading) over.abort();
  }

  /**
   * `count` pages of 8 KiB as of `lsn` or later; zeros where there is none. Rejects only when `signal` aborts (nobody waits for
   * it any more), after `stop`, or fenced.
   */
  async read(range: PageRange, lsn: bigint, signal?: AbortSignal): Promise<Buffer> {
    // Pages change through our PostgreSQL alone, and what it changed since the start it has locally: any LSN from the
    // one asked for on gives the same page. Below PGMRPL storage may not have it any more.
    const lowest = this.#options.volume.readFloor;
    const reading: Reading = { at: lsn > lowest ? lsn : lowest, over: new AbortController() };
    const end = (): void => reading.over.abort();
    if (this.#stopped || signal?.aborted === true) end();
    signal?.addEventListener('abort', end, { once: true });
    this.#reading.add(reading);
    try {
      await this.#turn(reading.over.signal);
      try {
        return await this.#readUntilDone(range, reading.at, reading.over.signal);
      } finally {
        this.#passOn();
      }
    } finally {
      this.#reading.delete(reading);
      signal?.removeEventListener('abort', end);
    }
  }

  /** Waits for a turn. Rejects, and has none, when it is over before that. */
  async #turn(over: AbortSignal): Promise<void> {
    if (this.#active < CONCURRENT_READS_MAX) {
      this.#active++;
      return;
    }
    const given = await new Promise<boolean>((resolve) => {
      const take = (): void => {
        over.removeEventListener('abort', leave);
        resolve(true);
      };
      const leave = (): void => {
        const place = this.#queue.indexOf(take);
        if (place >= 0) this.#queue.splice(place, 1);
        resolve(false);
      };
      this.#queue.push(take);
      if (over.aborted) leave();
      else over.addEventListener('abort', leave, { once: true });
    });
    if (!given) throw readIsOver();
  }

  /** Gives a turn to the next in the queue. */
  #passOn(): void {
    const next = this.#queue.shift();
    if (next === undefined) this.#active--;
    else next();
  }

  async #readUntilDone(range: PageRange, at: bigint, over: AbortSignal): Promise<Buffer> {
    const startedAt = this.#options.clock.now();
    for (let waitMs = RETRY_MIN_MS; ; waitMs = Math.min(waitMs * 2, RETRY_MAX_MS)) {
      if (over.aborted) throw readIsOver();
      const outcome = await this.#race(range, at, this.#order(this.#options.placement.groupOf(range), at), over);
      if (outcome !== undefined) {
        this.#options.onRead({ seconds: (this.#options.clock.now() - startedAt) / 1000, pages: range.count, hedged: outcome.hedged });
        return outcome.pages;
      }
      if (over.aborted) continue;
      if (waitMs === RETRY_MAX_MS) {
        const { spcOid, dbOid, relNumber, fork, block, count } = range;
        this.#options.logger.warn(
          { page: `${spcOid}/${dbOid}/${relNumber} fork ${fork}`, block, count, lsn: formatLsn(at), reason: this.#lastRefusal },
          'no segment serves these pages, asking again',
        );
      }
      await this.#options.clock.sleep(waitMs, over);
    }
  }

  /** Segments by promise: those that hold the LSN, our zone, the quicker; the others after them, for SCLs known here are late. */
  #order(group: number, at: bigint): SegmentEndpoint[] {
    const { segments, volume, zone } = this.#options;
    const now = this.#options.clock.now();
    const ranked = segments.map((endpoint) => {
      const latency = this.#latency[endpoint.index];
      const slowness = (latency?.meanMs ?? 0) + (latency?.penaltyMs(now) ?? 0);
      return {
        endpoint,
        rank: (volume.scl(group, endpoint.index) >= at ? 0 : 1e9) + (endpoint.zone === zone ? 0 : OTHER_ZONE_MS) + slowness,
      };
    });
    return ranked.sort((a, b) => a.rank - b.rank).map(({ endpoint }) => endpoint);
  }

  /**
   * One round over the segments: the first alone, the next when one fails or is slower than nearly all reads are. Every
   * further one is given twice the time, so that a zone that hangs costs milliseconds. Undefined when all failed, or it is over.
   */
  #race(
    range: PageRange,
    at: bigint,
    order: readonly SegmentEndpoint[],
    over: AbortSignal,
  ): Promise<{ pages: Buffer; hedged: boolean } | undefined> {
    const { promise, resolve, reject } = Promise.withResolvers<{ pages: Buffer; hedged: boolean } | undefined>();
    const cancel = new AbortController();
    const asked = new Set<SegmentEndpoint>();
    let next = 0;
    let waitMs = Math.max(HEDGE_MIN_MS, this.#overall.p99Ms);
    let hedged = false;
    let settled = false;
    let timer: Timer | undefined;
    const settle = (finish: () => void): void => {
      if (settled) return;
      settled = true;
      timer?.cancel();
      over.removeEventListener('abort', end);
      finish();
      cancel.abort();
      // Those that were asked first and have still not answered.
      if (hedged) for (const endpoint of asked) this.#latency[endpoint.index]?.penalise(this.#options.clock.now());
    };
    const end = (): void => settle(() => resolve(undefined));
    over.addEventListener('abort', end, { once: true });
    const ask = (): void => {
      const endpoint = order[next++];
      if (endpoint === undefined) {
        if (asked.size === 0) settle(() => resolve(undefined));
        return;
      }
      asked.add(endpoint);
      this.#ask(endpoint, range, at, cancel.signal).then(
        (pages) => {
          asked.delete(endpoint);
          settle(() => resolve({ pages, hedged }));
        },
        (error: unknown) => {
          asked.delete(endpoint);
          if (settled) return;
          const known = fromServiceError(error, endpoint.id);
          this.#options.onError(endpoint.id, known.code);
          this.#lastRefusal = `${endpoint.id}: ${known.message}`;
          this.#latency[endpoint.index]?.penalise(this.#options.clock.now());
          if (known.code === 'FENCED') {
            this.#options.onFenced(known.message);
            settle(() => reject(known));
          } else ask();
        },
      );
    };
    const hedge = (): void => {
      timer = this.#options.clock.after(waitMs, () => {
        if (next >= order.length) return;
        hedged = true;
        ask();
        waitMs *= 2;
        hedge();
      });
    };
    hedge();
    ask();
    return promise;
  }

  async #ask(endpoint: SegmentEndpoint, range: PageRange, at: bigint, signal: AbortSignal): Promise<Buffer> {
    const { identity, epoch, placement } = this.#options;
    const segment = { volumeId: identity.segment.volumeId, pg: placement.groupOf(range) };
    const request: GetPagesRequest = { segment, epoch, lsn: at, keys: encodePageKeys(range, range.count) };
    const startedAt = this.#options.clock.now();
    const response = await endpoint.client.getPages(request, { deadlineMs: ATTEMPT_DEADLINE_MS, signal });
    const elapsedMs = this.#options.clock.now() - startedAt;
    this.#latency[endpoint.index]?.observe(elapsedMs);
    this.#overall.observe(elapsedMs);
    checkPages(response.pages, range, at, endpoint.id);
    return response.pages;
  }
}

/** A page from the future, or not a page: never give it to PostgreSQL; the next segment may have the right one. */
function checkPages(pages: Buffer, range: PageRange, at: bigint, peer: string): void {
  if (pages.length !== range.count * PAGE_BYTES) {
    throw new AuroraRpcError('DAMAGED', `${peer}: ${pages.length} bytes for ${range.count} pages`);
  }
  for (let index = 0; index < range.count; index++) {
    const page = pages.subarray(index * PAGE_BYTES, (index + 1) * PAGE_BYTES);
    if (!pageIsNew(page) && pageLsn(page) > at) {
      throw new AuroraRpcError(
        'DAMAGED',
        `${peer}: block ${range.block + index} of ${range.relNumber} has LSN ${formatLsn(pageLsn(page))}, asked at ${formatLsn(at)}`,
      );
    }
  }
}
