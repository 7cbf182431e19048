import { HEAP_INFOMASK, INFO_INIT_PAGE, OPCODE, type WalRecord } from '@kube-aurora/pg-format';
import { RMGRS } from '../rmgrs.ts';
import type { TouchedPage } from '../contract.ts';
import { initPage, PageLayoutError, PD_ALL_VISIBLE, pageFlags, setPageFlags, setPrunable } from '../page/header.ts';
import { writeItemPointer } from '../page/item-pointer.ts';
import { reserveItem } from '../page/items.ts';
import { hasStorage, itemFlags, itemLength, itemOffset, LP_NORMAL, lineCount, linePointer } from '../page/line-pointer.ts';
import { MASK_MARKER, maskHintBits, maskLsnAndChecksum, maskUnusedSpace } from '../page/mask.ts';
import {
  CID,
  CTID,
  CTID_OFFSET,
  clearTuplePadding,
  HEAP_TUPLE_HEADER_BYTES,
  HOFF,
  INFOMASK,
  MOVED_BLOCK,
  MOVED_OFFSET,
  resetCommandId,
  SPECULATIVE_OFFSET,
  setHotUpdated,
  setXmaxFlags,
  tupleAt,
  WAL_TUPLE_HEADER_SIZE,
  writeTupleHeader,
  XMAX,
  XMIN,
  xmaxOnlyLocks,
} from './heap-tuple.ts';
import { blockOf, unknownOpcode } from './resource-manager.ts';
import { applyVisibilityClear, VM_FORK } from './visibility-map.ts';

/** Heap records (access/heapam_xlog.h): one tuple inserted, deleted, updated, locked, confirmed or overwritten. */

const ALL_VISIBLE_CLEARED = 0x01;
const UPDATE_NEW_ALL_VISIBLE_CLEARED = 0x02;
const UPDATE_PREFIX_FROM_OLD = 0x20;
const UPDATE_SUFFIX_FROM_OLD = 0x40;
const DELETE_IS_SUPER = 0x08;
const DELETE_IS_PARTITION_MOVE = 0x10;

export function heapRedo(page: Buffer, record: WalRecord, touched: TouchedPage): void {
  if (touched.fork === VM_FORK) return applyVisibilityClear(page, touched.block, record);
  switch (RMGRS.opcodeOf(record.rmid, record.info)) {
    case OPCODE.HEAP.INSERT:
      return redoInsert(page, record, touched);
    case OPCODE.HEAP.DELETE:
      return redoDelete(page, record, touched);
    case OPCODE.HEAP.UPDATE:
      return redoUpdate(page, record, touched, false);
    case OPCODE.HEAP.HOT_UPDATE:
      return redoUpdate(page, record, touched, true);
    case OPCODE.HEAP.HEAP_CONFIRM:
      return redoConfirm(page, record, touched);
    case OPCODE.HEAP.LOCK:
      return redoLock(page, record, touched);
    case OPCODE.HEAP.INPLACE:
      return redoInplace(page, record, touched);
    default:
      throw unknownOpcode(record, blockOf(record, touched).id);
  }
}

/** xl_heap_insert: 0 offnum u16, 2 flags u8. Block data: xl_heap_header, then the tuple from its null bitmap on. */
function redoInsert(page: Buffer, record: WalRecord, touched: TouchedPage): void {
  const { mainData } = record;
  const offsetNumber = mainData.readUInt16LE(0);
  if ((record.info & INFO_INIT_PAGE) !== 0) initPage(page, 0);
  const { data } = blockOf(record, touched);
  const length = HEAP_TUPLE_HEADER_BYTES + data.length - WAL_TUPLE_HEADER_SIZE;
  const at = reserveItem(page, length, offsetNumber, 'overwrite');
  data.copy(page, at + HEAP_TUPLE_HEADER_BYTES, WAL_TUPLE_HEADER_SIZE);
  clearTuplePadding(page, at, length);
  writeTupleHeader(page, at, {
    infomask2: data.readUInt16LE(0),
    infomask: data.readUInt16LE(2),
    hoff: data.readUInt8(4),
    xmin: record.xid,
    xmax: 0,
    block: touched.block,
    offsetNumber,
  });
  if ((mainData.readUInt8(2) & ALL_VISIBLE_CLEARED) !== 0) clearAllVisible(page);
}

