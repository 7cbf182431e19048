import fs from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { encodePageKey } from '@kube-aurora/redo';
import { PageStore } from '../pages/page-store.ts';
import type { SegmentStorage } from '../segment/segment-storage.ts';
import { storedValue, storedVersion } from '../testing/stored-version.ts';
import { deltaRecord, imageRecord, truncateRecord } from '../testing/synthetic-records.ts';
import { readPage } from '../testing/postgres-pages.ts';
import { SEGMENT, TEST_LIMITS, TestCluster, VOLUME, type TestWriter } from '../testing/test-cluster.ts';

/** Checkpoints of a real segment: what happens beside one that is slow, and after one that did not come to its end. */

const REL = { spcOid: 1663, dbOid: 5, relNumber: 16_384, fork: 0 };
const HOT = { ...REL, relNumber: 16_385, block: 0 };
const CHAIN_MAX = 64;
const COLD_PAGES = 2000;
/** Where in the hot page the deltas go, one byte each. */
const FIRST_BYTE = 100;
const BYTES = 8000;
const PD_LOWER = 12;

let cluster: TestCluster | undefined;

afterEach(async () => {
  vi.restoreAllMocks();
  await cluster?.stop();
  cluster = undefined;
});

function contentOf(running: TestCluster): SegmentStorage {
  const storage = [...running.daemon(0).segments].find((segment) => segment.volumeId === VOLUME)?.pages;
  if (storage === undefined) throw new Error('the segment has no content');
  return storage;
}

