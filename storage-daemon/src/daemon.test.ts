import { PLAIN_PAGES } from './pages/stored-form.ts';
import fs from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { decodeVolumeState, pageKeyOf } from '@kube-aurora/redo';
import { systemDisk } from './disk/system-disk.ts';
import { PageStore } from './pages/page-store.ts';
import { pageStoreKey } from './pages/store-key.ts';
import { damageStoredValue } from './testing/damage-stored-value.ts';
import { copyDatabaseRecord, dropDatabaseRecord, imageRecord, syntheticRecord, truncateRecord } from './testing/synthetic-records.ts';
import { DEADLINE, SEGMENT, TestCluster, VOLUME } from './testing/test-cluster.ts';

const REL = { spcOid: 1663, dbOid: 5, relNumber: 16_384, fork: 0 };
const ALL = [0, 1, 2, 3, 4, 5];
const page = (block: number): typeof REL & { block: number } => ({ ...REL, block });

let cluster: TestCluster;

async function segmentOf(i: number): Promise<NonNullable<Awaited<ReturnType<ReturnType<TestCluster['daemon']>['segment']>>['pages']>> {
  const { pages: storage } = await cluster.daemon(i).segment(VOLUME, 0);
  if (storage === undefined) throw new Error('no content');
  return storage;
}

