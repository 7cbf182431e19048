import { SLRU_FORK, SLRU_KINDS, type SlruName } from '../page-key.ts';
import { spaceOf } from '../page-space.ts';
import type { TouchedPage } from '../contract.ts';

/**
 * Page arithmetic of the SLRUs (access/transam/clog.c, multixact.c, commit_ts.c). Files hold 32 pages each; pages have
 * no header and no LSN.
 */
export const SLRU_PAGES_PER_SEGMENT = 32;

/** pg_xact: two bits a transaction. */
export const XIDS_PER_XACT_PAGE = 8192 * 4;
/** pg_multixact/offsets: u32 an id. */
export const OFFSETS_PER_PAGE = 2048;
/** pg_multixact/members: groups of 4 flag bytes and 4 xids (20 bytes), 409 to a page. */
export const MEMBER_GROUP_SIZE = 20;
export const MEMBERS_PER_GROUP = 4;
export const MEMBERS_PER_PAGE = 409 * MEMBERS_PER_GROUP;
/** pg_commit_ts: i64 time and u16 origin, 10 bytes a transaction. */
export const COMMIT_TS_ENTRY_SIZE = 10;
export const COMMIT_TS_PER_PAGE = 819;

export function xactPage(xid: number): number {
  return Math.floor(xid / XIDS_PER_XACT_PAGE);
}

export function offsetsPage(multi: number): number {
  return Math.floor(multi / OFFSETS_PER_PAGE);
}

export function membersPage(offset: number): number {
  return Math.floor(offset / MEMBERS_PER_PAGE);
}

export function commitTsPage(xid: number): number {
  return Math.floor(xid / COMMIT_TS_PER_PAGE);
}

/** Multixact ids skip 0 when they wrap around. */
export function nextMulti(multi: number): number {
  return multi === 0xffff_ffff ? 1 : multi + 1;
}

/** Member offsets skip 0 when they wrap around: 0 means "not set". */
export function nextMembersOffset(offset: number, members: number): number {
  const next = (offset + members) >>> 0;
  return next === 0 ? 1 : next;
}

/** First page of the segment that holds `page`: whole segments are deleted, never single pages. */
export function segmentStart(page: number): number {
  return page - (page % SLRU_PAGES_PER_SEGMENT);
}

/** Highest page number there can be, before numbers wrap around to 0. */
export const SLRU_MAX_PAGE: Readonly<Record<SlruName, number>> = {
  pg_xact: xactPage(0xffff_ffff),
  'pg_multixact/offsets': offsetsPage(0xffff_ffff),
  'pg_multixact/members': membersPage(0xffff_ffff),
  pg_commit_ts: commitTsPage(0xffff_ffff),
};

/** The space that an SLRU's pages are in. */
export function slruSpace(slru: SlruName): string {
  return spaceOf(0, SLRU_KINDS[slru], 0, SLRU_FORK);
}

/** How a record names an SLRU page it touches. */
export function slruPage(slru: SlruName, block: number, replaces: boolean): TouchedPage {
  return {
    space: slruSpace(slru),
    spcOid: 0,
    dbOid: SLRU_KINDS[slru],
    relNumber: 0,
    fork: SLRU_FORK,
    block,
    blockIndex: undefined,
    replaces,
  };
}
