import type { Lsn } from './lsn.ts';
import type { Layout } from './struct.ts';

/**
 * Layout of relation pages (storage/bufpage.h, storage/itemid.h): header, line pointers, free space, tuples, special.
 */
export const PAGE_BYTES = 8192;
export const PAGE_HEADER_BYTES = 24;

/** PageHeaderData. pd_lsn is two u32, the high half first. */
export const PAGE_HEADER = {
  lsnHigh: { type: 'u32', at: 0 },
  lsnLow: { type: 'u32', at: 4 },
  checksum: { type: 'u16', at: 8 },
  flags: { type: 'u16', at: 10 },
  /** Offsets: start of free space, its end, start of the special area. */
  lower: { type: 'u16', at: 12 },
  upper: { type: 'u16', at: 14 },
  special: { type: 'u16', at: 16 },
  /** Page size plus layout version, 0x2004. */
  pageSizeVersion: { type: 'u16', at: 18 },
  pruneXid: { type: 'u32', at: 20 },
} as const satisfies Layout;

/** pd_flags. */
export const PAGE_FLAG = { HAS_FREE_LINES: 0x0001, PAGE_FULL: 0x0002, ALL_VISIBLE: 0x0004 } as const;
export const PAGE_SIZE_AND_VERSION = PAGE_BYTES | 4;

/** pd_lsn: EndRecPtr of the record that changed the page last. 0 on a page that never was logged. */
export function pageLsn(page: Buffer): Lsn {
  const high = page.readUInt32LE(PAGE_HEADER.lsnHigh.at);
  const low = page.readUInt32LE(PAGE_HEADER.lsnLow.at);
  // Exact as a number below 2^53; one bigint instead of three.
  if (high < 0x20_0000) return BigInt(high * 0x1_0000_0000 + low) as Lsn;
  return ((BigInt(high) << 32n) | BigInt(low)) as Lsn;
}

export function setPageLsn(page: Buffer, position: Lsn): void {
  page.writeUInt32LE(Number(position >> 32n), PAGE_HEADER.lsnHigh.at);
  page.writeUInt32LE(Number(position & 0xffff_ffffn), PAGE_HEADER.lsnLow.at);
}

/** PageIsNew: never initialised (pd_upper is 0). Such a page has no LSN. */
export function pageIsNew(page: Buffer): boolean {
  return page.readUInt16LE(PAGE_HEADER.upper.at) === 0;
}

/** PageInit: makes an empty page with a special area of `specialBytes`, rounded up to 8. */
export function initPage(page: Buffer, specialBytes: number): void {
  const special = PAGE_BYTES - ((specialBytes + 7) & ~7);
  page.fill(0, 0, PAGE_BYTES);
  page.writeUInt16LE(PAGE_HEADER_BYTES, PAGE_HEADER.lower.at);
  page.writeUInt16LE(special, PAGE_HEADER.upper.at);
  page.writeUInt16LE(special, PAGE_HEADER.special.at);
  page.writeUInt16LE(PAGE_SIZE_AND_VERSION, PAGE_HEADER.pageSizeVersion.at);
}

/** A line pointer is one u32: offset 15 bits, flags 2, length 15. */
export const ITEM_ID_BYTES = 4;
export const ITEM_ID_FLAG = { UNUSED: 0, NORMAL: 1, REDIRECT: 2, DEAD: 3 } as const;

/** Where line pointer `number` stands in the page. Numbers (OffsetNumber) start at 1. */
export function itemIdAt(number: number): number {
  return PAGE_HEADER_BYTES + (number - 1) * ITEM_ID_BYTES;
}

/** PageGetMaxOffsetNumber: how many line pointers the page has. */
export function itemCount(page: Buffer): number {
  const lower = page.readUInt16LE(PAGE_HEADER.lower.at);
  return lower <= PAGE_HEADER_BYTES ? 0 : Math.floor((lower - PAGE_HEADER_BYTES) / ITEM_ID_BYTES);
}

export function itemIdOffset(word: number): number {
  return word & 0x7fff;
}

export function itemIdFlags(word: number): number {
  return (word >>> 15) & 0x3;
}

export function itemIdLength(word: number): number {
  return word >>> 17;
}

export function packItemId(offset: number, flags: number, length: number): number {
  return (offset | (flags << 15) | (length << 17)) >>> 0;
}
