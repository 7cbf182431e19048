import { INDEX_SIZE_MASK, indexTupleSize } from '../page/index-tuple.ts';
import { ITEM_POINTER_SIZE, readBlockId, writeBlockId, writeItemPointer } from '../page/item-pointer.ts';
import { maxAlign, PageLayoutError } from '../page/header.ts';

/**
 * B-tree index tuples (access/nbtree.h). A posting list tuple holds one key with many heap item pointers: its t_tid
 * holds the list's byte offset in the block field and `count | IS_POSTING` in the offset field.
 */

/** INDEX_ALT_TID_MASK in t_info: t_tid is not a heap item pointer. */
const ALT_TID = 0x2000;
const IS_POSTING = 0x2000;
const COUNT_MASK = 0x0fff;
const T_INFO = 6;
const T_TID_OFFSET = 4;

function isPosting(tuple: Buffer): boolean {
  return (tuple.readUInt16LE(T_INFO) & ALT_TID) !== 0 && (tuple.readUInt16LE(T_TID_OFFSET) & IS_POSTING) !== 0;
}

/** Heap item pointers of a leaf tuple: the list, or its one t_tid. */
export function heapPointerBytes(tuple: Buffer): Buffer {
  if (!isPosting(tuple)) return tuple.subarray(0, ITEM_POINTER_SIZE);
  const start = readBlockId(tuple, 0);
  return tuple.subarray(start, start + (tuple.readUInt16LE(T_TID_OFFSET) & COUNT_MASK) * ITEM_POINTER_SIZE);
}

/**
 * _bt_form_posting: the tuple with `base`'s key and the given item pointers (6 bytes each, ascending); a plain tuple
 * when there is one.
 */
export function formPosting(base: Buffer, pointers: Buffer): Buffer {
  const keySize = isPosting(base) ? readBlockId(base, 0) : indexTupleSize(base, 0);
  const count = pointers.length / ITEM_POINTER_SIZE;
  if (count === 0) throw new PageLayoutError('a posting list would become empty');
  const size = count > 1 ? maxAlign(keySize + pointers.length) : keySize;
  const tuple = Buffer.alloc(size);
  base.copy(tuple, 0, 0, keySize);
  const info = base.readUInt16LE(T_INFO) & ~(INDEX_SIZE_MASK | ALT_TID);
  if (count > 1) {
    tuple.writeUInt16LE(info | size | ALT_TID, T_INFO);
    writeItemPointer(tuple, 0, keySize, count | IS_POSTING);
    pointers.copy(tuple, keySize);
  } else {
    tuple.writeUInt16LE(info | size, T_INFO);
    pointers.copy(tuple, 0);
  }
  return tuple;
}

/** _bt_update_posting: a posting list without the item pointers at the given indexes (ascending, from 0). */
export function withoutPointers(posting: Buffer, doomed: ReadonlySet<number>): Buffer {
  const pointers = heapPointerBytes(posting);
  const kept = Buffer.alloc(pointers.length - doomed.size * ITEM_POINTER_SIZE);
  let to = 0;
  for (let i = 0; i * ITEM_POINTER_SIZE < pointers.length; i++) {
    if (doomed.has(i)) continue;
    to += pointers.copy(kept, to, i * ITEM_POINTER_SIZE, (i + 1) * ITEM_POINTER_SIZE);
  }
  return formPosting(posting, kept);
}

/**
 * _bt_swap_posting: puts the new tuple's item pointer into the list at `index`; the list's last one moves to the new
 * tuple. Both results are copies. Throws PageLayoutError when the list has no such place.
 */
export function swapPosting(newTuple: Buffer, oldPosting: Buffer, index: number): { newTuple: Buffer; posting: Buffer } {
  const posting = Buffer.from(oldPosting);
  const inserted = Buffer.from(newTuple);
  const list = isPosting(posting) ? heapPointerBytes(posting) : Buffer.alloc(0);
  const at = index * ITEM_POINTER_SIZE;
  const last = list.length - ITEM_POINTER_SIZE;
  if (index <= 0 || at > last) {
    throw new PageLayoutError(`a posting list of ${list.length / ITEM_POINTER_SIZE} cannot be split at ${index}`);
  }
  list.copy(inserted, 0, last);
  list.copyWithin(at + ITEM_POINTER_SIZE, at, last);
  newTuple.copy(list, at, 0, ITEM_POINTER_SIZE);
  return { newTuple: inserted, posting };
}

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
