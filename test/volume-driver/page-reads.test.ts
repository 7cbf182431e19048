import { beforeEach, describe, expect, it } from 'vitest';
import { decodePageKey } from '@kube-aurora/redo';
import { AuroraRpcError, type GetPagesRequest, type GetPagesResponse } from '@kube-aurora/rpc';
import { SINGLE_GROUP } from '../../compute-node/src/placement.ts';
import { PageReader } from '../../compute-node/src/read-path/page-reader.ts';
import type { SegmentEndpoint } from '../../compute-node/src/segments.ts';
import { RELATION, syntheticVolume } from '../simulation/synthetic-volume.ts';
import { DriverWorld, type Compute } from './driver-world.ts';

const { baseLsn, blocks } = syntheticVolume();
const RANGE = { ...RELATION, block: 1, count: 2 };
const PAGES = Buffer.concat(blocks.slice(1, 3).map(({ bytes }) => bytes));
const ALL = [0, 1, 2, 3, 4, 5];

let world: DriverWorld;
let compute: Compute;
let fences: string[];
let tooOld: string[];

beforeEach(async () => {
  world = new DriverWorld();
  await world.importVolume();
  compute = world.compute('zone-1');
  fences = [];
  tooOld = [];
});

/** A reader of the compute at its base; `answers` are those of segments that do not behave as a sound one does. */
function reader(readFloor = 0n, answers: Record<number, (request: GetPagesRequest) => Promise<GetPagesResponse>> = {}): PageReader {
  const { clock, logger, zone } = compute.machine;
  const segments: SegmentEndpoint[] = compute.segments.map((endpoint) => {
    const getPages = answers[endpoint.index];
    return getPages === undefined ? endpoint : { ...endpoint, client: { ...endpoint.client, getPages } };
  });
  return new PageReader({
    segments,
    identity: compute.identity,
    epoch: 1n,
    zone,
    volume: { vdl: baseLsn, scl: () => baseLsn, readFloor },
    placement: SINGLE_GROUP,
    onFenced: (message) => void fences.push(message),
    onTooOld: (message) => void tooOld.push(message),
    onRead: () => undefined,
    onError: () => undefined,
    clock,
    logger,
  });
}

describe('a page read', () => {
  it('asks a segment of its own zone first', async () => {
    expect(Buffer.concat(await world.until(reader().read(RANGE, baseLsn))).equals(PAGES)).toBe(true);
    expect(['d2', 'd3']).toContain(compute.asked[0]?.id);
    expect(compute.asked[0]?.request.keys.map((key) => decodePageKey(key).block)).toEqual([1, 2]);
  });

  it('hedges a slow segment, passes over dead and broken ones and over pages from the future', async () => {
    world.stop(0);
    world.hang(600_000, 2, 3);
    const future = Buffer.from(PAGES);
    future.writeUInt32LE(0x7fff_ffff, 0);
    const one = reader(0n, {
      1: () => Promise.resolve({ present: Buffer.alloc(2, 1), pages: [future] }),
      4: () => Promise.reject(new Error('broken')),
    });
    const { now } = world.world;
    expect(Buffer.concat(await world.until(one.read(RANGE, baseLsn))).equals(PAGES)).toBe(true);
    expect(world.world.now - now).toBeLessThan(1500);
  });

  it('is no lower than storage was told it must serve, whatever LSN the request came with', async () => {
    const writer = await world.until(compute.write());
    writer.insert();
    await world.until(writer.flush());
    const floor = writer.writePath.vdl;
    const { clock, logger, zone } = compute.machine;
    const own = new PageReader({
      segments: compute.segments,
      identity: compute.identity,
      epoch: writer.opened.epoch,
      zone,
      volume: { vdl: floor, scl: () => floor, readFloor: floor },
      placement: SINGLE_GROUP,
      onFenced: () => undefined,
      onRead: () => undefined,
      onError: () => undefined,
      clock,
      logger,
    });
    const request = { ...RANGE, lsn: baseLsn };
    expect(Buffer.concat(await world.until(own.read(request, request.lsn))).equals(PAGES)).toBe(true);
    expect(new Set(compute.asked.map((one) => one.request.lsn))).toEqual(new Set([floor]));
  });

  it('tells that its pages are gone: at once when all segments say so, soon when the others are away, never while one may have them', async () => {
    const gone = (): Promise<GetPagesResponse> => Promise.reject(new AuroraRpcError('TOO_OLD', 'merged'));
    const away = (): Promise<GetPagesResponse> => Promise.reject(new AuroraRpcError('UNREACHABLE', 'away'));
    const { clock } = compute.machine;
    const askAll = async (answers: readonly (() => Promise<GetPagesResponse>)[], ms: number): Promise<void> => {
      tooOld = [];
      const one = reader(0n, Object.fromEntries(answers.entries()));
      const read = one.read(RANGE, baseLsn).catch((error: unknown) => error);
      await world.until(clock.sleep(ms));
      one.stop();
      await world.until(read);
    };
    await askAll([gone, gone, gone, gone, gone, gone], 100);
    expect(tooOld[0]).toContain('merged');
    await askAll([gone, away, gone, gone, gone, gone], 100);
    expect(tooOld).toEqual([]);
    await askAll([gone, away, gone, gone, gone, gone], 10_000);
    expect(tooOld[0]).toContain('merged');
    await askAll([away, away, away, away, away, away], 10_000);
    expect(tooOld).toEqual([]);
    let refusals = 3;
    await askAll(
      [gone, gone, gone, gone, gone, () => (refusals-- > 0 ? away() : Promise.resolve({ present: Buffer.alloc(2, 1), pages: [PAGES] }))],
      10_000,
    );
    expect(tooOld).toEqual([]);
  });

  it('is let go of when nobody waits for it, in the queue too, and those behind it are served', async () => {
    world.hang(2000, ...ALL);
    const one = reader();
    const givenUp = Array.from({ length: 100 }, () => {
      const over = new AbortController();
      return { over, read: one.read(RANGE, baseLsn - 1n, over.signal).catch((error: unknown) => error) };
    });
    const kept = Array.from({ length: 5 }, () => one.read(RANGE, baseLsn));
    expect(one.oldestRead()).toBe(baseLsn - 1n);
    for (const { over } of givenUp) over.abort();
    for (const { read } of givenUp) expect(await world.until(read)).toBeInstanceOf(Error);
    expect(one.oldestRead()).toBe(baseLsn);
    await expect(one.read(RANGE, baseLsn, AbortSignal.abort())).rejects.toThrow(/nobody waits/);
    for (const read of kept) expect(Buffer.concat(await world.until(read)).equals(PAGES)).toBe(true);
    world.hang(600_000, ...ALL);
    const stopped = one.read(RANGE, baseLsn).catch((error: unknown) => error);
    one.stop();
    expect(await world.until(stopped)).toBeInstanceOf(Error);
    expect(one.oldestRead()).toBeUndefined();
  });

  it('hears that another writer has the volume, and reads nothing then', async () => {
    await world.until(world.compute().opened());
    const read = reader().read(RANGE, baseLsn);
    await expect(world.until(read)).rejects.toThrow(/epoch/);
    expect(fences).toHaveLength(1);
  });
});
