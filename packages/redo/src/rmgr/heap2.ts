import { INFO_INIT_PAGE, OPCODE, type WalRecord } from '@kube-aurora/pg-format';
import { RMGRS } from '../rmgrs.ts';
import type { TouchedPage } from '../contract.ts';
import { initPage, PageLayoutError, PD_ALL_VISIBLE, pageFlags, setPageFlags } from '../page/header.ts';
import { repairFragmentation, reserveItem, truncateLinePointers } from '../page/items.ts';
import { LP_DEAD, LP_REDIRECT, LP_UNUSED, lineCount, setLinePointer } from '../page/line-pointer.ts';
import { clearAllVisible } from './heap.ts';
import {
  CID,
  clearTuplePadding,
  HEAP_TUPLE_HEADER_BYTES,
  INFOMASK,
  INFOMASK2,
  setXmaxFlags,
  tupleAt,
  writeTupleHeader,
  XMAX,
} from './heap-tuple.ts';
import { blockOf, unknownOpcode } from './resource-manager.ts';
import { applyVisibilityClear, setVisibilityBits, VM_BITS, VM_FORK } from './visibility-map.ts';

/** Heap2 records (access/heapam_xlog.h): pruning and freezing, visibility, multi-insert, locks on updated tuples. */

const INSERT_ALL_VISIBLE_CLEARED = 0x01;
const INSERT_ALL_FROZEN_SET = 0x20;

export function heap2Redo(page: Buffer, record: WalRecord, touched: TouchedPage): void {
  const opcode = RMGRS.opcodeOf(record.rmid, record.info);
  if (opcode === OPCODE.HEAP2.VISIBLE) return redoVisible(page, record, touched);
  if (touched.fork === VM_FORK) return applyVisibilityClear(page, touched.block, record);
  switch (opcode) {
    case OPCODE.HEAP2.PRUNE_ON_ACCESS:
    case OPCODE.HEAP2.PRUNE_VACUUM_SCAN:
    case OPCODE.HEAP2.PRUNE_VACUUM_CLEANUP:
      return redoPrune(page, record, touched);
    case OPCODE.HEAP2.MULTI_INSERT:
      return redoMultiInsert(page, record, touched);
    case OPCODE.HEAP2.LOCK_UPDATED:
      return redoLockUpdated(page, record);
    default:
      throw unknownOpcode(record, blockOf(record, touched).id);
  }
}

/** xl_heap_visible: 0 snapshotConflictHorizon u32, 4 flags u8. Block 0 is the map, block 1 the heap page. */
function redoVisible(page: Buffer, record: WalRecord, touched: TouchedPage): void {
  if (touched.fork !== VM_FORK) {
    setPageFlags(page, pageFlags(page) | PD_ALL_VISIBLE);
    return;
  }
  const heap = record.blocks[1];
  if (heap === undefined) throw new PageLayoutError('the record names no heap block');
  setVisibilityBits(page, heap.blockNumber, record.mainData.readUInt8(4) & VM_BITS);
}

const XLHP_CLEANUP_LOCK = 0x04;
const XLHP_HAS_FREEZE_PLANS = 0x10;
const XLHP_HAS_REDIRECTIONS = 0x20;
const XLHP_HAS_DEAD_ITEMS = 0x40;
const XLHP_HAS_NOW_UNUSED_ITEMS = 0x80;
const FREEZE_XVAC = 0x02;
const INVALID_XVAC = 0x04;
const FROZEN_XID = 2;
/** xlhp_freeze_plan: 0 xmax u32, 4 infomask2 u16, 6 infomask u16, 8 frzflags u8, 10 ntuples u16. */
const FREEZE_PLAN_SIZE = 12;

/**
 * xl_heap_prune: 0 reason u8, 1 flags u8. Block data, each part only when its flag is set: freeze plans (u16 count, 2
 * bytes of padding, plans), redirections, dead items, now unused items (u16 count, then offset numbers, pairs for
 * redirections), and last the offset numbers that the freeze plans apply to, in the plans' order.
 */
