import fc from 'fast-check';
import { systemClock } from '@kube-aurora/clock';
import { PAGE_BYTES } from '@kube-aurora/pg-format';
import { createLogger } from '@kube-aurora/process';
import { decodePageKey } from '@kube-aurora/redo';
import { AuroraRpcError, type CallOptions, type GetPagesRequest, type GetPagesResponse, type SegmentApi } from '@kube-aurora/rpc';
import { expect, it, vi } from 'vitest';
import { SINGLE_GROUP } from '../placement.ts';
import type { UntouchedFork } from './first-touch.ts';
import { PageReader } from './page-reader.ts';
import { PageSource } from './page-source.ts';

const FORK = { spcOid: 1663, dbOid: 5, relNumber: 16_384, fork: 0, room: 0 };
const { signal: NEVER } = new AbortController();

type GetPages = (request: GetPagesRequest, options: CallOptions) => Promise<GetPagesResponse>;

function sourceOn(getPages: GetPages, vdl: () => bigint, { aheadBytesMax = 4 << 20, forks = [] as readonly UntouchedFork[] } = {}) {
  const segments = Array.from({ length: 6 }, (_, index) => ({
    index,
    id: `d${index}`,
    zone: `z${index >> 1}`,
    role: 'FULL' as const,
    client: { getPages } as Partial<SegmentApi> as SegmentApi,
  }));
  const gone = { pages: 0, used: 0 };
  const reader = new PageReader({
    segments,
    identity: { segment: { volumeId: '0', pg: 0 }, writerId: 'w' },
    epoch: 1n,
    zone: 'z0',
    volume: {
      get vdl() {
        return vdl();
      },
      scl: () => vdl(),
      get readFloor() {
        return vdl() > 50n ? vdl() - 50n : 0n;
      },
    },
    placement: SINGLE_GROUP,
    onFenced: () => undefined,
    onRead: () => undefined,
    onError: () => undefined,
    clock: systemClock(),
    logger: createLogger('test', { level: 'silent' }),
  });
  const source = new PageSource({
    reader,
    aheadBytesMax,
    untouchedForks: () => Promise.resolve(forks),
    onAheadGone: (pages, used) => {
      gone.pages += pages;
      gone.used += used;
    },
    clock: systemClock(),
  });
  return { source, reader, gone };
}

/** A page that says what it is. */
function pageOf(block: number, lsn: bigint): Buffer {
  const page = Buffer.alloc(PAGE_BYTES);
  page.writeUInt32LE(Number(lsn >> 32n), 0);
  page.writeUInt32LE(Number(lsn & 0xffff_ffffn), 4);
  page.writeUInt16LE(1, 14);
  page.writeUInt32LE(block, 100);
  return page;
}

/** Blocks that exist up to `blocks`, all as of LSN 1. */
function constantVolume(blocks: number) {
  const asked: string[] = [];
  const getPages: GetPages = ({ keys }) => {
    const found = keys.map((key) => decodePageKey(key).block);
    asked.push(`${found[0]}+${found.length}`);
    return Promise.resolve({
      present: Buffer.from(found.map((block) => (block < blocks ? 1 : 0))),
      pages: found.map((block) => (block < blocks ? pageOf(block, 1n) : Buffer.alloc(PAGE_BYTES))),
    });
  };
  return { asked, getPages };
}

const blocksIn = (pages: readonly Buffer[]): number[] => {
  const all = Buffer.concat(pages);
  return Array.from({ length: all.length / PAGE_BYTES }, (_, at) => all.readUInt32LE(at * PAGE_BYTES + 100));
};

it('gives a scan what was read ahead, every page once and none past the end', async () => {
  const { asked, getPages } = constantVolume(500);
  const { source, gone } = sourceOn(getPages, () => 10n);
  for (let block = 0; block < 500; block += 10) {
    const pages = await source.read({ ...FORK, block, count: 10, lsn: 5n, holesSince: 1n }, NEVER);
    expect(blocksIn(pages)).toEqual(Array.from({ length: 10 }, (_, at) => block + at));
  }
  expect(asked.length).toBeLessThan(20);
  const total = asked.reduce((sum, each) => sum + Number(each.split('+')[1]), 0);
  expect(total).toBeLessThan(500 + 128);
  expect(gone.used).toBeGreaterThan(400);
  source.stop();
  expect(source.bytesAhead).toBe(0);
});

