import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pageKeyOf } from '@kube-aurora/redo';
import type { PageKey } from '@kube-aurora/redo-engine';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { KeyedStore } from '../disk/keyed-store.ts';
import { systemDisk } from '../disk/system-disk.ts';
import { diskError, FaultDisk, type DiskOperation } from '../testing/fault-disk.ts';
import { filledPage } from '../testing/synthetic-records.ts';
import { PLAIN_PAGES } from './stored-form.ts';
import { PageStore } from './page-store.ts';
import { pageStoreKey } from './store-key.ts';
import { roomFor, sealInPlace, sealValue, StoredValueError } from './stored-value.ts';

const OPTIONS = { cacheBytes: 65_536, writeBufferBytes: 65_536, flushPages: 100, form: PLAIN_PAGES };
const CHECKPOINT = { lsn: 100n, epoch: 1n };
const STATE = Buffer.from('state');
const pageAt = (block: number): PageKey => pageKeyOf({ spcOid: 1663, dbOid: 5, relNumber: 16_384, fork: 0, block });
const version = (block: number, lsn: number, fill: number) => ({
  page: pageAt(block),
  version: { lsn: BigInt(lsn), page: filledPage(fill) },
});

let directory: string;
let store: PageStore | undefined;

beforeEach(() => {
  directory = fs.mkdtempSync(join(tmpdir(), 'aurora-pages-'));
});
afterEach(async () => {
  await store?.close();
  store = undefined;
  fs.rmSync(directory, { recursive: true, force: true });
});

const slotsFile = (): string => join(directory, 'pages.slots');

async function open(): Promise<PageStore> {
  await store?.close();
  store = undefined;
  store = await PageStore.open(systemDisk(), directory, OPTIONS);
  return store;
}

/** Works on the keyed store alone, while the page store is closed. */
async function withIndex<T>(work: (index: KeyedStore) => Promise<T>): Promise<T> {
  await store?.close();
  store = undefined;
  const index = await systemDisk().openStore(directory, OPTIONS);
  try {
    return await work(index);
  } finally {
    await index.close();
  }
}

async function expectPage(block: number, fill: number | undefined): Promise<void> {
  const found = await store?.get(pageAt(block));
  if (fill === undefined) expect(found).toBeUndefined();
  else expect(found?.page.equals(filledPage(fill)), `block ${block}`).toBe(true);
}

describe('a page store makes what is below durable first', () => {
  let done: DiskOperation['kind'][];

  beforeEach(async () => {
    const disk = new FaultDisk(systemDisk(), ({ kind }) => {
      done.push(kind);
      return undefined;
    });
    done = [];
    store = await PageStore.open(disk, directory, OPTIONS);
    done = [];
  });

  it('pages, then in one batch where they are and the checkpoint that says that they are there', async () => {
    await store?.write([version(3, 100, 1)]);
    await store?.setCheckpoint(CHECKPOINT, STATE, Buffer.from('removals'));
    expect(done).toEqual(['write', 'sync', 'batch']);
  });

  it('removals, in one batch with the note that they are made', async () => {
    await store?.write([version(3, 100, 1)]);
    await store?.setCheckpoint(CHECKPOINT, STATE, Buffer.from('removals'));
    done = [];
    await store?.write([], [pageAt(3)]);
    expect(done).toEqual([]);
    await store?.removalsDone();
    expect(done).toEqual(['batch']);
    expect(await store?.removals()).toBeUndefined();
    await expectPage(3, undefined);
  });
});

it('has after a start what the last checkpoint had, and no slot that it named was written again before the next', async () => {
  store = await open();
  for (let round = 0; round < 20; round++) {
    await store.write([0, 1, 2].map((block) => version(block, 100 + round, round)));
    await store.setCheckpoint({ lsn: BigInt(100 + round), epoch: 1n }, STATE, undefined);
    // Not flushed: lost with the process.
    for (const lsn of [200, 201, 202]) await store.write([version(round % 3, lsn, 77), version(5, lsn, 78)], [pageAt((round + 1) % 3)]);
    await expectPage(round % 3, 77);
    await expectPage((round + 1) % 3, undefined);
    store = await open();
    expect((await store.checkpoint())?.lsn).toBe(BigInt(100 + round));
    for (const block of [0, 1, 2]) await expectPage(block, round);
    await expectPage(5, undefined);
  }
});

