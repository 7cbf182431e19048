/**
 * The header every relation page starts with (storage/bufpage.h, PageHeaderData), read and written in place.
 *
 *   0 pd_lsn (u32 high, u32 low)   8 pd_checksum u16   10 pd_flags u16   12 pd_lower u16   14 pd_upper u16
 *   16 pd_special u16              18 pd_pagesize_version u16            20 pd_prune_xid u32    24 line pointers
 *
 * `pd_lower` is the end of the line pointers, `pd_upper` the start of the items, `pd_special` the start of the special
 * space; all are byte offsets. Invariant of a sane page: 24 <= lower <= upper <= special <= 8192.
 */
export const PAGE_SIZE = 8192;
export const PAGE_HEADER_SIZE = 24;

const PD_FLAGS = 10;
const PD_LOWER = 12;
const PD_UPPER = 14;
const PD_SPECIAL = 16;
const PD_PAGESIZE_VERSION = 18;
const PD_PRUNE_XID = 20;

/** Page size 8192 with layout version 4 in the low byte (PG_PAGE_LAYOUT_VERSION). */
const PAGE_SIZE_AND_VERSION = PAGE_SIZE | 4;

export const PD_HAS_FREE_LINES = 0x0001;
export const PD_PAGE_FULL = 0x0002;
export const PD_ALL_VISIBLE = 0x0004;

/** A page does not hold what a record says it must, or its header contradicts itself. The dispatcher adds the LSN and page. */
export class PageLayoutError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'PageLayoutError';
  }
}

/** MAXALIGN: rounds up to PostgreSQL's maximum alignment, 8 bytes. */
export function maxAlign(length: number): number {
  return (length + 7) & ~7;
}

/** End of the record that changed the page last (pd_lsn). */
export function getPageLsn(page: Buffer): bigint {
  return (BigInt(page.readUInt32LE(0)) << 32n) | BigInt(page.readUInt32LE(4));
}

export function setPageLsn(page: Buffer, endLsn: bigint): void {
  page.writeUInt32LE(Number(endLsn >> 32n), 0);
  page.writeUInt32LE(Number(endLsn & 0xffff_ffffn), 4);
}

/** PageIsNew: a page that was extended, or never written, has pd_upper 0. */
export function isNewPage(page: Buffer): boolean {
  return page.readUInt16LE(PD_UPPER) === 0;
}

/** PageInit: empties the page and reserves `specialSize` bytes (rounded up to 8) at its end. */
export function initPage(page: Buffer, specialSize: number): void {
  const special = PAGE_SIZE - maxAlign(specialSize);
  page.fill(0);
  page.writeUInt16LE(PAGE_HEADER_SIZE, PD_LOWER);
  page.writeUInt16LE(special, PD_UPPER);
  page.writeUInt16LE(special, PD_SPECIAL);
  page.writeUInt16LE(PAGE_SIZE_AND_VERSION, PD_PAGESIZE_VERSION);
}

export function pageFlags(page: Buffer): number {
  return page.readUInt16LE(PD_FLAGS);
}

export function setPageFlags(page: Buffer, flags: number): void {
  page.writeUInt16LE(flags, PD_FLAGS);
}

export function pageLower(page: Buffer): number {
  return page.readUInt16LE(PD_LOWER);
}

export function setPageLower(page: Buffer, lower: number): void {
  page.writeUInt16LE(lower, PD_LOWER);
}

export function pageUpper(page: Buffer): number {
  return page.readUInt16LE(PD_UPPER);
}

export function setPageUpper(page: Buffer, upper: number): void {
  page.writeUInt16LE(upper, PD_UPPER);
}

/** Byte offset of the special space; 8192 when there is none. */
export function pageSpecial(page: Buffer): number {
  return page.readUInt16LE(PD_SPECIAL);
}

export function pruneXid(page: Buffer): number {
  return page.readUInt32LE(PD_PRUNE_XID);
}

export function setPruneXid(page: Buffer, xid: number): void {
  page.writeUInt32LE(xid, PD_PRUNE_XID);
}

/** PageSetPrunable: keeps the older of the page's and the given xid, in wrap-around order. */
export function setPrunable(page: Buffer, xid: number): void {
  const current = pruneXid(page);
  if (current < 3 || ((xid - current) | 0) < 0) setPruneXid(page, xid);
}

/** Throws PageLayoutError when the header's pointers are out of order; every item operation relies on it. */
export function checkPagePointers(page: Buffer): void {
  const lower = pageLower(page);
  const upper = pageUpper(page);
  const special = pageSpecial(page);
  if (lower < PAGE_HEADER_SIZE || lower > upper || upper > special || special > PAGE_SIZE) {
    throw new PageLayoutError(`corrupted page pointers: lower = ${lower}, upper = ${upper}, special = ${special}`);
  }
}

/** PageGetExactFreeSpace: bytes between the line pointers and the items, no room for a line pointer set aside. */
export function exactFreeSpace(page: Buffer): number {
  return Math.max(0, pageUpper(page) - pageLower(page));
}

/** PageGetFreeSpace: bytes free for one more item, its line pointer already set aside. */
export function freeSpace(page: Buffer): number {
  return Math.max(0, pageUpper(page) - pageLower(page) - 4);
}