it('gives along with pages what it has at hand of the same run, once, and never what was read before blocks were lost', async () => {
  const { asked, getPages } = constantVolume(2000);
  const { source } = sourceOn(getPages, () => 10n);
  const request = (block: number, holesSince = 1n) => ({ ...FORK, block, count: 16, lsn: 5n, holesSince, room: 100 });
  const given: number[] = [];
  for (let block = 0; block < 2000;) {
    given.push(...blocksIn(await source.read(request(block), NEVER)));
    const along = source.along(request(block));
    block += 16;
    if (along === undefined) continue;
    expect(along.block).toBe(block);
    expect(along.count).toBeLessThanOrEqual(100);
    given.push(...blocksIn(along.pages));
    block += along.count;
  }
  expect(given.slice(0, 2000)).toEqual(Array.from({ length: 2000 }, (_, at) => at));
  expect(new Set(given.slice(2000))).toEqual(new Set([0]));
  const total = asked.reduce((sum, each) => sum + Number(each.split('+')[1]), 0);
  expect(total).toBeLessThan(2000 + 512);
  source.stop();
  const again = sourceOn(getPages, () => 10n).source;
  for (const block of [0, 16, 32]) await again.read(request(block), NEVER);
  await new Promise((resolve) => setTimeout(resolve, 5));
  // All of it was read at 5, and at 7 a file lost blocks.
  expect(again.along({ ...request(32, 7n) })).toBeUndefined();
  again.stop();
});