async function until(isThere: () => boolean): Promise<void> {
  const end = Date.now() + 20_000;
  while (!isThere()) {
    if (Date.now() > end) throw new Error('it did not come to that');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** A page that is written to all the time, and what it must hold. */
class HotPage {
  readonly expected = Buffer.alloc(BYTES);
  readonly #writer: () => TestWriter;
  written = 0;

  constructor(writer: () => TestWriter) {
    this.#writer = writer;
    this.expected.fill(1);
  }

  async write(count: number): Promise<void> {
    const raws: Buffer[] = [];
    for (let i = 0; i < count; i++, this.written++) {
      const at = (this.written * 7) % BYTES;
      const value = this.written % 251;
      this.expected[at] = value;
      raws.push(deltaRecord(HOT, 0, FIRST_BYTE + at, Buffer.from([value])));
    }
    await this.#writer().append(raws, [0]);
    this.#writer().points([0]);
    await new Promise((resolve) => setTimeout(resolve, 4));
    // What the connection's thread has taken is told at once: it is the checkpoint that is slow here.
    if (cluster !== undefined) contentOf(cluster).refresh();
  }

  async check(running: TestCluster): Promise<void> {
    const { end, epoch } = this.#writer();
    const answer = await running
      .client(0)
      .getPages({ segment: SEGMENT, epoch, lsn: end.lsn, keys: [encodePageKey(HOT)] }, { deadlineMs: 10_000 });
    expect(answer.pages[0]?.subarray(FIRST_BYTE, FIRST_BYTE + BYTES).equals(this.expected)).toBe(true);
  }
}

/**
 * Every write of the store lets `steps` of something else happen first, or a second pass: slow beside it, on whatever
 * machine.
 */
function slowWrites(counted: () => number, steps: number): void {
  const write = Reflect.get(PageStore.prototype, 'write') as (this: PageStore, ...given: Parameters<PageStore['write']>) => Promise<void>;
  vi.spyOn(PageStore.prototype, 'write').mockImplementation(async function (this: PageStore, ...given) {
    const enough = counted() + steps;
    for (let waited = 0; waited < 1000 && counted() < enough; waited += 2) await new Promise((resolve) => setTimeout(resolve, 2));
    return write.apply(this, given);
  });
}

describe('a checkpoint that is slow', () => {
  it('is followed by the next where as much has come meanwhile, though nothing comes any more', async () => {
    const running = (cluster = await TestCluster.start(1, { ...TEST_LIMITS, checkpointBytes: 128 * 1024 }));
    const start = await running.import(1n, [0], [{ page: HOT, fill: 1 }]);
    const writer = await running.open(2n, 'w/1', start, [{ epoch: 1n, startLsn: start.lsn }], [0]);
    const storage = contentOf(running);
    const write = Reflect.get(PageStore.prototype, 'write') as (this: PageStore, ...given: Parameters<PageStore['write']>) => Promise<void>;
    const gate = Promise.withResolvers<void>();
    vi.spyOn(PageStore.prototype, 'write').mockImplementation(async function (this: PageStore, ...given) {
      await gate.promise;
      return write.apply(this, given);
    });
    const load = async (fill: number): Promise<void> => {
      const images = Array.from({ length: 40 }, (_, block) => imageRecord(REL, block, fill));
      await writer.append(images, [0]);
      writer.points([0]);
      await until(() => {
        storage.refresh();
        return storage.appliedLsn >= writer.end.lsn;
      });
    };
    await load(1);
    await until(() => storage.stats().isCheckpointing);
    const { lsn } = writer.end;
    await load(2);
    gate.resolve();
    await until(() => storage.checkpointLsn > lsn);
    expect(storage.stats().checkpoints).toBe(2);
  });

  it('does not let the chain of a hot page grow; nor is redo lost when it ends half way, or applied twice', async () => {
    const limits = { ...TEST_LIMITS, chainMax: CHAIN_MAX, checkpointBytes: 1024 * 1024 * 1024 };
    const running = (cluster = await TestCluster.start(1, limits));
    const start = await running.import(1n, [0], [{ page: HOT, fill: 1 }]);
    let writer = await running.open(2n, 'w/1', start, [{ epoch: 1n, startLsn: start.lsn }], [0]);
    const hot = new HotPage(() => writer);
    const writeCold = async (fill: number): Promise<void> => {
      for (let block = 0; block < COLD_PAGES; block += 40) {
        await writer.append(
          Array.from({ length: 40 }, (_, i) => imageRecord(REL, block + i, fill)),
          [0],
        );
      }
    };

    await writeCold(11);
    // No hole in the page: replay would fill it with zeros.
    await writer.append([deltaRecord(HOT, 0, PD_LOWER, Buffer.from([0x00, 0x20]))], [0]);
    await hot.write(8);
    let storage = contentOf(running);
    slowWrites(() => hot.written, 24);
    storage.requestCheckpoint();
    await until(() => storage.stats().isCheckpointing);
    const before = hot.written;
    while (storage.stats().checkpoints === 0) await hot.write(8);
    const during = hot.written - before;
    expect(during).toBeGreaterThan(CHAIN_MAX * 5);
    expect(storage.takeLongestChain()).toBeLessThan(CHAIN_MAX * 4);
    await hot.check(running);

    // Half way through the next one, with the hot page written ahead of it, the daemon stops.
    await writeCold(12);
    await hot.write(8);
    storage.requestCheckpoint();
    await until(() => storage.stats().isCheckpointing);
    const written = storage.stats().pagesWritten;
    const from = hot.written;
    while (storage.stats().pagesWritten < written + 64 || hot.written < from + CHAIN_MAX * 3) await hot.write(8);
    expect(storage.stats().checkpoints).toBe(1);
    const { checkpointLsn } = storage;
    expect((await storedVersion(storage, HOT))?.lsn).toBeGreaterThan(checkpointLsn);
    writer.close();
    await running.stopDaemon(0);
    vi.restoreAllMocks();
    await running.startDaemon(0);
    storage = contentOf(running);
    expect(storage.checkpointLsn).toBe(checkpointLsn);
    const { epoch, end, history } = writer;
    writer = await running.open(epoch + 1n, 'w/2', end, history, [0]);
    writer.points([0]);
    await hot.check(running);
    // The chain that came back from the log goes too.
    await hot.write(8);
    await until(() => storage.takeLongestChain() < CHAIN_MAX * 2);
    storage.requestCheckpoint();
    await until(() => storage.stats().checkpoints === 1);
    await hot.write(8);
    await hot.check(running);
    expect(await running.page(0, { ...REL, block: 7 }, writer.end.lsn, writer.epoch)).toBe(12);
    writer.close();
  }, 60_000);

  it('that ended before its checkpoint can be begun anew at a lower LSN, where pages were dropped since', async () => {
    const running = (cluster = await TestCluster.start(1, { ...TEST_LIMITS, checkpointBytes: 1024 * 1024 * 1024 }));
    const page = { ...REL, block: 5 };
    const start = await running.import(1n, [0], [{ page, fill: 3 }]);
    let writer = await running.open(2n, 'w/1', start, [{ epoch: 1n, startLsn: start.lsn }], [0]);
    await writer.append([deltaRecord(REL, 5, PD_LOWER, Buffer.from([0x00, 0x20])), deltaRecord(REL, 5, 100, Buffer.from([9]))], [0]);
    const changed = writer.end.lsn;
    await writer.append([truncateRecord(REL, 2)], [0]);
    const dropped = writer.end.lsn;
    writer.points([0]);
    let storage = contentOf(running);
    await until(() => storage.appliedLsn >= dropped);
    const marked = new Promise<void>((resolve) => {
      vi.spyOn(PageStore.prototype, 'setCheckpoint').mockImplementation(() => {
        resolve();
        return Promise.reject(new Error('the process dies here'));
      });
    });
    storage.requestCheckpoint();
    await marked;
    writer.close();
    await running.stopDaemon(0);
    // Its machine lost power: what is not synced of what was known to be durable is gone.
    fs.rmSync(join(running.dataOf(0), VOLUME, '0', 'durable'));
    vi.restoreAllMocks();
    await running.startDaemon(0);
    storage = contentOf(running);
    expect((await storedVersion(storage, page))?.lsn).toBe(start.lsn);
    const { epoch, end, history } = writer;
    writer = await running.open(epoch + 1n, 'w/2', end, history, [0]);
    storage.noteVdl(changed);
    await until(() => storage.appliedLsn >= changed);
    storage.notePgmrpl(changed);
    storage.requestCheckpoint();
    await until(() => storage.stats().checkpoints === 1);
    expect(storage.checkpointLsn).toBe(changed);
    const version = await storedVersion(storage, page);
    expect([version?.lsn, version?.page[100]]).toEqual([changed, 9]);
    writer.points([0]);
    await until(() => storage.appliedLsn >= dropped);
    expect(await running.page(0, page, writer.end.lsn, writer.epoch)).not.toBe(3);
    writer.close();
  }, 30_000);

  it('that ended before its checkpoint left what was stored ahead of it of a page that was dropped: its redo needs that', async () => {
    const limits = { ...TEST_LIMITS, chainMax: 8, checkpointBytes: 1024 * 1024 * 1024 };
    const running = (cluster = await TestCluster.start(1, limits));
    const page = { ...REL, block: 5 };
    const start = await running.import(1n, [0], [{ page, fill: 3 }]);
    let writer = await running.open(2n, 'w/1', start, [{ epoch: 1n, startLsn: start.lsn }], [0]);
    const chain = (value: number): Buffer[] => Array.from({ length: 9 }, (_, i) => deltaRecord(REL, 5, 100 + i, Buffer.from([value])));
    await writer.append([deltaRecord(REL, 5, PD_LOWER, Buffer.from([0x00, 0x20])), ...chain(9)], [0]);
    const changed = writer.end.lsn;
    writer.points([0]);
    let storage = contentOf(running);
    const storedLsn = async (): Promise<bigint | undefined> => (await storedVersion(storage, page))?.lsn;
    const marked = Promise.withResolvers<void>();
    const dieAtMark = (): void => {
      vi.spyOn(PageStore.prototype, 'setCheckpoint').mockImplementation(() => {
        marked.resolve();
        return Promise.reject(new Error('the process dies here'));
      });
    };
    dieAtMark();
    await until(() => storage.stats().pagesWritten > 0 && storage.stats().indexRefs === 0);
    expect(await storedLsn()).toBe(changed);
    await writer.append([truncateRecord(REL, 2)], [0]);
    writer.points([0]);
    await until(() => storage.appliedLsn >= writer.end.lsn);
    storage.requestCheckpoint();
    await marked.promise;
    writer.close();
    await running.stopDaemon(0);
    vi.restoreAllMocks();
    await running.startDaemon(0);
    storage = contentOf(running);
    expect(await storedLsn()).toBe(changed);
    const { epoch, end, history } = writer;
    writer = await running.open(epoch + 1n, 'w/2', end, history, [0]);
    storage.noteVdl(changed);
    await until(() => storage.appliedLsn >= changed);
    expect((await readPage(storage, page, changed))?.[105]).toBe(9);
    writer.points([0]);
    await until(() => storage.appliedLsn >= end.lsn);
    expect(await readPage(storage, page, end.lsn)).toBeUndefined();
    storage.requestCheckpoint();
    await until(() => storage.stats().checkpoints === 1 && !storage.stats().isCheckpointing);
    expect(await storedLsn()).toBeUndefined();
    expect((await running.status(0)).phase).toBe('READY');
    writer.close();
  }, 30_000);

  it('that ended after its checkpoint has its removals left: nothing of them shows after the next start, and they are made', async () => {
    const running = (cluster = await TestCluster.start(1, { ...TEST_LIMITS, checkpointBytes: 1024 * 1024 * 1024 }));
    const page = { ...REL, block: 5 };
    const start = await running.import(1n, [0], [{ page, fill: 3 }]);
    const writer = await running.open(2n, 'w/1', start, [{ epoch: 1n, startLsn: start.lsn }], [0]);
    await writer.append([truncateRecord(REL, 2)], [0]);
    writer.points([0]);
    let storage = contentOf(running);
    await until(() => storage.appliedLsn >= writer.end.lsn);
    const removing = Promise.withResolvers<void>();
    vi.spyOn(PageStore.prototype, 'write').mockImplementation((puts) => {
      if (puts.length > 0) return Promise.resolve();
      removing.resolve();
      return Promise.reject(new Error('the process dies here'));
    });
    storage.requestCheckpoint();
    await removing.promise;
    expect(await readPage(storage, page, writer.end.lsn)).toBeUndefined();
    writer.close();
    await running.stopDaemon(0);
    vi.restoreAllMocks();
    await running.startDaemon(0);
    storage = contentOf(running);
    expect(storage.checkpointLsn).toBe(writer.end.lsn);
    expect(await readPage(storage, page, writer.end.lsn)).toBeUndefined();
    await until(() => !storage.stats().isCheckpointing);
    expect(await storedVersion(storage, page)).toBeUndefined();
    expect(await storedValue(storage, Buffer.from('r'))).toBeUndefined();
  }, 30_000);

  it('leaves nothing stored of a page that was dropped', async () => {
    const running = (cluster = await TestCluster.start(1, { ...TEST_LIMITS, checkpointBytes: 1024 * 1024 * 1024 }));
    const page = { ...REL, block: 5 };
    const start = await running.import(1n, [0], [{ page, fill: 3 }]);
    const writer = await running.open(2n, 'w/1', start, [{ epoch: 1n, startLsn: start.lsn }], [0]);
    await writer.append([deltaRecord(REL, 5, 100, Buffer.from([9])), truncateRecord(REL, 2)], [0]);
    writer.points([0]);
    const storage = contentOf(running);
    await until(() => storage.appliedLsn >= writer.end.lsn);
    storage.requestCheckpoint();
    await until(() => storage.stats().checkpoints === 1 && !storage.stats().isCheckpointing);
    expect(await storedVersion(storage, page)).toBeUndefined();
    writer.close();
  }, 30_000);
});
