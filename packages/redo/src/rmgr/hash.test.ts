import { decodeStruct, OPCODE, RMGR, type WalRecord } from '@kube-aurora/pg-format';
import { describe, expect, test } from 'vitest';
import { PAGE_SIZE, pageLower, pageUpper } from '../page/index.ts';
import { hashAfterImage, hashChangesBlock, hashRedo } from './hash.ts';
import { HASH_CONTENTS_AT, HASH_OPAQUE, HASH_SPECIAL_AT, LH_BUCKET_PAGE, META } from './hash/layout.ts';
import { hashFlags, initHashPage, initMetaPage } from './hash/pages.ts';
import { testRecord, touchedBy } from './record-for-tests.ts';

const OP = OPCODE.HASH;

function u32(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [i, value] of values.entries()) bytes.writeUInt32LE(value, i * 4);
  return bytes;
}

function apply(page: Buffer, record: WalRecord, blockId: number): Buffer {
  hashRedo(page, record, touchedBy(record, blockId));
  return page;
}

function metaField(page: Buffer, at: number): number {
  return page.readUInt32LE(HASH_CONTENTS_AT + at);
}

function newMeta(tuples = 0, fillFactor = 307): Buffer {
  const page = Buffer.alloc(PAGE_SIZE);
  initMetaPage(page, tuples, 400, fillFactor);
  return page;
}

describe('an overflow page that needs a new bitmap page', () => {
  // Reached with 32,768 overflow pages only.
  const mainData = Buffer.from([0x00, 0x10, 0]);
  const record = testRecord(RMGR.HASH, OP.ADD_OVFL_PAGE, mainData, [
    { id: 0, blockNumber: 90, willInit: true, data: u32(4) },
    { id: 1, blockNumber: 80 },
    { id: 3, blockNumber: 89, willInit: true },
    { id: 4, blockNumber: 0, data: u32(32_770) },
  ]);

  test('the bitmap page starts with every bit set', () => {
    const bitmap = apply(Buffer.alloc(PAGE_SIZE), record, 3);
    expect(bitmap.subarray(HASH_CONTENTS_AT, HASH_CONTENTS_AT + 4096)).toEqual(Buffer.alloc(4096, 0xff));
    expect(pageLower(bitmap)).toBe(HASH_CONTENTS_AT + 4096);
  });

  test('the metapage counts two more pages and lists the bitmap', () => {
    const meta = newMeta();
    apply(meta, record, 4);
    expect(metaField(meta, META.firstFree)).toBe(32_770);
    expect(metaField(meta, META.bitmaps)).toBe(1);
    expect(metaField(meta, META.bitmapBlocks)).toBe(89);
    expect(metaField(meta, META.spares + 4)).toBe(1 + 2);
  });

  test('the chain is linked both ways', () => {
    const overflow = decodeStruct(HASH_OPAQUE, apply(Buffer.alloc(PAGE_SIZE), record, 0), HASH_SPECIAL_AT);
    expect(overflow).toMatchObject({ prevBlock: 80, bucket: 4 });
    const before = Buffer.alloc(PAGE_SIZE);
    initHashPage(before, LH_BUCKET_PAGE, 4, 7);
    expect(decodeStruct(HASH_OPAQUE, apply(before, record, 1), HASH_SPECIAL_AT)).toMatchObject({ nextBlock: 90, prevBlock: 7 });
  });
});

test('a freed overflow page in the middle of a chain leaves its neighbours linked to each other', () => {
  const mainData = Buffer.concat([u32(11, 13), Buffer.from([0, 0, 1, 0])]);
  const record = testRecord(RMGR.HASH, OP.SQUEEZE_PAGE, mainData, [
    { id: 1, blockNumber: 5 },
    { id: 2, blockNumber: 12 },
    { id: 3, blockNumber: 11 },
    { id: 4, blockNumber: 13 },
    { id: 5, blockNumber: 3, data: u32(9) },
  ]);
  const page = () => {
    const fresh = Buffer.alloc(PAGE_SIZE);
    initHashPage(fresh, LH_BUCKET_PAGE, 4, 7);
    return fresh;
  };
  expect(decodeStruct(HASH_OPAQUE, apply(page(), record, 3), HASH_SPECIAL_AT).nextBlock).toBe(13);
  expect(decodeStruct(HASH_OPAQUE, apply(page(), record, 4), HASH_SPECIAL_AT).prevBlock).toBe(11);
  expect(hashChangesBlock(record, 1)).toBe(false);
  expect(hashChangesBlock(record, 2)).toBe(true);
});

test('after its image was restored, an old bucket gets the flags and highest bucket of the split', () => {
  const mainData = Buffer.concat([u32(9), Buffer.from([0x22, 0x00, 0x12, 0x00, 0])]);
  const record = testRecord(RMGR.HASH, OP.SPLIT_ALLOCATE_PAGE, mainData, [
    { id: 0, blockNumber: 2 },
    { id: 1, blockNumber: 10, willInit: true },
    { id: 2 },
  ]);
  const bucket = Buffer.alloc(PAGE_SIZE);
  initHashPage(bucket, LH_BUCKET_PAGE, 1, 8);
  hashAfterImage(bucket, record, touchedBy(record, 0));
  expect(decodeStruct(HASH_OPAQUE, bucket, HASH_SPECIAL_AT)).toMatchObject({ flags: 0x22, prevBlock: 9 });
  const meta = newMeta();
  const before = Buffer.from(meta);
  hashAfterImage(meta, record, touchedBy(record, 2));
  expect(meta).toEqual(before);
});

// hashm_maxbucket and hashm_ovflpoint as PostgreSQL 18.4 chooses them for these numbers of tuples per bucket.
test.each([
  { tuples: 0, buckets: 2, point: 1 },
  { tuples: 307 * 3, buckets: 4, point: 2 },
  { tuples: 307 * 512, buckets: 512, point: 9 },
  { tuples: 307 * 600, buckets: 640, point: 10 },
  { tuples: 307 * 1100, buckets: 1280, point: 14 },
])('an index for $tuples tuples starts with $buckets buckets', ({ tuples, buckets, point }) => {
  const meta = newMeta(tuples);
  expect(metaField(meta, META.maxBucket)).toBe(buckets - 1);
  expect(metaField(meta, META.overflowPoint)).toBe(point);
  expect(metaField(meta, META.spares + point * 4)).toBe(1);
  expect(metaField(meta, META.highMask) >= buckets).toBe(true);
  expect(metaField(meta, META.lowMask) < buckets).toBe(true);
});

describe('refuses', () => {
  const page = Buffer.alloc(PAGE_SIZE);
  initHashPage(page, LH_BUCKET_PAGE, 1, 8);

  test('a page that was never written', () => {
    const record = testRecord(RMGR.HASH, OP.SPLIT_CLEANUP, Buffer.alloc(0), [{ id: 0 }]);
    expect(() => apply(Buffer.alloc(PAGE_SIZE), record, 0)).toThrow(/never written/);
  });

  test('a split without its image, and an unknown opcode', () => {
    expect(() => apply(page, testRecord(RMGR.HASH, OP.SPLIT_PAGE, Buffer.alloc(0), [{ id: 0 }]), 0)).toThrow(/full image/);
    expect(() => apply(page, testRecord(RMGR.HASH, 0xd0, Buffer.alloc(0), [{ id: 0 }]), 0)).toThrow(/no redo for info 0xd0/);
    expect(hashFlags(page)).toBe(LH_BUCKET_PAGE);
    expect(pageUpper(page)).toBe(HASH_SPECIAL_AT);
  });
});
