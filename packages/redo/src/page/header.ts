import { PAGE_BYTES, PAGE_FLAG, PAGE_HEADER, PAGE_HEADER_BYTES } from '@kube-aurora/pg-format';

/**
 * The header every relation page starts with (PAGE_HEADER in pg-format), read and written in place.
 *
 * `pd_lower` is the end of the line pointers, `pd_upper` the start of the items, `pd_special` the start of the special
 * space; all are byte offsets. Invariant of a sane page: 24 <= lower <= upper <= special <= 8192.
 */
export { initPage, pageIsNew as isNewPage, pageLsn as getPageLsn, setPageLsn } from '@kube-aurora/pg-format';

export const PAGE_SIZE = PAGE_BYTES;
export const PAGE_HEADER_SIZE = PAGE_HEADER_BYTES;
export const PD_HAS_FREE_LINES = PAGE_FLAG.HAS_FREE_LINES;
export const PD_PAGE_FULL = PAGE_FLAG.PAGE_FULL;
export const PD_ALL_VISIBLE = PAGE_FLAG.ALL_VISIBLE;

const PD_FLAGS = PAGE_HEADER.flags.at;
const PD_LOWER = PAGE_HEADER.lower.at;
const PD_UPPER = PAGE_HEADER.upper.at;
const PD_SPECIAL = PAGE_HEADER.special.at;
const PD_PRUNE_XID = PAGE_HEADER.pruneXid.at;

/**
 * A page does not hold what a record says it must, or its header contradicts itself. The dispatcher adds the LSN and
 * page.
 */
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

export function setPruneXid(page: Buffer, xid: number): void {
  page.writeUInt32LE(xid, PD_PRUNE_XID);
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