/** xl_heap_delete: 0 xmax u32, 4 offnum u16, 6 infobits u8, 7 flags u8. */
function redoDelete(page: Buffer, record: WalRecord, touched: TouchedPage): void {
  const { mainData } = record;
  const offsetNumber = mainData.readUInt16LE(4);
  const flags = mainData.readUInt8(7);
  const at = tupleAt(page, offsetNumber);
  setXmaxFlags(page, at, mainData.readUInt8(6));
  setHotUpdated(page, at, false);
  if ((flags & DELETE_IS_SUPER) === 0) page.writeUInt32LE(mainData.readUInt32LE(0), at + XMAX);
  else page.writeUInt32LE(0, at + XMIN);
  resetCommandId(page, at);
  setPrunable(page, record.xid);
  if ((flags & ALL_VISIBLE_CLEARED) !== 0) clearAllVisible(page);
  if ((flags & DELETE_IS_PARTITION_MOVE) !== 0) writeItemPointer(page, at + CTID, MOVED_BLOCK, MOVED_OFFSET);
  else writeItemPointer(page, at + CTID, touched.block, offsetNumber);
}

/**
 * xl_heap_update: 0 old_xmax u32, 4 old_offnum u16, 6 old_infobits u8, 7 flags u8, 8 new_xmax u32, 12 new_offnum u16.
 * Block 0 is the new tuple's page; block 1 the old one's when it is another page.
 */
function redoUpdate(page: Buffer, record: WalRecord, touched: TouchedPage, hot: boolean): void {
  const block = blockOf(record, touched);
  const second = record.blocks[1];
  const otherPage = second?.id === 1;
  if (block.id === 1) {
    updateOldTuple(page, record, record.blocks[0]?.blockNumber ?? 0, hot);
  } else if (block.id === 0) {
    if (!otherPage) updateOldTuple(page, record, touched.block, hot);
    else if ((record.info & INFO_INIT_PAGE) !== 0) initPage(page, 0);
    insertNewTuple(page, record, touched);
  } else {
    throw unknownOpcode(record, block.id);
  }
}

function updateOldTuple(page: Buffer, record: WalRecord, newBlock: number, hot: boolean): void {
  const { mainData } = record;
  const at = tupleAt(page, mainData.readUInt16LE(4));
  setXmaxFlags(page, at, mainData.readUInt8(6));
  setHotUpdated(page, at, hot);
  page.writeUInt32LE(mainData.readUInt32LE(0), at + XMAX);
  resetCommandId(page, at);
  writeItemPointer(page, at + CTID, newBlock, mainData.readUInt16LE(12));
  setPrunable(page, record.xid);
  if ((mainData.readUInt8(7) & ALL_VISIBLE_CLEARED) !== 0) clearAllVisible(page);
}

/**
 * The new tuple: [u16 prefix length] [u16 suffix length] xl_heap_header, then null bitmap and data. Prefix and suffix
 * are shared with the old tuple, which then is on the same page.
 */
function insertNewTuple(page: Buffer, record: WalRecord, touched: TouchedPage): void {
  const { mainData } = record;
  const { data } = blockOf(record, touched);
  const flags = mainData.readUInt8(7);
  const offsetNumber = mainData.readUInt16LE(12);
  let prefix = 0;
  let suffix = 0;
  let from = 0;
  if ((flags & UPDATE_PREFIX_FROM_OLD) !== 0) {
    prefix = data.readUInt16LE(from);
    from += 2;
  }
  if ((flags & UPDATE_SUFFIX_FROM_OLD) !== 0) {
    suffix = data.readUInt16LE(from);
    from += 2;
  }
  const header = from;
  from += WAL_TUPLE_HEADER_SIZE;
  const hoff = data.readUInt8(header + 4);
  const length = HEAP_TUPLE_HEADER_BYTES + data.length - from + prefix + suffix;
  const at = reserveItem(page, length, offsetNumber, 'overwrite');
  let to = at + HEAP_TUPLE_HEADER_BYTES;
  if (prefix > 0) {
    const bitmap = hoff - HEAP_TUPLE_HEADER_BYTES;
    data.copy(page, to, from, from + bitmap);
    to += bitmap;
    from += bitmap;
    const old = tupleAt(page, mainData.readUInt16LE(4));
    const oldData = old + page.readUInt8(old + HOFF);
    page.copyWithin(to, oldData, oldData + prefix);
    to += prefix;
  }
  data.copy(page, to, from);
  to += data.length - from;
  if (suffix > 0) {
    const pointer = linePointer(page, mainData.readUInt16LE(4));
    const oldEnd = itemOffset(pointer) + itemLength(pointer);
    page.copyWithin(to, oldEnd - suffix, oldEnd);
  }
  clearTuplePadding(page, at, length);
  writeTupleHeader(page, at, {
    infomask2: data.readUInt16LE(header),
    infomask: data.readUInt16LE(header + 2),
    hoff,
    xmin: record.xid,
    xmax: mainData.readUInt32LE(8),
    block: touched.block,
    offsetNumber,
  });
  if ((flags & UPDATE_NEW_ALL_VISIBLE_CLEARED) !== 0) clearAllVisible(page);
}