describe('six daemons', () => {
  beforeEach(async () => {
    cluster = await TestCluster.start(6);
  });
  afterEach(() => cluster.stop());

  it('import, append, read at any LSN, fence, annul', async () => {
    const base = await cluster.import(1n, ALL, [{ page: page(0), fill: 9 }]);
    const writer = await cluster.open(2n, 'w/1', base, [{ epoch: 1n, startLsn: base.lsn }], ALL);
    expect((await cluster.status(0)).phase).toBe('READY');
    const [first = 0n] = await writer.append([imageRecord(REL, 1, 11)], ALL);
    const [second = 0n, third = 0n] = await writer.append([imageRecord(REL, 1, 12), imageRecord(REL, 2, 13)], ALL);
    writer.points(ALL, base.lsn);
    for (const i of [0, 5]) {
      expect(await cluster.page(i, page(1), second, 2n)).toBe(12);
      expect(await cluster.page(i, page(1), first, 2n)).toBe(11);
      expect(await cluster.page(i, page(0), third, 2n)).toBe(9);
      expect(await cluster.page(i, page(2), second, 2n)).toBeUndefined();
      expect(await cluster.page(i, page(2), third, 2n)).toBe(13);
    }
    const chunks = [];
    for await (const chunk of cluster.client(1).computeImage({ segment: SEGMENT, epoch: 2n, lsn: third }, DEADLINE)) chunks.push(chunk);
    const state = decodeVolumeState(Buffer.concat(chunks.map((chunk) => chunk.volumeState)));
    expect(state.endLsn).toBe(third);
    expect(state.relations.blocks(REL)).toBe(3);

    // A second writer: the first is fenced, and what only it believed in goes.
    await writer.append([imageRecord(REL, 3, 14)], [0, 1], true);
    const next = await cluster.open(3n, 'w/2', { lsn: third, epoch: 2n }, writer.history, ALL);
    await expect(writer.append([syntheticRecord(10)], [2])).rejects.toMatchObject({ code: 'FENCED' });
    await expect(
      cluster.client(0).openEpoch({ segment: SEGMENT, epoch: 3n, writerId: 'w/other', role: 'FULL', leaseMs: 0 }, DEADLINE),
    ).rejects.toMatchObject({
      code: 'EPOCH_TAKEN',
    });
    await expect(cluster.page(0, page(1), third, 2n)).rejects.toMatchObject({ code: 'FENCED' });
    expect((await cluster.status(0)).scl).toBe(third);
    const [fourth = 0n] = await next.append([imageRecord(REL, 1, 15)], ALL);
    next.points(ALL);
    expect(await cluster.page(0, page(3), fourth, 3n)).toBeUndefined();
    expect(await cluster.page(0, page(1), fourth, 3n)).toBe(15);
    writer.close();
    next.close();
  });

  it('lets the writer that won an epoch append where one that lost the race holds the promise', async () => {
    const base = await cluster.import(1n, ALL);
    const request = { segment: SEGMENT, epoch: 2n, writerId: 'w/lost', role: 'FULL', leaseMs: 0 } as const;
    for (const i of [4, 5]) await cluster.client(i).openEpoch(request, DEADLINE);
    const writer = await cluster.open(2n, 'w/won', base, [{ epoch: 1n, startLsn: base.lsn }], [0, 1, 2, 3]);
    const [end] = await writer.append([imageRecord(REL, 1, 11)], ALL);
    for (const i of ALL) expect((await cluster.status(i)).scl).toBe(end);
    await expect(cluster.client(5).openEpoch(request, DEADLINE)).rejects.toMatchObject({ code: 'EPOCH_TAKEN' });
    writer.close();
  });

  it('fills gaps from peers, catches a restarted daemon up, copies to one that lost its disk', async () => {
    const base = await cluster.import(1n, ALL, [{ page: page(0), fill: 9 }]);
    const writer = await cluster.open(2n, 'w/1', base, [{ epoch: 1n, startLsn: base.lsn }], ALL);
    await cluster.stopDaemon(5);
    writer.drop(5);
    for (let i = 0; i < 20; i++) await writer.append([imageRecord(REL, i, 20 + i)], [0, 1, 2, 3, 4]);
    const { lsn } = writer.end;
    await cluster.startDaemon(5);
    const caught = await cluster.client(5).catchUp({ segment: SEGMENT, lsn }, DEADLINE);
    expect(caught.scl).toBe(lsn);
    writer.points(ALL);
    await writer.acknowledged(5, lsn);
    expect(await cluster.page(5, page(7), lsn, 2n)).toBe(27);
    // Its disk is gone.
    await cluster.checkpointAt([0, 1], writer.end);
    await cluster.stopDaemon(5);
    writer.drop(5);
    fs.rmSync(cluster.dataOf(5), { recursive: true });
    await cluster.startDaemon(5);
    const state = await cluster.until(5, (one) => one.phase === 'READY' && one.scl === lsn);
    expect(state.baseLsn).toBe(base.lsn);
    expect(await cluster.page(5, page(7), lsn, 2n)).toBe(27);
    await writer.append([imageRecord(REL, 7, 99)], ALL);
    writer.points(ALL);
    expect(await cluster.page(5, page(7), writer.end.lsn, 2n)).toBe(99);
    expect(await cluster.page(5, page(0), writer.end.lsn, 2n)).toBe(20);
    writer.close();
  });

  it('detects damage in pages, log and state, and repairs it from peers', async () => {
    const base = await cluster.import(1n, ALL);
    const writer = await cluster.open(2n, 'w/1', base, [{ epoch: 1n, startLsn: base.lsn }], ALL);
    for (let i = 0; i < 12; i++) await writer.append([imageRecord(REL, i, 40 + i), syntheticRecord(50)], ALL);
    writer.points(ALL);
    const { lsn } = writer.end;
    for (const i of ALL) await cluster.page(i, page(0), lsn, 2n);
    await cluster.checkpointAt([0], writer.end);
    // Two pages: their stored values changed behind their CRCs.
    const pages = join(cluster.dataOf(0), VOLUME, '0', 'pages-1');
    await cluster.stopDaemon(0);
    writer.drop(0);
    for (const block of [3, 4]) await damageStoredValue(pages, pageStoreKey(pageKeyOf(page(block))));
    await cluster.startDaemon(0);
    await cluster.until(0, () => cluster.daemon(0).peers.gossip.fresh([...cluster.daemon(0).segments][0] as never).length === 5);
    const storage = await segmentOf(0);
    // One is read.
    expect(await cluster.page(0, page(3), lsn, 2n)).toBe(43);
    // The other only the scrubber sees.
    await cluster.daemon(0).peers.scrub(100_000_000);
    const count = async (): Promise<string> => cluster.daemon(0).metrics.registry.metrics();
    expect(await count()).toContain('aurora_storage_corruptions_detected_total{kind="page"} 2');
    expect(await count()).toContain('aurora_storage_repairs_total{kind="page"} 2');
    expect(await cluster.page(0, page(4), lsn, 2n)).toBe(44);
    // The log, under the scrubber.
    const logDirectory = join(cluster.dataOf(0), VOLUME, '0', 'log-1');
    const file = join(logDirectory, fs.readdirSync(logDirectory).toSorted()[0] ?? '');
    const handle = fs.openSync(file, 'r+');
    fs.writeSync(handle, Buffer.from([0xff, 0x00, 0xff]), 0, 3, 30_000);
    await cluster.daemon(0).peers.scrub(100_000_000);
    expect(await count()).toContain('aurora_storage_repairs_total{kind="log"} 1');
    let bytes = 0;
    for await (const batches of storage.redoFrom(base)) bytes += batches.length;
    expect(bytes).toBeGreaterThan(12 * 8192);
    // The log, at open: cut there, no promise until it is whole again.
    await cluster.stopDaemon(0);
    fs.writeSync(handle, Buffer.from([0xff, 0x00, 0xff]), 0, 3, 60_000);
    fs.closeSync(handle);
    await cluster.startDaemon(0);
    await cluster.until(0, (state) => state.scl === lsn && state.fault === undefined);
    // The page store as a whole.
    await cluster.stopDaemon(0);
    for (const name of fs.readdirSync(pages)) if (/CURRENT|MANIFEST/.test(name)) fs.writeFileSync(join(pages, name), 'nonsense');
    await cluster.startDaemon(0);
    await cluster.until(0, (state) => state.phase === 'READY' && state.scl === lsn);
    expect(await cluster.page(0, page(5), lsn, 2n)).toBe(45);
    writer.close();
  });

  it('copies a segment anew whose removals another release noted in a form of its own', async () => {
    const base = await cluster.import(1n, ALL);
    const writer = await cluster.open(2n, 'w/1', base, [{ epoch: 1n, startLsn: base.lsn }], ALL);
    await writer.append([imageRecord(REL, 1, 11), imageRecord(REL, 2, 12)], ALL);
    writer.points(ALL);
    const { lsn } = writer.end;
    for (const i of ALL) expect(await cluster.page(i, page(2), lsn, 2n)).toBe(12);
    await cluster.checkpointAt([0], writer.end);
    await cluster.stopDaemon(0);
    writer.drop(0);
    const pages = join(cluster.dataOf(0), VOLUME, '0', 'pages-1');
    const store = await PageStore.open(systemDisk(), pages, {
      cacheBytes: 1 << 20,
      writeBufferBytes: 1 << 20,
      flushPages: 100,
      form: PLAIN_PAGES,
    });
    const [checkpointed, state] = [await store.checkpoint(), await store.state()];
    if (checkpointed === undefined || state === undefined) throw new Error('no checkpoint');
    const other = [{ lsn: 1, effect: { kind: 'drop', relation: { spcOid: 1663, dbOid: 5, relNumber: 16_384 }, blocks: 2 } }];
    await store.setCheckpoint(checkpointed, Buffer.from(state), Buffer.from(JSON.stringify(other)));
    await store.close();
    await cluster.startDaemon(0);
    await cluster.until(0, ({ phase, fault, scl }) => phase === 'READY' && fault === undefined && scl === lsn);
    const { registry } = cluster.daemon(0).metrics;
    expect(await registry.metrics()).toContain('aurora_storage_corruptions_detected_total{kind="state"}');
    expect((await cluster.daemon(0).segment(VOLUME, 0)).control.pagesGeneration).toBe(2);
    expect(await cluster.page(0, page(2), lsn, 2n)).toBe(12);
    writer.close();
  });
});

