import { PAGE_HEADER_SIZE, pageLower } from './header.ts';

/**
 * Line pointers (storage/itemid.h, ItemIdData): 4 bytes each after the page header, counted from 1.
 *
 *   bits 0..14 lp_off (byte offset of the item)   bits 15..16 lp_flags   bits 17..31 lp_len (bytes)
 */
export const LP_UNUSED = 0;
export const LP_NORMAL = 1;
export const LP_REDIRECT = 2;
export const LP_DEAD = 3;

export const LINE_POINTER_SIZE = 4;

/** PageGetMaxOffsetNumber: number of line pointers; 0 on an empty or new page. */
export function lineCount(page: Buffer): number {
  const lower = pageLower(page);
  return lower <= PAGE_HEADER_SIZE ? 0 : (lower - PAGE_HEADER_SIZE) >>> 2;
}

/** Byte offset in the page of line pointer `offsetNumber`. */
export function linePosition(offsetNumber: number): number {
  return PAGE_HEADER_SIZE + (offsetNumber - 1) * LINE_POINTER_SIZE;
}

/** The raw 32 bits; take them apart with {@link itemOffset}, {@link itemFlags} and {@link itemLength}. */
export function linePointer(page: Buffer, offsetNumber: number): number {
  return page.readUInt32LE(linePosition(offsetNumber));
}

export function itemOffset(pointer: number): number {
  return pointer & 0x7fff;
}

export function itemFlags(pointer: number): number {
  return (pointer >>> 15) & 3;
}

export function itemLength(pointer: number): number {
  return pointer >>> 17;
}

/** ItemIdHasStorage. */
export function hasStorage(pointer: number): boolean {
  return pointer >>> 17 !== 0;
}

export function setLinePointer(page: Buffer, offsetNumber: number, offset: number, flags: number, length: number): void {
  page.writeUInt32LE((offset | (flags << 15) | (length << 17)) >>> 0, linePosition(offsetNumber));
}

/** Moves an item's recorded place and keeps its flags and length. */
export function setItemOffset(page: Buffer, offsetNumber: number, offset: number): void {
  const pointer = linePointer(page, offsetNumber);
  page.writeUInt32LE(((pointer & 0xffff8000) | offset) >>> 0, linePosition(offsetNumber));
}

/** The item's bytes as a view into the page. */
export function itemBytes(page: Buffer, offsetNumber: number): Buffer {
  const pointer = linePointer(page, offsetNumber);
  const offset = itemOffset(pointer);
  return page.subarray(offset, offset + itemLength(pointer));
}
