import { HEAP_INFOMASK, HEAP_TUPLE_HEADER, type WalRecord } from '@kube-aurora/pg-format';
import type { TouchedPage } from '../contract.ts';
import { maxAlign } from '../page/header.ts';
import { writeItemPointer } from '../page/item-pointer.ts';
import { hasStorage, itemFlags, itemLength, itemOffset, LP_NORMAL, lineCount, linePointer } from '../page/line-pointer.ts';
import { MASK_MARKER, maskHintBits, maskLsnAndChecksum, maskUnusedSpace } from '../page/mask.ts';
import { blockOf, unknownOpcode } from './resource-manager.ts';

/** Heap and Heap2: their records are redone in C (../../native/heap.c, heap2.c). */

const INFOMASK = HEAP_TUPLE_HEADER.infomask.at;
const CID = HEAP_TUPLE_HEADER.field3.at;
const CTID = HEAP_TUPLE_HEADER.ctidBlockHigh.at;
const CTID_OFFSET = HEAP_TUPLE_HEADER.ctidOffset.at;
/** t_ctid's offset number of a tuple that is inserted speculatively (SpecTokenOffsetNumber). */
const SPECULATIVE_OFFSET = 0xfffe;

/** What was not redone in C is none of their records. */
export function heapRedo(_page: Buffer, record: WalRecord, touched: TouchedPage): void {
  throw unknownOpcode(record, blockOf(record, touched).id);
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
    if (hasStorage(pointer)) {
      const end = at + itemLength(pointer);
      page.fill(MASK_MARKER, end, maxAlign(end));
    }
  }
}
