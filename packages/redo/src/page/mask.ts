import {
  PAGE_HEADER_SIZE,
  PAGE_SIZE,
  PageLayoutError,
  PD_ALL_VISIBLE,
  PD_HAS_FREE_LINES,
  PD_PAGE_FULL,
  pageFlags,
  pageLower,
  pageSpecial,
  pageUpper,
  setPageFlags,
  setPruneXid,
} from './header.ts';
import { itemFlags, itemLength, itemOffset, LP_UNUSED, lineCount, linePointer, setLinePointer } from './line-pointer.ts';

/**
 * The parts of a page that may differ between the writer and replay (access/common/bufmask.c). A resource manager's
 * mask applies these to copies of both pages before they are compared.
 */

/** What masked bytes are set to (MASK_MARKER). */
export const MASK_MARKER = 0;

export function maskLsnAndChecksum(page: Buffer): void {
  page.fill(MASK_MARKER, 0, 10);
}

/** pd_prune_xid and the page flags that are hints. */
export function maskHintBits(page: Buffer): void {
  setPruneXid(page, MASK_MARKER);
  setPageFlags(page, pageFlags(page) & ~(PD_PAGE_FULL | PD_HAS_FREE_LINES | PD_ALL_VISIBLE));
}

/** The hole between line pointers and items. Throws PageLayoutError when the header's pointers are out of order. */
export function maskUnusedSpace(page: Buffer): void {
  const lower = pageLower(page);
  const upper = pageUpper(page);
  const special = pageSpecial(page);
  if (lower > upper || special < upper || lower < PAGE_HEADER_SIZE || special > PAGE_SIZE) {
    throw new PageLayoutError(`invalid page: lower = ${lower}, upper = ${upper}, special = ${special}`);
  }
  page.fill(MASK_MARKER, lower, upper);
}

/** Flags of the used line pointers: index scans mark items dead without WAL. */
export function maskLineFlags(page: Buffer): void {
  const count = lineCount(page);
  for (let i = 1; i <= count; i++) {
    const pointer = linePointer(page, i);
    if (itemFlags(pointer) !== LP_UNUSED) setLinePointer(page, i, itemOffset(pointer), LP_UNUSED, itemLength(pointer));
  }
}

/** pd_lower, pd_upper and everything after the header, for pages whose content is gone (deleted pages). */
export function maskContent(page: Buffer): void {
  page.fill(MASK_MARKER, PAGE_HEADER_SIZE);
  page.fill(MASK_MARKER, 12, 16);
}
