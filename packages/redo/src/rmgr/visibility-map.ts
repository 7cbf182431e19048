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
  cleared.first = -1;
  cleared.second = -1;
  const { mainData, rmid } = record;
  const opcode = RMGRS.opcodeOf(rmid, record.info);
  if (rmid === RMGR.HEAP) {
    if (opcode === OPCODE.HEAP.INSERT) {
      if ((mainData.readUInt8(2) & INSERT_ALL_VISIBLE_CLEARED) !== 0) cleared.first = heapBlock(record, 0);
    } else if (opcode === OPCODE.HEAP.DELETE) {
      if ((mainData.readUInt8(7) & DELETE_ALL_VISIBLE_CLEARED) !== 0) cleared.first = heapBlock(record, 0);
    } else if (opcode === OPCODE.HEAP.UPDATE || opcode === OPCODE.HEAP.HOT_UPDATE) {
      const flags = mainData.readUInt8(7);
      const newBlock = heapBlock(record, 0);
      const old = record.blocks[1];
      if ((flags & UPDATE_NEW_ALL_VISIBLE_CLEARED) !== 0) cleared.first = newBlock;
      if ((flags & UPDATE_OLD_ALL_VISIBLE_CLEARED) !== 0) cleared.second = old?.id === 1 ? old.blockNumber : newBlock;
    } else if (opcode === OPCODE.HEAP.LOCK) {
      clearedByLock(record, mainData.readUInt8(7));
    }
  } else if (rmid === RMGR.HEAP2) {
    if (opcode === OPCODE.HEAP2.MULTI_INSERT) {
      if ((mainData.readUInt8(0) & INSERT_ALL_VISIBLE_CLEARED) !== 0) cleared.first = heapBlock(record, 0);
    } else if (opcode === OPCODE.HEAP2.LOCK_UPDATED) {
      clearedByLock(record, mainData.readUInt8(7));
    }
  }
  return cleared;
}

function clearedByLock(record: WalRecord, flags: number): void {
  if ((flags & LOCK_ALL_FROZEN_CLEARED) === 0) return;
  cleared.first = heapBlock(record, 0);
}

function heapBlock(record: WalRecord, index: number): number {
  return record.blocks[index]?.blockNumber ?? -1;
}
