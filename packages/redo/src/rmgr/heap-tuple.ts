import { HEAP_INFOMASK, HEAP_INFOMASK2, HEAP_TUPLE_HEADER, HEAP_TUPLE_HEADER_BYTES } from '@kube-aurora/pg-format';
import { PageLayoutError } from '../page/header.ts';
import { writeItemPointer } from '../page/item-pointer.ts';
import { itemFlags, itemOffset, LP_NORMAL, lineCount, linePointer } from '../page/line-pointer.ts';

/** Heap tuples on a page, changed in place. `at` is the tuple's byte offset in the page. */

export const XMIN = HEAP_TUPLE_HEADER.xmin.at;
export const XMAX = HEAP_TUPLE_HEADER.xmax.at;
export const CID = HEAP_TUPLE_HEADER.field3.at;
export const CTID = HEAP_TUPLE_HEADER.ctidBlockHigh.at;
export const CTID_OFFSET = HEAP_TUPLE_HEADER.ctidOffset.at;
export const INFOMASK2 = HEAP_TUPLE_HEADER.infomask2.at;
export const INFOMASK = HEAP_TUPLE_HEADER.infomask.at;
export const HOFF = HEAP_TUPLE_HEADER.hoff.at;

/** xl_heap_header: u16 t_infomask2, u16 t_infomask, u8 t_hoff. */
export const WAL_TUPLE_HEADER_SIZE = 5;

/** t_ctid's offset number of a tuple that is inserted speculatively (SpecTokenOffsetNumber). */
export const SPECULATIVE_OFFSET = 0xfffe;
/** t_ctid of a tuple that moved to another partition (MovedPartitionsBlockNumber, MovedPartitionsOffsetNumber). */
export const MOVED_BLOCK = 0xffff_ffff;
export const MOVED_OFFSET = 0xfffd;

/** Byte offset of the tuple at a line pointer. Throws PageLayoutError ("invalid lp") when there is no such tuple. */
export function tupleAt(page: Buffer, offsetNumber: number): number {
  const count = lineCount(page);
  if (offsetNumber < 1 || offsetNumber > count) {
    throw new PageLayoutError(`no tuple at offset ${offsetNumber}: the page has ${count} line pointers`);
  }
  const pointer = linePointer(page, offsetNumber);
  if (itemFlags(pointer) !== LP_NORMAL) {
    throw new PageLayoutError(`line pointer ${offsetNumber} has flags ${itemFlags(pointer)}, expected a tuple`);
  }
  return itemOffset(pointer);
}

/**
 * Writes the header of a tuple that a record inserts; `header` is the xl_heap_header or the same fields of a
 * multi-insert.
 */
export function writeTupleHeader(
  page: Buffer,
  at: number,
  fields: { infomask2: number; infomask: number; hoff: number; xmin: number; xmax: number; block: number; offsetNumber: number },
): void {
  page.writeUInt32LE(fields.xmin, at + XMIN);
  page.writeUInt32LE(fields.xmax, at + XMAX);
  page.writeUInt32LE(0, at + CID);
  writeItemPointer(page, at + CTID, fields.block, fields.offsetNumber);
  page.writeUInt16LE(fields.infomask2, at + INFOMASK2);
  page.writeUInt16LE(fields.infomask & ~HEAP_INFOMASK.COMBOCID, at + INFOMASK);
  page.writeUInt8(fields.hoff, at + HOFF);
}

/** Zeroes what lies between a tuple's end and the next multiple of 8, so that equal histories give equal bytes. */
export function clearTuplePadding(page: Buffer, at: number, length: number): void {
  if ((length & 7) !== 0) page.fill(0, at + length, (at + length + 7) & ~7);
}

const XLHL_XMAX_IS_MULTI = 0x01;
const XLHL_XMAX_LOCK_ONLY = 0x02;
const XLHL_XMAX_EXCL_LOCK = 0x04;
const XLHL_XMAX_KEYSHR_LOCK = 0x08;
const XLHL_KEYS_UPDATED = 0x10;

/** Clears what a former deleter or locker left in the flags and sets what the record's infobits say. */
export function setXmaxFlags(page: Buffer, at: number, infobits: number): void {
  let infomask = page.readUInt16LE(at + INFOMASK) & ~(HEAP_INFOMASK.XMAX_BITS | HEAP_INFOMASK.MOVED);
  let infomask2 = page.readUInt16LE(at + INFOMASK2) & ~HEAP_INFOMASK2.KEYS_UPDATED;
  if ((infobits & XLHL_XMAX_IS_MULTI) !== 0) infomask |= HEAP_INFOMASK.XMAX_IS_MULTI;
  if ((infobits & XLHL_XMAX_LOCK_ONLY) !== 0) infomask |= HEAP_INFOMASK.XMAX_LOCK_ONLY;
  if ((infobits & XLHL_XMAX_EXCL_LOCK) !== 0) infomask |= HEAP_INFOMASK.XMAX_EXCL_LOCK;
  if ((infobits & XLHL_XMAX_KEYSHR_LOCK) !== 0) infomask |= HEAP_INFOMASK.XMAX_KEYSHR_LOCK;
  if ((infobits & XLHL_KEYS_UPDATED) !== 0) infomask2 |= HEAP_INFOMASK2.KEYS_UPDATED;
  page.writeUInt16LE(infomask, at + INFOMASK);
  page.writeUInt16LE(infomask2, at + INFOMASK2);
}

/** HEAP_XMAX_IS_LOCKED_ONLY. */
export function xmaxOnlyLocks(infomask: number): boolean {
  const { XMAX_LOCK_ONLY, XMAX_IS_MULTI, XMAX_EXCL_LOCK, XMAX_KEYSHR_LOCK } = HEAP_INFOMASK;
  if ((infomask & XMAX_LOCK_ONLY) !== 0) return true;
  return (infomask & (XMAX_IS_MULTI | XMAX_EXCL_LOCK | XMAX_KEYSHR_LOCK)) === XMAX_EXCL_LOCK;
}

export function setHotUpdated(page: Buffer, at: number, hot: boolean): void {
  const infomask2 = page.readUInt16LE(at + INFOMASK2);
  page.writeUInt16LE(hot ? infomask2 | HEAP_INFOMASK2.HOT_UPDATED : infomask2 & ~HEAP_INFOMASK2.HOT_UPDATED, at + INFOMASK2);
}

/** HeapTupleHeaderSetCmax(FirstCommandId): redo does not know command ids. */
export function resetCommandId(page: Buffer, at: number): void {
  page.writeUInt32LE(0, at + CID);
  page.writeUInt16LE(page.readUInt16LE(at + INFOMASK) & ~HEAP_INFOMASK.COMBOCID, at + INFOMASK);
}

export { HEAP_TUPLE_HEADER_BYTES };