function redoPrune(page: Buffer, record: WalRecord, touched: TouchedPage): void {
  const { data } = blockOf(record, touched);
  const flags = record.mainData.readUInt8(1);
  const count = lineCount(page);
  let at = 0;
  let plans = 0;
  if ((flags & XLHP_HAS_FREEZE_PLANS) !== 0) {
    plans = data.readUInt16LE(0);
    at = 4 + plans * FREEZE_PLAN_SIZE;
  }
  if ((flags & XLHP_HAS_REDIRECTIONS) !== 0) {
    const targets = data.readUInt16LE(at);
    at += 2;
    for (let i = 0; i < targets; i++, at += 4) {
      setLinePointer(page, existingLine(data.readUInt16LE(at), count), data.readUInt16LE(at + 2), LP_REDIRECT, 0);
    }
  }
  if ((flags & XLHP_HAS_DEAD_ITEMS) !== 0) at = setLines(page, data, at, LP_DEAD, count);
  if ((flags & XLHP_HAS_NOW_UNUSED_ITEMS) !== 0) at = setLines(page, data, at, LP_UNUSED, count);
  if ((flags & (XLHP_HAS_REDIRECTIONS | XLHP_HAS_DEAD_ITEMS | XLHP_HAS_NOW_UNUSED_ITEMS)) !== 0) {
    if ((flags & XLHP_CLEANUP_LOCK) === 0) truncateLinePointers(page);
    else repairFragmentation(page);
  }
  for (let plan = 0; plan < plans; plan++) {
    const planAt = 4 + plan * FREEZE_PLAN_SIZE;
    const tuples = data.readUInt16LE(planAt + 10);
    for (let i = 0; i < tuples; i++, at += 2) freezeTuple(page, tupleAt(page, data.readUInt16LE(at)), data, planAt);
  }
  if (at !== data.length) throw new PageLayoutError(`prune record has ${data.length} bytes of block data, ${at} understood`);
}

function setLines(page: Buffer, data: Buffer, at: number, flags: number, count: number): number {
  const targets = data.readUInt16LE(at);
  const end = at + 2 + targets * 2;
  for (let i = at + 2; i < end; i += 2) setLinePointer(page, existingLine(data.readUInt16LE(i), count), 0, flags, 0);
  return end;
}

function existingLine(offsetNumber: number, count: number): number {
  if (offsetNumber >= 1 && offsetNumber <= count) return offsetNumber;
  throw new PageLayoutError(`no line pointer ${offsetNumber}: the page has ${count}`);
}

function freezeTuple(page: Buffer, at: number, data: Buffer, plan: number): void {
  page.writeUInt32LE(data.readUInt32LE(plan), at + XMAX);
  const flags = data.readUInt8(plan + 8);
  if ((flags & FREEZE_XVAC) !== 0) page.writeUInt32LE(FROZEN_XID, at + CID);
  if ((flags & INVALID_XVAC) !== 0) page.writeUInt32LE(0, at + CID);
  page.writeUInt16LE(data.readUInt16LE(plan + 4), at + INFOMASK2);
  page.writeUInt16LE(data.readUInt16LE(plan + 6), at + INFOMASK);
}

/** xl_multi_insert_tuple: 0 datalen u16, 2 infomask2 u16, 4 infomask u16, 6 hoff u8; each starts at an even offset. */
const MULTI_INSERT_TUPLE_SIZE = 7;

/** xl_heap_multi_insert: 0 flags u8, 2 ntuples u16, 4 offset numbers u16 unless the page is made anew. */
function redoMultiInsert(page: Buffer, record: WalRecord, touched: TouchedPage): void {
  const { mainData } = record;
  const flags = mainData.readUInt8(0);
  const tuples = mainData.readUInt16LE(2);
  const isInit = (record.info & INFO_INIT_PAGE) !== 0;
  if (isInit) initPage(page, 0);
  const { data } = blockOf(record, touched);
  let from = 0;
  for (let i = 0; i < tuples; i++) {
    const offsetNumber = isInit ? i + 1 : mainData.readUInt16LE(4 + i * 2);
    const header = (from + 1) & ~1;
    from = header + MULTI_INSERT_TUPLE_SIZE;
    const dataLength = data.readUInt16LE(header);
    const length = HEAP_TUPLE_HEADER_BYTES + dataLength;
    const at = reserveItem(page, length, offsetNumber, 'overwrite');
    data.copy(page, at + HEAP_TUPLE_HEADER_BYTES, from, from + dataLength);
    clearTuplePadding(page, at, length);
    from += dataLength;
    writeTupleHeader(page, at, {
      infomask2: data.readUInt16LE(header + 2),
      infomask: data.readUInt16LE(header + 4),
      hoff: data.readUInt8(header + 6),
      xmin: record.xid,
      xmax: 0,
      block: touched.block,
      offsetNumber,
    });
  }
  if (from !== data.length) throw new PageLayoutError(`multi-insert has ${data.length} bytes of tuples, ${from} understood`);
  if ((flags & INSERT_ALL_VISIBLE_CLEARED) !== 0) clearAllVisible(page);
  if ((flags & INSERT_ALL_FROZEN_SET) !== 0) setPageFlags(page, pageFlags(page) | PD_ALL_VISIBLE);
}

/** xl_heap_lock_updated: 0 xmax u32, 4 offnum u16, 6 infobits u8, 7 flags u8. */
function redoLockUpdated(page: Buffer, record: WalRecord): void {
  const { mainData } = record;
  const at = tupleAt(page, mainData.readUInt16LE(4));
  setXmaxFlags(page, at, mainData.readUInt8(6));
  page.writeUInt32LE(mainData.readUInt32LE(0), at + XMAX);
}
