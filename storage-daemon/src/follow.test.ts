import { batchesIn, recordsOf } from '@kube-aurora/volume';
import { encodePageKey } from '@kube-aurora/redo';
import { encodeAppendRequest, type AuroraRpcError, type FollowedRedo, type FollowStream, type FollowWants } from '@kube-aurora/rpc';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { imageRecord } from './testing/synthetic-records.ts';
import { DEADLINE, SEGMENT, TEST_LIMITS, TestCluster, type TestWriter } from './testing/test-cluster.ts';

const REL = { spcOid: 1663, dbOid: 5, relNumber: 16_384, fork: 0 };
const ALL = [0, 1, 2, 3, 4, 5];
/** A tail. */
const TAIL = 5;

class Reader {
  readonly stream: FollowStream;
  vdls: bigint[] = [];
  /** Ends of the batches that came, each of which was checked to follow the one before. */
  ends: bigint[] = [];
  backlinks: bigint[] = [];
  lsns: bigint[] = [];
  bytes = 0;
  error: AuroraRpcError | undefined;

  constructor(cluster: TestCluster, daemon: number, wants: FollowWants, fromLsn: bigint, readFloor = 1n, readerId = 'reader-1') {
    this.stream = cluster.client(daemon).follow();
    this.stream.on('data', (redo) => this.#take(redo));
    this.stream.on('error', (error) => (this.error = error as AuroraRpcError));
    this.stream.write({ hello: { segment: SEGMENT, readerId, wants, promotionTier: 1 }, takenLsn: fromLsn, readFloor });
  }

  #take({ vdl, batches }: FollowedRedo): void {
    this.vdls.push(vdl);
    if (batches === undefined) return;
    this.bytes += batches.length;
    for (const { header, batch } of batchesIn(batches)) {
      if (this.ends.length > 0) expect(header.backlink).toBe(this.end);
      expect(header.endLsn).toBeLessThanOrEqual(vdl);
      this.backlinks.push(header.backlink);
      this.ends.push(header.endLsn);
      for (const { lsn } of recordsOf(batch)) this.lsns.push(lsn);
    }
  }

  get end(): bigint {
    return this.ends.at(-1) ?? 0n;
  }

  say(takenLsn: bigint, readFloor = 1n): void {
    this.stream.write({ hello: undefined, takenLsn, readFloor });
  }
}