it('gives pages where they are to stand, the same as anywhere else', async () => {
  const opened = await open();
  const count = 12;
  // Slots in another order than blocks, some of them neighbours, and one page that is damaged.
  await opened.write([7, 3, 4, 5, 11, 0, 1, 9].map((block) => version(block, 100, block)));
  await opened.setCheckpoint(CHECKPOINT, STATE, undefined);
  const slots = fs.openSync(slotsFile(), 'r+');
  fs.writeSync(slots, Buffer.from('damage'), 0, 6, 2 * 8192 + 100);
  fs.closeSync(slots);
  await fc.assert(
    fc.asyncProperty(fc.shuffledSubarray(Array.from({ length: count }, (_, block) => block)), fc.nat({ max: 3 }), async (blocks, gap) => {
      const pages = blocks.map(pageAt);
      const places = blocks.map((_block, at) => at + (at >= 2 ? gap : 0));
      const room = Buffer.alloc((count + 3) * 8192);
      const inRoom = await opened.getMany(pages, { room, places });
      const apart = await opened.getMany(pages);
      inRoom.forEach((one, at) => {
        const other = apart[at];
        if (one === undefined || one instanceof StoredValueError) {
          expect(String(one)).toBe(String(other));
          return;
        }
        expect(other).toEqual(one);
        expect(one.page.buffer).toBe(room.buffer);
        expect(one.page.byteOffset - room.byteOffset).toBe((places[at] ?? 0) * 8192);
      });
    }),
    { numRuns: 60 },
  );
});

it('writes a page once, into room that others left, and gives the rest back', async () => {
  store = await open();
  const blocks = Array.from({ length: 300 }, (_, block) => block);
  for (let round = 0; round < 12; round++) {
    await store.write(blocks.map((block) => version(block, 100 + round, round)));
    await store.setCheckpoint({ lsn: BigInt(100 + round), epoch: 1n }, STATE, undefined);
  }
  expect(fs.statSync(slotsFile()).size).toBeLessThanOrEqual(2 * 300 * 8192);
  await store.write([], blocks.slice(10).map(pageAt));
  await store.removalsDone();
  await store.write(blocks.slice(0, 10).map((block) => version(block, 200, 9)));
  await store.setCheckpoint({ lsn: 200n, epoch: 1n }, STATE, undefined);
  expect(fs.statSync(slotsFile()).size).toBeLessThanOrEqual(30 * 8192);
  store = await open();
  for (const block of [0, 9]) await expectPage(block, 9);
  await expectPage(10, undefined);
});

it('keeps for a copy under way what it began with, however often that is written again', async () => {
  store = await open();
  const blocks = Array.from({ length: 200 }, (_, block) => block);
  await store.write(blocks.map((block) => version(block, 100, 1)));
  await store.setCheckpoint(CHECKPOINT, STATE, undefined);
  let pages = 0;
  for await (const { value } of store.entries()) {
    for (const fill of [2, 3]) {
      await store.write([version(150, 200, fill)]);
      await store.setCheckpoint({ lsn: 200n, epoch: 1n }, STATE, undefined);
    }
    if (value.length > 8192 && value.subarray(8, -4).equals(filledPage(1))) pages++;
  }
  expect(pages).toBe(200);
});

it('writes nothing more after a write that failed', async () => {
  let isFailing = false;
  store = await PageStore.open(
    new FaultDisk(systemDisk(), () => (isFailing ? { error: diskError('EIO') } : undefined)),
    directory,
    OPTIONS,
  );
  await store.write([version(1, 100, 1)]);
  isFailing = true;
  await expect(store.setCheckpoint(CHECKPOINT, STATE, undefined)).rejects.toMatchObject({ code: 'EIO' });
  isFailing = false;
  await expect(store.setCheckpoint(CHECKPOINT, STATE, undefined)).rejects.toMatchObject({ code: 'EIO' });
  await expectPage(1, 1);
});