it('holds no more than it may, and lets go of what nobody asks for', async () => {
  vi.useFakeTimers();
  try {
    const { getPages } = constantVolume(1e6);
    const { source } = sourceOn(getPages, () => 10n, { aheadBytesMax: 64 * PAGE_BYTES });
    for (let block = 0; block < 3000; block += 16) {
      await source.read({ ...FORK, block, count: 16, lsn: 5n, holesSince: 1n }, NEVER);
      expect(source.bytesAhead).toBeLessThanOrEqual(64 * PAGE_BYTES);
    }
    expect(source.bytesAhead).toBeGreaterThan(0);
    await vi.advanceTimersByTimeAsync(20_000);
    expect(source.bytesAhead).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});

it('has what PostgreSQL says it will read, and reads nothing ahead when it is told not to', async () => {
  const { asked, getPages } = constantVolume(1000);
  const { source } = sourceOn(getPages, () => 10n);
  source.expect({ ...FORK, block: 700, count: 3, lsn: 5n, holesSince: 1n });
  expect(blocksIn(await source.read({ ...FORK, block: 699, count: 5, lsn: 5n, holesSince: 1n }, NEVER))).toEqual([699, 700, 701, 702, 703]);
  expect(asked).toEqual(['700+3', '699+1', '703+1']);
  source.stop();
  const without = constantVolume(1000);
  const { source: plain } = sourceOn(without.getPages, () => 10n, { aheadBytesMax: 0, forks: [{ relNumber: 1259, fork: 0, blocks: 4 }] });
  for (let block = 0; block < 100; block += 10) await plain.read({ ...FORK, block, count: 10, lsn: 5n, holesSince: 1n }, NEVER);
  expect(without.asked).toHaveLength(10);
});

it('reads the small relations of a database ahead with its first request, many with one request, once, and at most half of what it may hold', async () => {
  const requests: string[][] = [];
  const getPages: GetPages = ({ keys }) => {
    const found = keys.map((key) => decodePageKey(key));
    requests.push(found.map(({ relNumber, fork, block }) => `${relNumber}/${fork}/${block}`));
    return Promise.resolve({ present: Buffer.alloc(keys.length, 1), pages: found.map(({ relNumber }) => pageOf(relNumber, 1n)) });
  };
  const forks = [
    { relNumber: 1259, fork: 2, blocks: 1 },
    { relNumber: 1300, fork: 0, blocks: 100 },
    { relNumber: 16_500, fork: 0, blocks: 40 },
  ];
  const { source } = sourceOn(getPages, () => 10n, { forks });
  const page = (relNumber: number, fork = 0, dbOid = 5) => ({
    ...FORK,
    dbOid,
    relNumber,
    fork,
    block: 0,
    count: 1,
    lsn: 5n,
    holesSince: 1n,
  });
  await source.read(page(2000), NEVER);
  await vi.waitFor(() => expect(requests.map((keys) => keys.length)).toEqual([1, 64, 64, 13]));
  for (const [relNumber, fork] of [[1259, 2], [1300], [16_500]] as const)
    expect(blocksIn(await source.read(page(relNumber, fork), NEVER))).toEqual([relNumber]);
  expect(requests).toHaveLength(4);
  // A run would be looked for past the end of a fork that is there as a whole.
  await source.read({ ...page(16_500), block: 1, count: 16 }, NEVER);
  await source.read({ ...page(16_500), block: 17, count: 16 }, NEVER);
  expect(requests).toHaveLength(4);
  await source.read(page(1260), NEVER);
  await source.read(page(1259, 0, 6), NEVER);
  await vi.waitFor(() => expect(requests.length).toBeGreaterThan(6));
  source.stop();
  const small = sourceOn(getPages, () => 10n, { forks, aheadBytesMax: 20 * PAGE_BYTES }).source;
  await small.read(page(2000), NEVER);
  await vi.waitFor(() => expect(small.bytesAhead).toBe(PAGE_BYTES));
  small.stop();
});

it('a request that is given up waits for nothing; pages that could not be read ahead are asked for again', async () => {
  const { getPages } = constantVolume(1000);
  let held = Promise.withResolvers<void>();
  let fails = false;
  const { source, reader } = sourceOn(
    async (request, options) => {
      if (request.keys.length > 2) await held.promise;
      if (fails) throw new AuroraRpcError('BEHIND', 'not yet');
      return getPages(request, options);
    },
    () => 10n,
  );
  const one = { ...FORK, lsn: 5n, holesSince: 1n };
  await source.read({ ...one, block: 0, count: 1 }, NEVER);
  await source.read({ ...one, block: 1, count: 2 }, NEVER);
  const over = new AbortController();
  const waits = source.read({ ...one, block: 3, count: 2 }, over.signal);
  over.abort();
  await expect(waits).rejects.toThrow(/nobody waits/);
  fails = true;
  held.resolve();
  held = Promise.withResolvers();
  held.resolve();
  await new Promise((resolve) => setTimeout(resolve, 5));
  fails = false;
  expect(blocksIn(await source.read({ ...one, block: 3, count: 2 }, NEVER))).toEqual([3, 4]);
  reader.stop();
  source.stop();
});

/**
 * PostgreSQL as far as its pages go: buffers, a local file with holes, a volume with every version. It reads, changes,
 * writes out, cuts off and extends at random while storage answers in its own time; every page that it is given must be
 * the one that is right.
 */
class ModelPostgres {
  readonly #turns: () => number;
  readonly source: PageSource;
  readonly reader: PageReader;
  lsn = 1n;
  holesSince = 1n;
  requestLsn = 1n;
  blocks: number;
  cameAlong = 0;
  /** By block, ascending: content from an LSN on; undefined is cut off. */
  readonly #versions: { readonly lsn: bigint; readonly page: Buffer | undefined }[][] = [];
  readonly #buffers = new Map<number, { page: Buffer; dirty: boolean }>();
  readonly #file = new Map<number, Buffer>();

  constructor(blocks: number, turns: () => number) {
    this.#turns = turns;
    this.blocks = blocks;
    for (let block = 0; block < blocks; block++) this.#versions.push([{ lsn: 1n, page: pageOf(block, 1n) }]);
    const { source, reader } = sourceOn(
      (request) => this.#serve(request),
      () => this.lsn,
      { forks: [{ ...FORK, blocks }] },
    );
    this.source = source;
    this.reader = reader;
  }

  async #serve({ keys, lsn }: GetPagesRequest): Promise<GetPagesResponse> {
    for (let turn = this.#turns(); turn > 0; turn--) await Promise.resolve();
    const pages = keys.map((key) => this.#versions[decodePageKey(key).block]?.findLast((each) => each.lsn <= lsn)?.page);
    return {
      present: Buffer.from(pages.map((page) => (page === undefined ? 0 : 1))),
      pages: pages.map((page) => page ?? Buffer.alloc(PAGE_BYTES)),
    };
  }

  #changed(block: number, page: Buffer | undefined): void {
    (this.#versions[block] ??= []).push({ lsn: this.lsn, page });
  }

  async read(block: number, count: number): Promise<void> {
    const past = Math.min(block + count, this.blocks);
    const holes: number[] = [];
    for (let at = block; at < past; at++) if (!this.#buffers.has(at) && !this.#file.has(at)) holes.push(at);
    // As the shim does: runs of neighbouring holes.
    for (let from = 0; from < holes.length;) {
      let to = from + 1;
      while (to < holes.length && holes[to] === (holes[to - 1] ?? 0) + 1) to++;
      const first = holes[from] ?? 0;
      const lsn = this.requestLsn < this.lsn ? this.requestLsn : this.lsn;
      const { holesSince } = this;
      const request = { ...FORK, block: first, count: to - from, lsn, holesSince, room: 64 };
      const pages = Buffer.concat(await this.source.read(request, NEVER));
      const along = this.source.along(request);
      for (let at = 0; at < to - from; at++) {
        const page = pages.subarray(at * PAGE_BYTES, (at + 1) * PAGE_BYTES);
        const right = this.#versions[first + at]?.at(-1)?.page ?? Buffer.alloc(PAGE_BYTES);
        if (!page.equals(right)) throw new Error(`block ${first + at} is of LSN ${page.readUInt32LE(4)}, not ${right.readUInt32LE(4)}`);
        this.#buffers.set(first + at, { page: Buffer.from(page), dirty: false });
        if (!page.equals(Buffer.alloc(PAGE_BYTES))) this.#file.set(first + at, Buffer.from(page));
      }
      if (along !== undefined) this.#keep(along.block, Buffer.concat(along.pages));
      from = to;
    }
    for (let at = block; at < past; at++) {
      const page = this.#file.get(at);
      if (page !== undefined && !this.#buffers.has(at)) this.#buffers.set(at, { page, dirty: false });
    }
  }

  /** What came along goes into the file where that is a hole, also under a buffer that has something newer. */
  #keep(block: number, pages: Buffer): void {
    for (let at = block; pages.length > 0; at++, pages = pages.subarray(PAGE_BYTES)) {
      const page = pages.subarray(0, PAGE_BYTES);
      if (at >= this.blocks || this.#file.has(at) || page.equals(Buffer.alloc(PAGE_BYTES))) continue;
      const right = this.#versions[at]?.at(-1)?.page ?? Buffer.alloc(PAGE_BYTES);
      if (this.#buffers.get(at)?.dirty !== true && !page.equals(right))
        throw new Error(`block ${at} came along of LSN ${page.readUInt32LE(4)}, not ${right.readUInt32LE(4)}`);
      this.#file.set(at, Buffer.from(page));
      this.cameAlong++;
    }
  }

  async change(block: number): Promise<void> {
    if (block >= this.blocks) return;
    await this.read(block, 1);
    this.lsn += 1n;
    const page = pageOf(block, this.lsn);
    this.#buffers.set(block, { page, dirty: true });
    this.#changed(block, page);
  }

  evict(block: number): void {
    const buffer = this.#buffers.get(block);
    if (buffer === undefined) return;
    if (buffer.dirty) {
      this.#file.set(block, buffer.page);
      const lsn = BigInt(buffer.page.readUInt32LE(4));
      if (lsn > this.requestLsn) this.requestLsn = lsn;
    }
    this.#buffers.delete(block);
  }

  truncate(blocks: number): void {
    if (blocks >= this.blocks) return;
    this.lsn += 1n;
    for (let block = blocks; block < this.blocks; block++) {
      this.#changed(block, undefined);
      this.#buffers.delete(block);
      this.#file.delete(block);
    }
    this.holesSince = this.lsn;
    this.requestLsn = this.lsn;
    this.blocks = blocks;
  }

  /** As zeros; pages that PostgreSQL fills are changes of their own. */
  extend(by: number): void {
    this.blocks += by;
  }
}

it('never gives a page that is not the right one, whatever PostgreSQL does meanwhile', async () => {
  let cameAlong = 0;
  const step = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant('scan' as const),
        block: fc.nat(150),
        count: fc.integer({ min: 1, max: 16 }),
        requests: fc.integer({ min: 1, max: 8 }),
      }),
    },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('change' as const), block: fc.nat(200) }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('evict' as const), from: fc.nat(200), count: fc.nat(60) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('truncate' as const), blocks: fc.nat(150) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('extend' as const), by: fc.integer({ min: 1, max: 60 }) }) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), fc.infiniteStream(fc.nat(40)), async (steps, delays) => {
      const postgres = new ModelPostgres(160, () => delays.next().value ?? 0);
      try {
        for (const one of steps) {
          if (one.kind === 'scan') {
            for (let request = 0; request < one.requests; request++) await postgres.read(one.block + request * one.count, one.count);
          } else if (one.kind === 'change') await postgres.change(one.block);
          else if (one.kind === 'evict') for (let at = one.from; at < one.from + one.count; at++) postgres.evict(at);
          else if (one.kind === 'truncate') postgres.truncate(one.blocks);
          else postgres.extend(one.by);
        }
      } finally {
        cameAlong += postgres.cameAlong;
        postgres.reader.stop();
        postgres.source.stop();
      }
    }),
    { numRuns: 150 },
  );
  expect(cameAlong).toBeGreaterThan(100);
});
