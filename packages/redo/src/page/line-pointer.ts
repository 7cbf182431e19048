import { ITEM_ID_BYTES, ITEM_ID_FLAG, itemIdAt, itemIdLength, itemIdOffset, packItemId } from '@kube-aurora/pg-format';

/**
 * Line pointers (storage/itemid.h, ItemIdData): 4 bytes each after the page header, counted from 1: byte offset of the
 * item, flags, length in bytes.
 */
export {
  itemCount as lineCount,
  itemIdAt as linePosition,
  itemIdFlags as itemFlags,
  itemIdLength as itemLength,
  itemIdOffset as itemOffset,
} from '@kube-aurora/pg-format';

export const LP_UNUSED = ITEM_ID_FLAG.UNUSED;
export const LP_NORMAL = ITEM_ID_FLAG.NORMAL;
export const LINE_POINTER_SIZE = ITEM_ID_BYTES;

/** The raw 32 bits; take them apart with itemOffset, itemFlags and itemLength. */
export function linePointer(page: Buffer, offsetNumber: number): number {
  return page.readUInt32LE(itemIdAt(offsetNumber));
}

/** ItemIdHasStorage. */
export function hasStorage(pointer: number): boolean {
  return pointer >>> 17 !== 0;
}

export function setLinePointer(page: Buffer, offsetNumber: number, offset: number, flags: number, length: number): void {
  page.writeUInt32LE(packItemId(offset, flags, length), itemIdAt(offsetNumber));
}

/** Moves an item's recorded place and keeps its flags and length. */
export function setItemOffset(page: Buffer, offsetNumber: number, offset: number): void {
  const pointer = linePointer(page, offsetNumber);
  page.writeUInt32LE(((pointer & 0xffff8000) | offset) >>> 0, itemIdAt(offsetNumber));
}

/** The item's bytes as a view into the page. */
export function itemBytes(page: Buffer, offsetNumber: number): Buffer {
  const pointer = linePointer(page, offsetNumber);
  const offset = itemIdOffset(pointer);
  return page.subarray(offset, offset + itemIdLength(pointer));
}
