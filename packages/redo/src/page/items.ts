import {
  checkPagePointers,
  maxAlign,
  PAGE_HEADER_SIZE,
  PAGE_SIZE,
  PageLayoutError,
  pageLower,
  pageSpecial,
  pageUpper,
  setPageLower,
  setPageUpper,
} from './header.ts';
import {
  hasStorage,
  itemFlags,
  itemLength,
  itemOffset,
  LINE_POINTER_SIZE,
  LP_NORMAL,
  LP_UNUSED,
  lineCount,
  linePointer,
  linePosition,
  setItemOffset,
  setLinePointer,
} from './line-pointer.ts';

/**
 * Adding, removing and moving items. Replay must leave items where the writer left them, byte for byte, so each
 * function follows the placement rules of storage/page/bufpage.c: items grow down from the special space in steps of 8
 * bytes.
 */

/** PageAddItem with `overwrite`: what happens when the offset number is already taken. */
export type Placement =
  /** Later line pointers shift up by one; index pages. */
  | 'shuffle'
  /** The line pointer must be unused; heap pages. */
  | 'overwrite';

/**
 * Puts an item at `offsetNumber`, 1..count+1. Throws PageLayoutError when it does not fit or the place is taken: replay
 * never has a choice, so either means that the page is not the one the record was made for.
 */
export function addItem(page: Buffer, item: Uint8Array, offsetNumber: number, placement: Placement): void {
  const offset = reserveItem(page, item.length, offsetNumber, placement);
  page.set(item, offset);
}

/** Takes the place of an item of `length` bytes: returns its byte offset. */
function reserveItem(page: Buffer, length: number, offsetNumber: number, placement: Placement): number {
  checkPagePointers(page);
  const limit = lineCount(page) + 1;
  if (offsetNumber < 1 || offsetNumber > limit) {
    throw new PageLayoutError(`cannot add an item at offset ${offsetNumber}: the page has ${limit - 1} line pointers`);
  }
  const lower = pageLower(page);
  let newLower = lower;
  if (offsetNumber === limit) {
    newLower += LINE_POINTER_SIZE;
  } else if (placement === 'shuffle') {
    newLower += LINE_POINTER_SIZE;
  } else {
    const taken = linePointer(page, offsetNumber);
    if (itemFlags(taken) !== LP_UNUSED || hasStorage(taken)) {
      throw new PageLayoutError(`cannot add an item at offset ${offsetNumber}: its line pointer is in use`);
    }
  }
  const upper = pageUpper(page) - maxAlign(length);
  if (newLower > upper) {
    throw new PageLayoutError(`cannot add an item of ${length} bytes: ${pageUpper(page) - lower} bytes are free`);
  }
  if (placement === 'shuffle' && offsetNumber < limit) {
    const at = linePosition(offsetNumber);
    page.copyWithin(at + LINE_POINTER_SIZE, at, lower);
  }
  setLinePointer(page, offsetNumber, upper, LP_NORMAL, length);
  setPageLower(page, newLower);
  setPageUpper(page, upper);
  return upper;
}

/** Checks that an index item exists and lies inside the item area; returns its line pointer. */
function checkedIndexItem(page: Buffer, offsetNumber: number, count: number): number {
  if (offsetNumber < 1 || offsetNumber > count) {
    throw new PageLayoutError(`invalid index offset ${offsetNumber}: the page has ${count} line pointers`);
  }
  const pointer = linePointer(page, offsetNumber);
  const offset = itemOffset(pointer);
  if (offset < pageUpper(page) || offset + itemLength(pointer) > pageSpecial(page) || (offset & 7) !== 0) {
    throw new PageLayoutError(`corrupted line pointer ${offsetNumber}: offset = ${offset}, size = ${itemLength(pointer)}`);
  }
  return pointer;
}

/**
 * Slides the items below `offset` by `distance` bytes (up when positive) and corrects every line pointer at or below
 * it.
 */
function slideItems(page: Buffer, offset: number, distance: number, count: number): void {
  const upper = pageUpper(page);
  if (offset > upper) page.copyWithin(upper + distance, upper, offset);
  setPageUpper(page, upper + distance);
  for (let i = 1; i <= count; i++) {
    const pointer = linePointer(page, i);
    if (hasStorage(pointer) && itemOffset(pointer) <= offset) setItemOffset(page, i, itemOffset(pointer) + distance);
  }
}