describe('a reader that follows a segment', () => {
  let cluster: TestCluster;
  let writer: TestWriter;
  let base: { lsn: bigint; epoch: bigint };
  const readers: Reader[] = [];
  const follow = (...args: [number, FollowWants, bigint, bigint?, string?]): Reader => {
    const reader = new Reader(cluster, ...args);
    readers.push(reader);
    return reader;
  };
  const one = (fill: number): Buffer => imageRecord(REL, fill % 20, fill % 200);

  beforeEach(async () => {
    cluster = await TestCluster.start(6, TEST_LIMITS, 'Mixed');
    base = await cluster.import(1n, ALL);
    writer = await cluster.open(2n, 'w/1', base, [{ epoch: 1n, startLsn: base.lsn }], ALL);
  });
  afterEach(async () => {
    for (const reader of readers.splice(0)) reader.stream.cancel();
    writer.close();
    await cluster.stop();
  });

  it.each([0, TAIL])('is sent what is durable and no more, from memory and from disk: segment %i', async (at) => {
    for (let count = 0; count < 30; count++) await writer.append([one(count), one(count + 1)], ALL, count % 5 === 0);
    await writer.acknowledged(at, writer.end.lsn);
    const early = follow(at, 'REDO', base.lsn);
    await expect.poll(() => early.vdls.length).toBeGreaterThan(0);
    // Each batch has told what was durable before it.
    const known = (await cluster.status(at)).vdl;
    expect(known).toBeLessThan(writer.end.lsn);
    await expect.poll(() => early.end).toBe(known);
    expect(early.backlinks[0]).toBe(base.lsn);
    writer.points(ALL);
    await expect.poll(() => early.end).toBe(writer.end.lsn);
    expect(early.lsns).toHaveLength(60);

    // Another one that begins in the middle of a batch is sent that batch whole.
    const within = early.lsns[7] ?? 0n;
    const late = follow(at, 'REDO', within);
    await expect.poll(() => late.end).toBe(writer.end.lsn);
    expect(late.backlinks[0]).toBeLessThan(within);
    expect(late.ends[0]).toBeGreaterThan(within);
    expect(late.ends).toEqual(early.ends.slice(3));

    // What is durable next comes by itself.
    await writer.append([one(50)], ALL);
    expect(early.end).toBeLessThan(writer.end.lsn);
    writer.points(ALL);
    await expect.poll(() => [early.end, late.end]).toEqual([writer.end.lsn, writer.end.lsn]);
    expect(writer.stream(at).answers.at(-1)?.followed).toBe(true);
    expect(writer.stream(1).answers.at(-1)?.followed).toBe(false);
    const metrics = await cluster.daemon(at).metrics.registry.metrics();
    expect(metrics).toMatch(/aurora_storage_followers\{.*wants="redo"\} 2/);
    expect(metrics).toContain(`aurora_storage_followed_bytes_total ${early.bytes + late.bytes}`);
  });

  it('that takes nothing is sent no more than so much, and holds nobody up', async () => {
    const reader = follow(0, 'REDO', base.lsn);
    for (let count = 0; count < 120; count++) await writer.append([one(count), one(count), one(count), one(count), one(count)], ALL, false);
    await writer.acknowledged(0, writer.end.lsn);
    writer.points(ALL);
    await cluster.until(0, ({ vdl }) => vdl === writer.end.lsn);
    await expect.poll(() => reader.bytes).toBeGreaterThan(2 * 1024 * 1024);
    // The daemon answers when it has nothing more to send.
    const { length } = reader.vdls;
    reader.say(1n);
    await expect.poll(() => reader.vdls.length).toBeGreaterThan(length);
    expect(reader.bytes).toBeLessThan(2.5 * 1024 * 1024);
    while (reader.end < writer.end.lsn) {
      const before = reader.end;
      reader.say(before);
      await expect.poll(() => reader.end).toBeGreaterThan(before);
    }
    expect(new Set(reader.ends).size).toBe(120);
  });

  it('goes on through a takeover, and never sees what the new writer annuls', async () => {
    const readers = [0, TAIL].map((at) => follow(at, 'REDO', base.lsn));
    await writer.append([one(1)], ALL);
    writer.points(ALL);
    const { end } = writer;
    await expect.poll(() => readers.map((reader) => reader.end)).toEqual([end.lsn, end.lsn]);
    // On two segments only, and never durable.
    await writer.append([one(2)], [0, TAIL]);
    const second = await cluster.open(3n, 'w/2', end, writer.history, ALL);
    writer.close();
    writer = second;
    await second.append([one(3), one(4)], ALL);
    second.points(ALL);
    await expect.poll(() => readers.map((reader) => reader.end)).toEqual([second.end.lsn, second.end.lsn]);
    for (const reader of readers) {
      expect(reader.ends).toEqual([end.lsn, second.end.lsn]);
      expect(reader.error).toBeUndefined();
    }
  });

  it('whose floor is heard too late is given nothing as of a later LSN: the image and the page are refused', async () => {
    await writer.append([one(1)], ALL);
    const chosen = writer.end.lsn;
    const image = async (): Promise<number> => {
      let chunks = 0;
      for await (const chunk of cluster.client(0).computeImage({ segment: SEGMENT, epoch: 0n, lsn: chosen }, DEADLINE))
        chunks += chunk.volumeState.length > 0 ? 1 : 0;
      return chunks;
    };
    const page = { segment: SEGMENT, epoch: 0n, lsn: chosen, keys: [encodePageKey({ ...REL, block: 1 })] };
    writer.points(ALL);
    expect(await image()).toBeGreaterThan(0);
    await cluster.client(0).getPages(page, DEADLINE);
    await writer.append([one(1)], ALL);
    writer.points(ALL);
    await cluster.checkpointAt([0], writer.end);
    await expect(image()).rejects.toMatchObject({ code: 'TOO_OLD' });
    await expect(cluster.client(0).getPages(page, DEADLINE)).rejects.toMatchObject({ code: 'TOO_OLD' });
  });

  it('hears why it is sent nothing: redo that is gone, a segment that holds nothing, words that are wrong', async () => {
    const gone = follow(0, 'REDO', 8n);
    await expect.poll(() => gone.error?.code).toBe('TOO_OLD');
    const nowhere = follow(0, 'REDO', 0n);
    await expect.poll(() => nowhere.error?.code).toBe('INVALID');
    const stranger = cluster.client(0).follow();
    const errors: string[] = [];
    stranger.on('error', (error) => errors.push((error as AuroraRpcError).code));
    const segment = { ...SEGMENT, volumeId: 'd1b4f9c8-3b6e-4a63-9d8e-0d6f5f7a1f11' };
    stranger.write({ hello: { segment, readerId: 'r', wants: 'REDO', promotionTier: 1 }, takenLsn: 5n, readFloor: 0n });
    await expect.poll(() => errors).toEqual(['NOT_READY']);
    const leaving = follow(0, 'REDO', base.lsn);
    await expect.poll(() => leaving.vdls.length).toBeGreaterThan(0);
    await cluster.stopDaemon(0);
    await expect.poll(() => leaving.error?.code).toMatch(/NOT_READY|UNREACHABLE/);
  });

  it('reads pages without an epoch, of what is known to be durable alone', async () => {
    const page = { ...REL, block: 3 };
    const read = (lsn: bigint, deadlineMs: number): Promise<unknown> =>
      cluster.client(0).getPages({ segment: SEGMENT, epoch: 0n, lsn, keys: [encodePageKey(page)] }, { deadlineMs });
    await writer.append([imageRecord(REL, 3, 9)], ALL);
    await expect(read(writer.end.lsn, 300)).rejects.toMatchObject({ code: 'BEHIND' });
    expect((await cluster.status(0)).vdl).toBeLessThan(writer.end.lsn);
    const waiting = read(writer.end.lsn, 20_000);
    writer.points(ALL);
    expect(await waiting).toMatchObject({ present: Buffer.from([1]) });
    // A later writer's promise is none of its business.
    await cluster.client(0).openEpoch({ role: 'FULL', segment: SEGMENT, epoch: 9n, writerId: 'w/9', leaseMs: 0 }, DEADLINE);
    expect(await cluster.page(0, page, writer.end.lsn, 0n)).toBe(9);
    await expect(cluster.page(0, page, writer.end.lsn, 2n)).rejects.toMatchObject({ code: 'FENCED' });
    const image = cluster.client(0).computeImage({ segment: SEGMENT, epoch: 0n, lsn: writer.end.lsn }, DEADLINE);
    let chunks = 0;
    for await (const chunk of image) chunks += chunk === undefined ? 0 : 1;
    expect(chunks).toBeGreaterThan(0);
  });

  it('keeps pages from being merged past where it reads', async () => {
    const reader = follow(0, 'FLOOR', 0n, 0n);
    await expect.poll(() => reader.vdls.length).toBeGreaterThan(0);
    await writer.append([one(1)], ALL);
    const first = writer.end.lsn;
    await writer.append([one(2)], ALL);
    writer.points(ALL);
    await cluster.until(1, ({ pgmrpl }) => pgmrpl === writer.end.lsn);
    await cluster.until(0, ({ vdl }) => vdl === writer.end.lsn);
    expect((await cluster.status(0)).pgmrpl).toBeLessThan(first);
    reader.say(0n, first);
    await cluster.until(0, ({ pgmrpl }) => pgmrpl === first);
    reader.say(0n, writer.end.lsn);
    await cluster.until(0, ({ pgmrpl }) => pgmrpl === writer.end.lsn);
    writer.stream(0).stream.write(encodeAppendRequest([], 0n, 0n));
  });
});