/** xl_heap_confirm: 0 offnum u16. The speculative insertion became a real one. */
function redoConfirm(page: Buffer, record: WalRecord, touched: TouchedPage): void {
  const offsetNumber = record.mainData.readUInt16LE(0);
  writeItemPointer(page, tupleAt(page, offsetNumber) + CTID, touched.block, offsetNumber);
}

/** xl_heap_lock: 0 xmax u32, 4 offnum u16, 6 infobits u8, 7 flags u8. */
function redoLock(page: Buffer, record: WalRecord, touched: TouchedPage): void {
  const { mainData } = record;
  const offsetNumber = mainData.readUInt16LE(4);
  const at = tupleAt(page, offsetNumber);
  setXmaxFlags(page, at, mainData.readUInt8(6));
  if (xmaxOnlyLocks(page.readUInt16LE(at + INFOMASK))) {
    setHotUpdated(page, at, false);
    writeItemPointer(page, at + CTID, touched.block, offsetNumber);
  }
  page.writeUInt32LE(mainData.readUInt32LE(0), at + XMAX);
  resetCommandId(page, at);
}

/** xl_heap_inplace: 0 offnum u16. Block data: the tuple's new data, of the same length. */
function redoInplace(page: Buffer, record: WalRecord, touched: TouchedPage): void {
  const offsetNumber = record.mainData.readUInt16LE(0);
  const { data } = blockOf(record, touched);
  const at = tupleAt(page, offsetNumber);
  const hoff = page.readUInt8(at + HOFF);
  const oldLength = itemLength(linePointer(page, offsetNumber)) - hoff;
  if (oldLength !== data.length) {
    throw new PageLayoutError(`in-place update of ${data.length} bytes over a tuple with ${oldLength} bytes of data`);
  }
  data.copy(page, at + hoff);
}

export function clearAllVisible(page: Buffer): void {
  setPageFlags(page, pageFlags(page) & ~PD_ALL_VISIBLE);
}

const XMIN_FROZEN = HEAP_INFOMASK.XMIN_COMMITTED | HEAP_INFOMASK.XMIN_INVALID;
/** HEAP_XACT_MASK: everything about visibility. */
const XACT_MASK = 0xfff0;

/** heap_mask: hint bits, command ids, speculative tokens and padding. Serves Heap and Heap2. */
export function heapMask(page: Buffer, block: number): void {
  maskLsnAndChecksum(page);
  maskHintBits(page);
  maskUnusedSpace(page);
  const count = lineCount(page);
  for (let i = 1; i <= count; i++) {
    const pointer = linePointer(page, i);
    const at = itemOffset(pointer);
    if (itemFlags(pointer) === LP_NORMAL) {
      const infomask = page.readUInt16LE(at + INFOMASK);
      const hints = (infomask & XMIN_FROZEN) === XMIN_FROZEN ? HEAP_INFOMASK.XMAX_INVALID | HEAP_INFOMASK.XMAX_COMMITTED : XACT_MASK;
      page.writeUInt16LE(infomask & ~hints, at + INFOMASK);
      page.writeUInt32LE(MASK_MARKER, at + CID);
      if (page.readUInt16LE(at + CTID_OFFSET) === SPECULATIVE_OFFSET) writeItemPointer(page, at + CTID, block, i);
    }
    if (hasStorage(pointer)) clearTuplePadding(page, at, itemLength(pointer));
  }
}
