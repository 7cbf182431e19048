import { readBlockId, writeBlockId, writeItemPointer } from '../page/item-pointer.ts';

/** B-tree index tuples (access/nbtree.h) that name pages. Posting lists are ../../native/btree_posting.c's. */

/** INDEX_ALT_TID_MASK in t_info: t_tid is not a heap item pointer. */
const ALT_TID = 0x2000;
const T_INFO = 6;

/** Child block of an internal page's tuple, and the top parent in a half-dead leaf's high key. */
export function downLink(tuple: Buffer): number {
  return readBlockId(tuple, 0);
}

export function setDownLink(tuple: Buffer, block: number): void {
  writeBlockId(tuple, 0, block);
}

/** The high key of a half-dead leaf: no key, only the top parent's block. */
export function halfDeadHighKey(topParent: number): Buffer {
  const tuple = Buffer.alloc(8);
  writeItemPointer(tuple, 0, topParent, 0);
  tuple.writeUInt16LE(tuple.length | ALT_TID, T_INFO);
  return tuple;
}