describe('one daemon', () => {
  beforeEach(async () => {
    cluster = await TestCluster.start(1);
  });
  afterEach(() => cluster.stop());

  it('serves the same pages before and after a checkpoint and a restart, truncations included', async () => {
    const base = await cluster.import(
      1n,
      [0],
      [
        { page: page(0), fill: 9 },
        { page: page(6), fill: 8 },
      ],
    );
    const writer = await cluster.open(2n, 'w/1', base, [{ epoch: 1n, startLsn: base.lsn }], [0]);
    let seed = 7;
    const next = (below: number): number => (seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31) % below;
    const model = new Map<number, number>([
      [0, 9],
      [6, 8],
    ]);
    const check = async (): Promise<void> => {
      for (let block = 0; block < 12; block++)
        expect([block, await cluster.page(0, page(block), writer.end.lsn, 2n)]).toEqual([block, model.get(block)]);
    };
    for (let round = 0; round < 60; round++) {
      const raws: Buffer[] = [];
      for (let n = 0; n <= next(4); n++) {
        if (next(6) === 0) {
          const blocks = next(10);
          raws.push(truncateRecord(REL, blocks));
          for (const block of model.keys()) if (block >= blocks) model.delete(block);
        } else {
          const block = next(12);
          const fill = next(250);
          raws.push(imageRecord(REL, block, fill));
          model.set(block, fill);
        }
      }
      await writer.append(raws, [0]);
      writer.points([0]);
      if (round % 5 === 0) await check();
      if (round % 9 === 8) {
        await cluster.until(0, (state) => state.appliedLsn === writer.end.lsn && state.pgmrpl === writer.end.lsn);
        const merged = (await segmentOf(0)).stats().checkpoints;
        (await segmentOf(0)).requestCheckpoint();
        await writer.append([syntheticRecord(5)], [0]);
        writer.points([0]);
        for (let wait = 0; (await segmentOf(0)).stats().checkpoints === merged && wait < 500; wait++)
          await new Promise((resolve) => setTimeout(resolve, 10));
        await check();
      }
      if (round % 20 === 19) {
        await cluster.stopDaemon(0);
        writer.drop(0);
        await cluster.startDaemon(0);
        await check();
      }
    }
    writer.close();
  });
});

