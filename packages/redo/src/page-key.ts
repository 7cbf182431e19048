/**
 * Names of the pages a volume holds: blocks of relation forks, and pages of SLRUs (pg_xact and its kin), which are
 * kept and rebuilt in the same way.
 */

/** Pages of SLRUs use `spcOid: 0`, `dbOid: <kind>`, `relNumber: 0`, `fork: SLRU_FORK`, `block: page number`. */
export const SLRU_FORK = 0xf0;
export const SLRU_KINDS = { pg_xact: 1, 'pg_multixact/offsets': 2, 'pg_multixact/members': 3, pg_commit_ts: 4 } as const;
export type SlruName = keyof typeof SLRU_KINDS;

export interface PageId {
  readonly spcOid: number;
  readonly dbOid: number;
  readonly relNumber: number;
  readonly fork: number;
  readonly block: number;
}

/** Bytes of an encoded page key: four big-endian u32 (spc, db, rel, block) with the fork byte before the block. */
export const PAGE_KEY_BYTES = 17;

/** Encodes in an order that sorts by relation, fork, block, so that a relation's pages are one key range. */
export function encodePageKey(page: PageId): Buffer {
  const key = Buffer.allocUnsafe(PAGE_KEY_BYTES);
  key.writeUInt32BE(page.spcOid, 0);
  key.writeUInt32BE(page.dbOid, 4);
  key.writeUInt32BE(page.relNumber, 8);
  key[12] = page.fork;
  key.writeUInt32BE(page.block, 13);
  return key;
}

/** Keys of `count` neighbours, `first` being the first of them: what a request for a run of blocks names. */
export function encodePageKeys(first: PageId, count: number): Buffer[] {
  return Array.from({ length: count }, (_, index) => encodePageKey({ ...first, block: first.block + index }));
}

/** The same as a string, for maps. */
export function pageKeyText(page: PageId): string {
  return encodePageKey(page).toString('latin1');
}

/** Inverse of {@link encodePageKey}. Throws RangeError on a key of the wrong length. */
export function decodePageKey(key: Buffer): PageId {
  if (key.length !== PAGE_KEY_BYTES) throw new RangeError(`page key has ${key.length} bytes, expected ${PAGE_KEY_BYTES}`);
  return {
    spcOid: key.readUInt32BE(0),
    dbOid: key.readUInt32BE(4),
    relNumber: key.readUInt32BE(8),
    fork: key.readUInt8(12),
    block: key.readUInt32BE(13),
  };
}

export function formatPage(page: PageId): string {
  if (page.fork === SLRU_FORK) {
    const name = Object.entries(SLRU_KINDS).find(([, kind]) => kind === page.dbOid)?.[0] ?? `slru ${page.dbOid}`;
    return `${name} page ${page.block}`;
  }
  const fork = ['', '_fsm', '_vm', '_init'][page.fork] ?? `_fork${page.fork}`;
  return `${page.spcOid}/${page.dbOid}/${page.relNumber}${fork} block ${page.block}`;
}
