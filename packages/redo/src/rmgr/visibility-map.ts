import type { WalRecord } from '@kube-aurora/pg-format';
import { OPCODE, RMGR } from '@kube-aurora/pg-format';
import { RMGRS } from '../rmgrs.ts';
import { isNewPage, PAGE_HEADER_SIZE, PAGE_SIZE } from '../page/header.ts';

/**
 * The visibility map (access/heap/visibilitymap.c): fork 2, two bits for each heap block after a plain page header.
 */
export const VM_FORK = 2;
/** All-visible and all-frozen. */
const VM_BITS = 0x03;

const MAP_BYTES = PAGE_SIZE - PAGE_HEADER_SIZE;
/** Heap blocks that one page of the map covers. */
export const VM_BLOCKS_PER_PAGE = MAP_BYTES * 4;

/** Page of the map that holds a heap block's bits. */
export function vmPageOf(heapBlock: number): number {
  return Math.floor(heapBlock / VM_BLOCKS_PER_PAGE);
}

/** Pages the map keeps when its heap is cut to `heapBlocks`. */
export function vmPagesFor(heapBlocks: number): number {
  return Math.ceil(heapBlocks / VM_BLOCKS_PER_PAGE);
}

export function visibilityBits(page: Buffer, heapBlock: number): number {
  return (page.readUInt8(mapByte(heapBlock)) >>> ((heapBlock & 3) * 2)) & VM_BITS;
}

/** Clears the bits of every heap block from `heapBlocks` on, in the page that holds the first of them. */
export function truncateVisibilityMap(page: Buffer, heapBlocks: number): void {
  if (isNewPage(page)) return;
  const at = mapByte(heapBlocks);
  page.writeUInt8(page.readUInt8(at) & ((1 << ((heapBlocks & 3) * 2)) - 1), at);
  page.fill(0, at + 1);
}

function mapByte(heapBlock: number): number {
  return PAGE_HEADER_SIZE + Math.floor((heapBlock % VM_BLOCKS_PER_PAGE) / 4);
}

/** Flag bits of heap records that say a heap page lost its all-visible mark (access/heapam_xlog.h). */
const INSERT_ALL_VISIBLE_CLEARED = 0x01;
const DELETE_ALL_VISIBLE_CLEARED = 0x01;
const UPDATE_OLD_ALL_VISIBLE_CLEARED = 0x01;
const UPDATE_NEW_ALL_VISIBLE_CLEARED = 0x02;
const LOCK_ALL_FROZEN_CLEARED = 0x01;

/** Which heap blocks of a record lose bits: `first` is -1 when there is none, `second` is used by updates. */
export interface VisibilityClear {
  first: number;
  second: number;
}

/** Filled anew by each {@link visibilityCleared}; redo is synchronous. */
const cleared: VisibilityClear = { first: -1, second: -1 };

/**
 * Where a heap record clears bits of the map; clearing them is done in C (../../native/visibility.c). Flags say so; whether the map page is registered as a block (PostgreSQL 18.5
 * on) or not (before) makes no difference here. The result is valid until the next call.
 */
export function visibilityCleared(record: WalRecord): VisibilityClear {
  const [block, second] = record.blocks;
  RECORD_DATA.data = record.mainData;
  return visibilityClearedBy(record.rmid, record.info, RECORD_DATA, block?.blockNumber ?? -1, second?.id === 1 ? second.blockNumber : -1);
}

/** A record's main data, a byte at a time. */
interface MainData {
  mainByte(at: number): number;
}

const RECORD_DATA: MainData & { data: Buffer } = {
  data: Buffer.alloc(0),
  mainByte(at: number): number {
    return this.data.readUInt8(at);
  },
};

/** The same of a record whose first block is `block`, and whose block of number 1 is `other` (-1 for none). */
export function visibilityClearedBy(rmid: number, info: number, main: MainData, block: number, other: number): VisibilityClear {
  cleared.first = -1;
  cleared.second = -1;
  const opcode = RMGRS.opcodeOf(rmid, info);
  if (rmid === RMGR.HEAP) {
    if (opcode === OPCODE.HEAP.INSERT) {
      if ((main.mainByte(2) & INSERT_ALL_VISIBLE_CLEARED) !== 0) cleared.first = block;
    } else if (opcode === OPCODE.HEAP.DELETE) {
      if ((main.mainByte(7) & DELETE_ALL_VISIBLE_CLEARED) !== 0) cleared.first = block;
    } else if (opcode === OPCODE.HEAP.UPDATE || opcode === OPCODE.HEAP.HOT_UPDATE) {
      const flags = main.mainByte(7);
      if ((flags & UPDATE_NEW_ALL_VISIBLE_CLEARED) !== 0) cleared.first = block;
      if ((flags & UPDATE_OLD_ALL_VISIBLE_CLEARED) !== 0) cleared.second = other >= 0 ? other : block;
    } else if (opcode === OPCODE.HEAP.LOCK) {
      clearedByLock(block, main.mainByte(7));
    }
  } else if (rmid === RMGR.HEAP2) {
    if (opcode === OPCODE.HEAP2.MULTI_INSERT) {
      if ((main.mainByte(0) & INSERT_ALL_VISIBLE_CLEARED) !== 0) cleared.first = block;
    } else if (opcode === OPCODE.HEAP2.LOCK_UPDATED) {
      clearedByLock(block, main.mainByte(7));
    }
  }
  return cleared;
}

function clearedByLock(block: number, flags: number): void {
  if ((flags & LOCK_ALL_FROZEN_CLEARED) === 0) return;
  cleared.first = block;
}