describe('damage', () => {
  beforeEach(async () => {
    store = await open();
    await store.write([1, 2, 3, 4].map((block) => version(block, 100, block)));
    await store.setCheckpoint(CHECKPOINT, STATE, undefined);
  });

  it('of a page, and a page in the place of another, are told of', async () => {
    const file = fs.openSync(slotsFile(), 'r+');
    const [first, second] = [Buffer.alloc(8192), Buffer.alloc(8192)];
    fs.readSync(file, first, 0, 8192, 0);
    fs.readSync(file, second, 0, 8192, 8192);
    fs.writeSync(file, second, 0, 8192, 0);
    fs.writeSync(file, first, 0, 8192, 8192);
    fs.writeSync(file, Buffer.from([0x55]), 0, 1, 2 * 8192 + 4000);
    fs.closeSync(file);
    const found = await store?.getMany([1, 2, 3, 4].map(pageAt));
    expect(found?.map((one) => one instanceof StoredValueError)).toEqual([true, true, true, false]);
    const { damaged } = (await store?.scrubValues(undefined, 1e6)) ?? { damaged: [] };
    expect(damaged.map(({ key }) => key)).toEqual([1, 2, 3].map((block) => pageStoreKey(pageAt(block))));
    await store?.write([version(2, 100, 2)]);
    await expectPage(2, 2);
  });

  it('of the file: what it does not hold any more is damaged', async () => {
    fs.truncateSync(slotsFile(), 3 * 8192 + 1);
    const found = await store?.getMany([1, 2, 3, 4].map(pageAt));
    expect(found?.map((one) => one instanceof StoredValueError)).toEqual([false, false, false, true]);
  });

  it.each<[string, (index: KeyedStore) => Promise<void>]>([
    ['an entry is gone', (index) => index.batch([{ type: 'del', key: pageStoreKey(pageAt(2)) }])],
    ['the checkpoint is gone', (index) => index.batch([{ type: 'del', key: Buffer.from('m') }])],
    ['the digest is gone', (index) => index.batch([{ type: 'del', key: Buffer.from('d') }])],
    [
      'an older state shows',
      (index) => index.batch([{ type: 'put', key: Buffer.from('s'), value: sealValue(Buffer.from('s'), Buffer.from('old')) }]),
    ],
    [
      'an entry is found under another key',
      async (index) => {
        const key = pageStoreKey(pageAt(2));
        const value = (await index.get(key)) ?? Buffer.alloc(0);
        await index.batch([
          { type: 'del', key },
          { type: 'put', key: pageStoreKey(pageAt(66)), value },
        ]);
      },
    ],
  ])('of the index is found at the next start: %s', async (_what, damage) => {
    await withIndex(damage);
    await expect(open()).rejects.toBeInstanceOf(StoredValueError);
  });

  it('of the index is found while it runs, whatever is written meanwhile', async () => {
    let opened: KeyedStore | undefined;
    const disk = new FaultDisk(systemDisk(), () => undefined);
    await store?.close();
    store = await PageStore.open(
      {
        ...systemDisk(),
        openStore: async (path, options) => (opened = await disk.openStore(path, options)),
      },
      directory,
      OPTIONS,
    );
    for (let step = 0; step < 40; step++) {
      await store.scrubIndex(60);
      await store.write([version(step % 6, 200 + step, step)], [pageAt((step + 3) % 6)]);
      await store.setCheckpoint({ lsn: BigInt(200 + step), epoch: 1n }, STATE, step % 2 === 0 ? undefined : Buffer.from('removals'));
    }
    await opened?.batch([{ type: 'del', key: Buffer.from('s') }]);
    const all = async (): Promise<void> => {
      for (let step = 0; step < 40; step++) await store?.scrubIndex(60);
    };
    await expect(all()).rejects.toBeInstanceOf(StoredValueError);
  });

  it('is not what a write may have left of which the disk said that it failed', async () => {
    let isBroken = false;
    await store?.close();
    store = await PageStore.open(
      {
        ...systemDisk(),
        openStore: async (path, options) => {
          const keyed = await systemDisk().openStore(path, options);
          const batch = keyed.batch.bind(keyed);
          keyed.batch = async (operations) => {
            await batch(operations);
            if (isBroken) throw diskError('EIO');
          };
          return keyed;
        },
      },
      directory,
      OPTIONS,
    );
    await store.write([version(1, 200, 1)], []);
    await store.setCheckpoint({ lsn: 200n, epoch: 1n }, STATE, undefined);
    isBroken = true;
    await expect(store.setCheckpoint({ lsn: 201n, epoch: 1n }, STATE, Buffer.from('removals'))).rejects.toMatchObject({ code: 'EIO' });
    for (let step = 0; step < 40; step++) expect(await store.scrubIndex(60)).toBe(0);
  });
});

describe('pages stored by releases before 0.2', () => {
  const older = (block: number): { type: 'put'; key: Buffer; value: Buffer } => {
    const key = pageStoreKey(pageAt(block));
    const value = roomFor(8 + 8192);
    value.writeBigUInt64BE(BigInt(90 + block), 0);
    filledPage(block).copy(value, 8);
    return { type: 'put', key, value: sealInPlace(key, value) };
  };
  const blocks = Array.from({ length: 150 }, (_, block) => block);

  beforeEach(() =>
    withIndex(async (index) => {
      const values = { m: Buffer.alloc(16, 7), s: STATE };
      await index.batch(
        Object.entries(values).map(([text, value]) => ({
          type: 'put',
          key: Buffer.from(text),
          value: sealValue(Buffer.from(text), value),
        })),
      );
      await index.batch(blocks.map(older));
      const { key, value } = older(70);
      value[900] = (value[900] ?? 0) ^ 1;
      await index.batch([{ type: 'put', key, value }]);
    }),
  );

  it.each([Infinity, 1, 2, 4, 6, 7, 8, 9])('are taken over, also where the first start ends before its disk write %i', async (writes) => {
    let done = 0;
    const dying = new FaultDisk(systemDisk(), () => (done++ >= writes ? { error: diskError('EIO') } : undefined));
    const first = await PageStore.open(dying, directory, OPTIONS).catch(() => undefined);
    await first?.close();
    await dying.abandon();
    store = await open();
    for (const block of blocks.filter((one) => one !== 70)) {
      expect((await store.get(pageAt(block)))?.lsn).toBe(BigInt(90 + block));
      await expectPage(block, block);
    }
    await expect(store.get(pageAt(70))).rejects.toBeInstanceOf(StoredValueError);
    expect((await store.state())?.equals(STATE)).toBe(true);
    await store.write([version(70, 300, 70)]);
    await store.setCheckpoint({ lsn: 300n, epoch: 2n }, STATE, undefined);
    store = await open();
    await expectPage(70, 70);
  });
});