describe('a database copied file by file', () => {
  beforeEach(async () => {
    cluster = await TestCluster.start(1);
  });
  afterEach(() => cluster.stop());

  it('has the source as of the copy, before and after checkpoint and restart; states of the past can be had', async () => {
    const base = await cluster.import(
      1n,
      [0],
      [
        { page: page(0), fill: 9 },
        { page: page(1), fill: 8 },
      ],
    );
    const writer = await cluster.open(2n, 'w/1', base, [{ epoch: 1n, startLsn: base.lsn }], [0]);
    const copy = (block: number): typeof REL & { block: number } => ({ ...REL, dbOid: 77, block });
    await writer.append([imageRecord(REL, 1, 21), imageRecord(REL, 2, 22)], [0]);
    const [copied = 0n] = await writer.append([copyDatabaseRecord(REL, { spcOid: 1663, dbOid: 77 })], [0]);
    const ends = await writer.append([imageRecord(REL, 1, 31), imageRecord(REL, 0, 32), imageRecord({ ...REL, dbOid: 77 }, 2, 33)], [0]);
    writer.points([0], base.lsn);
    const end = ends.at(-1) ?? 0n;
    const check = async (): Promise<void> => {
      const now: (number | undefined)[] = [];
      for (const block of [0, 1, 2, 3]) now.push(await cluster.page(0, copy(block), writer.end.lsn, 2n));
      expect(now).toEqual([9, 21, 33, undefined]);
      expect(await cluster.page(0, page(1), writer.end.lsn, 2n)).toBe(31);
    };
    expect(await cluster.page(0, copy(2), copied, 2n)).toBe(22);
    await check();
    expect(end).toBe(writer.end.lsn);
    // The live state is past the copy: the state there comes from the checkpoint and the log.
    const chunks = [];
    for await (const chunk of cluster.client(0).computeImage({ segment: SEGMENT, epoch: 2n, lsn: copied }, DEADLINE))
      chunks.push(chunk.volumeState);
    expect(decodeVolumeState(Buffer.concat(chunks)).endLsn).toBe(copied);
    await cluster.stopDaemon(0);
    writer.drop(0);
    await cluster.startDaemon(0);
    await check();
    writer.points([0]);
    await cluster.until(0, (state) => state.pgmrpl === writer.end.lsn);
    await cluster.checkpointAt([0], writer.end);
    await check();
    // Dropped, a checkpoint made, and made again from another state of the source.
    await writer.append([dropDatabaseRecord({ spcOid: 1663, dbOid: 77 })], [0]);
    await writer.append([copyDatabaseRecord(REL, { spcOid: 1663, dbOid: 77 })], [0]);
    writer.points([0]);
    expect(await cluster.page(0, copy(1), writer.end.lsn, 2n)).toBe(31);
    await cluster.until(0, (state) => state.pgmrpl === writer.end.lsn);
    await cluster.checkpointAt([0], writer.end);
    expect(await cluster.page(0, copy(1), writer.end.lsn, 2n)).toBe(31);
    expect(await cluster.page(0, copy(2), writer.end.lsn, 2n)).toBe(22);
    await cluster.stopDaemon(0);
    writer.drop(0);
    await cluster.startDaemon(0);
    expect(await cluster.page(0, copy(0), writer.end.lsn, 2n)).toBe(32);
    writer.close();
  });
});
