import { OPCODE, RMGR } from '@kube-aurora/pg-format';
import { describe, expect, test } from 'vitest';
import { RedoError } from '@kube-aurora/redo-engine';
import type { TouchedPage } from './contract.ts';
import { spaceOf } from './page-space.ts';
import { addItem, getPageLsn, initPage, PAGE_SIZE, PD_ALL_VISIBLE, pageFlags, setPageFlags, setPageLsn } from './page/index.ts';
import { NATIVE_RMGRS, redo, RMGRS_NEEDING_IMAGES } from './redo.ts';
import { VM_BLOCKS_PER_PAGE, VM_FORK, visibilityBits } from './rmgr/visibility-map.ts';
import { madeRecord, packed } from './test-record.ts';
import { touchedPages } from './touched-pages.ts';

const heapPage: TouchedPage = {
  space: spaceOf(1663, 5, 16384, 0),
  spcOid: 1663,
  dbOid: 5,
  relNumber: 16384,
  fork: 0,
  block: 7,
  blockIndex: 0,
  replaces: false,
};

function heapPageWithTuple(): Buffer {
  const page = Buffer.alloc(PAGE_SIZE);
  initPage(page, 0);
  setPageFlags(page, PD_ALL_VISIBLE);
  const tuple = Buffer.alloc(32);
  tuple.writeUInt8(24, 22);
  addItem(page, tuple, 1, 'overwrite');
  return page;
}

/** xl_heap_delete of the first tuple that says the page was all-visible. */
const deleteData = packed([4, 900], [2, 1], [1, 0], [1, 0x01]);
const deletion = madeRecord({
  rmid: RMGR.HEAP,
  info: OPCODE.HEAP.DELETE,
  xid: 900,
  mainData: deleteData,
  blocks: [{ id: 0, blockNumber: 7 }],
});

test('every resource manager that can attach images is replayed natively', () => {
  expect(RMGRS_NEEDING_IMAGES).toEqual([]);
  expect(NATIVE_RMGRS).toContain('btree');
});

test('a record is applied once: the page says that it has it', () => {
  const page = redo(heapPageWithTuple(), deletion, heapPage);
  expect(getPageLsn(page)).toBe(deletion.endLsn);
  expect(pageFlags(page) & PD_ALL_VISIBLE).toBe(0);
  const once = Buffer.from(page);
  expect(redo(page, deletion, heapPage)).toEqual(once);
});

test('a page ahead of the record is left alone', () => {
  const page = heapPageWithTuple();
  setPageLsn(page, madeRecord({ rmid: 0, info: 0, lsn: 0x200_0028 }).endLsn);
  const before = Buffer.from(page);
  expect(redo(page, deletion, heapPage)).toEqual(before);
});

test('a page that does not fit stops with LSN, record and page', () => {
  expect(() => redo(undefined, deletion, heapPage)).toThrow(RedoError);
  expect(() => redo(undefined, deletion, heapPage)).toThrow('Heap/DELETE cannot be applied to 1663/5/16384 block 7: no tuple at offset 1');
  try {
    redo(undefined, deletion, heapPage);
  } catch (error) {
    expect(error).toMatchObject({ lsn: deletion.lsn, record: 'Heap/DELETE', page: '1663/5/16384 block 7' });
  }
});

test('an opcode or resource manager that nobody knows stops too', () => {
  const unknown = madeRecord({ rmid: RMGR.BTREE, info: 0xf0, blocks: [{ id: 0, blockNumber: 7 }] });
  expect(() => redo(heapPageWithTuple(), unknown, heapPage)).toThrow(/no redo for info 0xf0/);
  const extension = madeRecord({ rmid: 150, info: 0, blocks: [{ id: 0, blockNumber: 7 }] });
  expect(() => redo(heapPageWithTuple(), extension, heapPage)).toThrow(/no redo for this resource manager/);
});

test("an image stands in for an extension's redo, and for any record when it is to be applied", () => {
  const after = heapPageWithTuple();
  after.write('after', 8160);
  const image = { data: after, holeOffset: 0, holeLength: 0, apply: false, compression: 'none' as const };
  const checked = madeRecord({ rmid: 150, info: 0, blocks: [{ id: 0, blockNumber: 7, image }] });
  expect(redo(undefined, checked, heapPage).toString('latin1', 8160, 8165)).toBe('after');
  const applied = madeRecord({
    rmid: RMGR.HEAP,
    info: OPCODE.HEAP.DELETE,
    mainData: deleteData,
    blocks: [{ id: 0, blockNumber: 7, image: { ...image, apply: true } }],
  });
  const page = redo(undefined, applied, heapPage);
  expect(page.toString('latin1', 8160, 8165)).toBe('after');
  expect(getPageLsn(page)).toBe(applied.endLsn);
  expect(touchedPages(applied)[0]?.replaces).toBe(true);
});

test('a hint record names a block but changes it only through its image', () => {
  const hint = madeRecord({ rmid: RMGR.XLOG, info: OPCODE.XLOG.FPI_FOR_HINT, blocks: [{ id: 0, blockNumber: 7 }] });
  expect(touchedPages(hint)).toEqual([]);
});

