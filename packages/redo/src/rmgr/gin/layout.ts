import type { Layout } from '@kube-aurora/pg-format';
import { initPage, PAGE_SIZE, PageLayoutError, setPageLower } from '../../page/index.ts';
import { INVALID_BLOCK } from '../block-data.ts';

/**
 * GIN pages (access/ginblock.h). Every page ends with 8 bytes of GinPageOpaqueData: rightlink u32, maxoff u16, flags
 * u16. Entry-tree and pending-list pages hold index tuples. Posting-tree pages hold, from byte 24, the right bound (an
 * item pointer in 8 bytes), then from byte 32 compressed posting lists (leaf) or posting items (internal).
 */
export const GIN_SPECIAL_SIZE = 8;
export const GIN_SPECIAL_AT = PAGE_SIZE - GIN_SPECIAL_SIZE;
const RIGHT_LINK_AT = GIN_SPECIAL_AT;
const MAX_OFFSET_AT = GIN_SPECIAL_AT + 4;
const FLAGS_AT = GIN_SPECIAL_AT + 6;

export const GIN_META_AT = 24;
/** sizeof(GinMetaPageData). */
export const GIN_META_SIZE = 56;
/** Posting lists or posting items start here. */
export const GIN_DATA_AT = 32;

export const GIN_DATA = 0x01;
export const GIN_LEAF = 0x02;
export const GIN_DELETED = 0x04;
export const GIN_META = 0x08;
export const GIN_LIST = 0x10;
export const GIN_LIST_FULL_ROW = 0x20;
export const GIN_INCOMPLETE_SPLIT = 0x40;
export const GIN_COMPRESSED = 0x80;

/** Internal posting-tree pages: child block (BlockIdData), then the key (item pointer). */
export const POSTING_ITEM_SIZE = 10;

export const GIN_INSERT_IS_DATA = 0x01;
export const GIN_INSERT_IS_LEAF = 0x02;

export const DELETE_PAGE = {
  parentOffset: { type: 'u16', at: 0 },
  rightLink: { type: 'u32', at: 4 },
  deleteXid: { type: 'u32', at: 8 },
} as const satisfies Layout;

/** ginxlogUpdateMeta: the relation's locator, then GinMetaPageData at 16, then these. */
export const UPDATE_META_METADATA_AT = 16;
export const UPDATE_META = {
  previousTail: { type: 'u32', at: 72 },
  newRightLink: { type: 'u32', at: 76 },
  tuples: { type: 'i32', at: 80 },
} as const satisfies Layout;

export const INSERT_LIST_PAGE = {
  rightLink: { type: 'u32', at: 0 },
  tuples: { type: 'i32', at: 4 },
} as const satisfies Layout;

export function initGinPage(page: Buffer, flags: number): void {
  initPage(page, GIN_SPECIAL_SIZE);
  setRightLink(page, INVALID_BLOCK);
  setGinFlags(page, flags);
}

/** Builds the metapage from a record's copy of GinMetaPageData. */
export function initGinMetaPage(page: Buffer, metadata: Buffer): void {
  initGinPage(page, GIN_META);
  page.set(metadata, GIN_META_AT);
  setPageLower(page, GIN_META_AT + GIN_META_SIZE);
}

export function ginFlags(page: Buffer): number {
  return page.readUInt16LE(FLAGS_AT);
}

export function setGinFlags(page: Buffer, flags: number): void {
  page.writeUInt16LE(flags, FLAGS_AT);
}

export function setRightLink(page: Buffer, block: number): void {
  page.writeUInt32LE(block, RIGHT_LINK_AT);
}

/** Posting items on an internal posting-tree page; heap tuples on a pending-list page. */
export function maxOffset(page: Buffer): number {
  return page.readUInt16LE(MAX_OFFSET_AT);
}

export function setMaxOffset(page: Buffer, count: number): void {
  page.writeUInt16LE(count, MAX_OFFSET_AT);
}

/**
 * GinDataPageSetDataSize: pd_lower marks the end of a posting-tree page's data. Throws when the data cannot be on a
 * page.
 */
export function setDataSize(page: Buffer, bytes: number): void {
  if (GIN_DATA_AT + bytes > GIN_SPECIAL_AT) throw new PageLayoutError(`${bytes} bytes of posting data do not fit a page`);
  setPageLower(page, GIN_DATA_AT + bytes);
}