/** PageIndexTupleDelete: removes one item and its line pointer; later ones move down. */
export function deleteIndexItem(page: Buffer, offsetNumber: number): void {
  checkPagePointers(page);
  const count = lineCount(page);
  const pointer = checkedIndexItem(page, offsetNumber, count);
  const lower = pageLower(page);
  const at = linePosition(offsetNumber);
  page.copyWithin(at, at + LINE_POINTER_SIZE, lower);
  setPageLower(page, lower - LINE_POINTER_SIZE);
  slideItems(page, itemOffset(pointer), maxAlign(itemLength(pointer)), count - 1);
}

/** PageIndexTupleDeleteNoCompact: removes one item; its line pointer becomes unused, or goes when it is the last. */
export function deleteIndexItemKeepLine(page: Buffer, offsetNumber: number): void {
  checkPagePointers(page);
  const count = lineCount(page);
  const pointer = checkedIndexItem(page, offsetNumber, count);
  let left = count;
  if (offsetNumber < count) {
    setLinePointer(page, offsetNumber, 0, LP_UNUSED, 0);
  } else {
    setPageLower(page, pageLower(page) - LINE_POINTER_SIZE);
    left--;
  }
  slideItems(page, itemOffset(pointer), maxAlign(itemLength(pointer)), left);
}

/**
 * PageIndexMultiDelete: removes several items, given in ascending order. Up to two are removed one by one, last first,
 * as the writer does: the two ways leave the remaining items in a different physical order.
 */
export function deleteIndexItems(page: Buffer, offsetNumbers: readonly number[]): void {
  if (offsetNumbers.length <= 2) {
    for (let i = offsetNumbers.length - 1; i >= 0; i--) deleteIndexItem(page, offsetNumbers[i] ?? 0);
    return;
  }
  checkPagePointers(page);
  const count = lineCount(page);
  const kept: number[] = [];
  let next = 0;
  for (let i = 1; i <= count; i++) {
    const pointer = checkedIndexItem(page, i, count);
    if (next < offsetNumbers.length && offsetNumbers[next] === i) next++;
    else kept.push(pointer);
  }
  if (next !== offsetNumbers.length) {
    throw new PageLayoutError(`offsets to delete are not in order or beyond ${count}: ${offsetNumbers.join(', ')}`);
  }
  for (let i = 0; i < kept.length; i++) page.writeUInt32LE(kept[i] ?? 0, linePosition(i + 1));
  setPageLower(page, PAGE_HEADER_SIZE + kept.length * LINE_POINTER_SIZE);
  compactItems(page, kept.length);
}

/**
 * PageIndexTupleOverwrite: replaces an item by one of another size at the same offset number. Throws PageLayoutError
 * when it does not fit.
 */
export function overwriteIndexItem(page: Buffer, offsetNumber: number, item: Uint8Array): void {
  checkPagePointers(page);
  const count = lineCount(page);
  const pointer = checkedIndexItem(page, offsetNumber, count);
  const grown = maxAlign(item.length) - maxAlign(itemLength(pointer));
  if (grown > pageUpper(page) - pageLower(page)) {
    throw new PageLayoutError(`cannot overwrite item ${offsetNumber}: ${item.length} bytes do not fit`);
  }
  if (grown !== 0) slideItems(page, itemOffset(pointer), -grown, count);
  const moved = linePointer(page, offsetNumber);
  setLinePointer(page, offsetNumber, itemOffset(moved), itemFlags(moved), item.length);
  page.set(item, itemOffset(moved));
}

/** Copy of the item area while it is rewritten; redo is synchronous, so one is enough. */
const scratch = Buffer.alloc(PAGE_SIZE);

/**
 * compactify_tuples: closes the gaps between items and sets pd_upper. Items end up in line-pointer order, the first
 * highest, which is what both of PostgreSQL's code paths for it come to.
 */
function compactItems(page: Buffer, count: number): void {
  const special = pageSpecial(page);
  const oldUpper = pageUpper(page);
  let upper = special;
  let copied = false;
  for (let i = 1; i <= count; i++) {
    const pointer = linePointer(page, i);
    if (!hasStorage(pointer)) continue;
    const offset = itemOffset(pointer);
    const length = maxAlign(itemLength(pointer));
    upper -= length;
    if (offset === upper) continue;
    if (!copied) {
      page.copy(scratch, oldUpper, oldUpper, special);
      copied = true;
    }
    if (upper < pageLower(page)) throw new PageLayoutError('items are larger than the page they are on');
    scratch.copy(page, upper, offset, offset + length);
    setItemOffset(page, i, upper);
  }
  setPageUpper(page, upper);
}