describe('visibility map', () => {
  const heapBlock = VM_BLOCKS_PER_PAGE + 5;
  const visibleMap = (...blocks: number[]): Buffer => {
    const page = Buffer.alloc(PAGE_SIZE);
    initPage(page, 0);
    for (const block of blocks) page[24 + ((block % VM_BLOCKS_PER_PAGE) >> 2)]! |= 3 << ((block & 3) * 2);
    return page;
  };
  const map = (block: number): object => expect.objectContaining({ fork: VM_FORK, block, relNumber: 16384 });

  test('an unregistered map page is cleared because the flag says so (before 18.5)', () => {
    const record = madeRecord({
      rmid: RMGR.HEAP,
      info: OPCODE.HEAP.DELETE,
      mainData: deleteData,
      blocks: [{ id: 0, blockNumber: heapBlock }],
    });
    const touched = touchedPages(record);
    expect(touched).toEqual([expect.objectContaining({ fork: 0, block: heapBlock }), map(1)]);
    const page = redo(visibleMap(heapBlock, heapBlock + 1), record, touched[1] ?? heapPage);
    expect(visibilityBits(page, heapBlock)).toBe(0);
    expect(visibilityBits(page, heapBlock + 1)).toBe(3);
  });

  test('a registered map page is cleared in the same way and named once (18.5 on)', () => {
    const blocks = [
      { id: 0, blockNumber: heapBlock },
      { id: 1, blockNumber: 1, fork: VM_FORK },
    ];
    const record = madeRecord({ rmid: RMGR.HEAP, info: OPCODE.HEAP.DELETE, mainData: deleteData, blocks });
    const touched = touchedPages(record);
    expect(touched).toEqual([expect.objectContaining({ fork: 0, block: heapBlock }), map(1)]);
    expect(visibilityBits(redo(visibleMap(heapBlock), record, touched[1] ?? heapPage), heapBlock)).toBe(0);
  });

  /** xl_heap_update: both pages were all-visible. */
  const updateData = packed([4, 900], [2, 1], [1, 0], [1, 0x03], [4, 0], [2, 1]);

  test('an update over two map pages clears both; over one, that one once', () => {
    const update = (oldBlock: number): ReturnType<typeof touchedPages> =>
      touchedPages(
        madeRecord({
          rmid: RMGR.HEAP,
          info: OPCODE.HEAP.UPDATE,
          mainData: updateData,
          blocks: [
            { id: 0, blockNumber: heapBlock },
            { id: 1, blockNumber: oldBlock },
          ],
        }),
      );
    expect(update(3).filter(({ fork }) => fork === VM_FORK)).toEqual([map(1), map(0)]);
    expect(update(heapBlock + 9).filter(({ fork }) => fork === VM_FORK)).toEqual([map(1)]);
  });

  test('one registered map page serves both blocks of an update (18.5 on)', () => {
    const blocks = [
      { id: 0, blockNumber: heapBlock },
      { id: 1, blockNumber: heapBlock + 9 },
      { id: 2, blockNumber: 1, fork: VM_FORK },
    ];
    const record = madeRecord({ rmid: RMGR.HEAP, info: OPCODE.HEAP.UPDATE, mainData: updateData, blocks });
    const touched = touchedPages(record).filter(({ fork }) => fork === VM_FORK);
    expect(touched).toEqual([map(1)]);
    const page = redo(visibleMap(heapBlock, heapBlock + 9, heapBlock + 10), record, touched[0] ?? heapPage);
    expect([heapBlock, heapBlock + 9, heapBlock + 10].map((block) => visibilityBits(page, block))).toEqual([0, 0, 3]);
  });

  test('a lock takes the all-frozen bit only', () => {
    const record = madeRecord({
      rmid: RMGR.HEAP,
      info: OPCODE.HEAP.LOCK,
      mainData: packed([4, 900], [2, 1], [1, 0], [1, 0x01]),
      blocks: [{ id: 0, blockNumber: 2 }],
    });
    const touched = touchedPages(record)[1];
    expect(visibilityBits(redo(visibleMap(2), record, touched ?? heapPage), 2)).toBe(1);
  });

  test('truncation clears the tail of the last page it keeps', () => {
    const truncate = (blocks: number): ReturnType<typeof madeRecord> =>
      madeRecord({ rmid: RMGR.SMGR, info: OPCODE.SMGR.TRUNCATE, mainData: packed([4, blocks], [4, 1663], [4, 5], [4, 16384], [4, 7]) });
    const touched = touchedPages(truncate(6));
    expect(touched).toEqual([map(0)]);
    const page = redo(visibleMap(4, 5, 6, 7, 400), truncate(6), touched[0] ?? heapPage);
    expect([4, 5, 6, 7, 400].map((block) => visibilityBits(page, block))).toEqual([3, 3, 0, 0, 0]);
    expect(touchedPages(truncate(VM_BLOCKS_PER_PAGE))).toEqual([]);
  });
});
