/**
 * What ALTER DATABASE … SET TABLESPACE leaves when the server dies in it. PostgreSQL copies the database's directory,
 * commits, removes the old directory and only then logs that, without waiting for the log. On one disk the removal
 * itself lasts; a volume has nothing but the log, and the directory that was moved away would come back with all its
 * relations: the way back would fail for ever ("already in tablespace"), and its tablespace could not be dropped.
 *
 * The database's row in pg_database says where it lives. Another directory that looks like a whole database is the copy
 * that was given up, or the original that was left. It is dropped at the next opening, before anybody can put anything
 * into it.
 */
import {
  HEAP_INFOMASK,
  HEAP_TUPLE_HEADER,
  ITEM_ID_FLAG,
  itemCount,
  itemIdAt,
  itemIdFlags,
  itemIdLength,
  itemIdOffset,
  PAGE_BYTES,
  pageIsNew,
  type RelFork,
} from '@kube-aurora/pg-format';
import {
  type DatabaseDirectory,
  directoryKey,
  encodePageKey,
  type ForkSize,
  PACKED_FORK,
  SLRU_FORK,
  SLRU_KINDS,
  type VolumeState,
} from '@kube-aurora/redo';

const GLOBAL_TABLESPACE = 1664;
const PG_DATABASE = 1262;
/** Within a row of pg_database: oid and dattablespace. All columns up to it have a fixed width and are never null. */
const OID_AT = 0;
const TABLESPACE_AT = 92;
const XIDS_PER_PAGE = PAGE_BYTES * 4;
const XID_COMMITTED = 1;
const FIRST_NORMAL_XID = 3;

export interface Leftovers {
  /** Certainly what a move left. */
  readonly dropped: readonly DatabaseDirectory[];
  /** Not where the database lives, but with relations that it does not have there: left alone. */
  readonly doubtful: readonly DatabaseDirectory[];
}

/** Databases with more than one directory that has a relation map: a table in another tablespace makes none. */
export function databasesInTwoPlaces(state: VolumeState): Set<number> {
  const seen = new Set<number>();
  const twice = new Set<number>();
  for (const { dbOid } of ownDirectories(state)) (seen.has(dbOid) ? twice : seen).add(dbOid);
  return twice;
}

/**
 * Which directories to drop, given where each database lives.
 *
 * Invariant: nothing is dropped that is not in the database's own directory too. While a database is moved nobody can
 * be connected to it, and whatever is committed after the move is in the log after its end; so what a death in the
 * middle leaves is the same set of files twice. Where it is not, something else has happened.
 */
export function leftoverDirectories(state: VolumeState, homes: ReadonlyMap<number, number>): Leftovers {
  const dropped: DatabaseDirectory[] = [];
  const doubtful: DatabaseDirectory[] = [];
  const relations = relationsByDirectory(state);
  const twice = databasesInTwoPlaces(state);
  for (const directory of ownDirectories(state)) {
    const { spcOid, dbOid } = directory;
    const home = homes.get(dbOid);
    if (!twice.has(dbOid) || home === spcOid) continue;
    const atHome = home === undefined ? undefined : relations.get(directoryKey({ spcOid: home, dbOid }));
    const here = relations.get(directoryKey(directory)) ?? new Set<number>();
    (atHome !== undefined && [...here].every((relation) => atHome.has(relation)) ? dropped : doubtful).push(directory);
  }
  return { dropped, doubtful };
}

function ownDirectories(state: VolumeState): DatabaseDirectory[] {
  return [...state.databases].filter(([key]) => state.relationMaps.has(key)).map(([, directory]) => directory);
}

function relationsByDirectory(state: VolumeState): Map<string, Set<number>> {
  const found = new Map<string, Set<number>>();
  const packed = state.relations.packed();
  for (let at = 0; at < packed.length; at += PACKED_FORK) {
    const key = directoryKey({ spcOid: packed[at] ?? 0, dbOid: packed[at + 1] ?? 0 });
    const relations = found.get(key);
    if (relations === undefined) found.set(key, new Set([packed[at + 2] ?? 0]));
    else relations.add(packed[at + 2] ?? 0);
  }
  return found;
}

/**
 * pg_database's main fork. A relation map (utils/cache/relmapper.c) is 0 magic, 4 count i32, then pairs of a catalog's
 * oid and its relfilenumber, u32 each.
 */
export function pgDatabaseFork(state: VolumeState): ForkSize | undefined {
  const map = state.relationMaps.get(directoryKey({ spcOid: GLOBAL_TABLESPACE, dbOid: 0 }))?.image;
  for (let i = 0; map !== undefined && i < map.readInt32LE(4); i++) {
    if (map.readUInt32LE(8 + i * 8) !== PG_DATABASE) continue;
    const fork: RelFork = { spcOid: GLOBAL_TABLESPACE, dbOid: 0, relNumber: map.readUInt32LE(12 + i * 8), fork: 0 };
    return { ...fork, blocks: state.relations.blocks(fork) ?? 0 };
  }
  return undefined;
}

/**
 * The tablespace that each database lives in, from the pages of pg_database. Databases whose row is in doubt are left
 * out.
 */
export function databaseHomes(pages: Buffer, isCommitted: (xid: number) => boolean): Map<number, number> {
  const homes = new Map<number, number>();
  const twice = new Set<number>();
  for (let at = 0; at < pages.length; at += PAGE_BYTES) {
    const page = pages.subarray(at, at + PAGE_BYTES);
    if (pageIsNew(page)) continue;
    for (let item = 1; item <= itemCount(page); item++) {
      const word = page.readUInt32LE(itemIdAt(item));
      if (itemIdFlags(word) !== ITEM_ID_FLAG.NORMAL) continue;
      const tuple = page.subarray(itemIdOffset(word), itemIdOffset(word) + itemIdLength(word));
      if (!isVisible(tuple, isCommitted)) continue;
      const row = tuple.subarray(tuple.readUInt8(HEAP_TUPLE_HEADER.hoff.at));
      const dbOid = row.readUInt32LE(OID_AT);
      if (homes.has(dbOid)) twice.add(dbOid);
      homes.set(dbOid, row.readUInt32LE(TABLESPACE_AT));
    }
  }
  for (const dbOid of twice) homes.delete(dbOid);
  return homes;
}

/** Whether everybody sees the row once no transaction runs. */
function isVisible(tuple: Buffer, isCommitted: (xid: number) => boolean): boolean {
  const mask = tuple.readUInt16LE(HEAP_TUPLE_HEADER.infomask.at);
  const has = (bit: number): boolean => (mask & bit) !== 0;
  // Both bits together are a frozen row.
  const inserted = has(HEAP_INFOMASK.XMIN_COMMITTED) || (!has(HEAP_INFOMASK.XMIN_INVALID) && isCommitted(tuple.readUInt32LE(0)));
  if (!inserted || has(HEAP_INFOMASK.XMAX_INVALID) || has(HEAP_INFOMASK.XMAX_LOCK_ONLY)) return inserted;
  // Several lockers and perhaps an updater: the newer version of the row then counts as well, and the database is in
  // doubt.
  if (has(HEAP_INFOMASK.XMAX_IS_MULTI)) return true;
  return !isCommitted(tuple.readUInt32LE(HEAP_TUPLE_HEADER.xmax.at));
}

/**
 * Asks pg_xact as the compute image has it: two bits a transaction. What is older than its first page was committed.
 */
export function committedIn(slruPages: ReadonlyMap<string, Buffer>): (xid: number) => boolean {
  return (xid) => {
    if (xid < FIRST_NORMAL_XID) return xid !== 0;
    const page = { spcOid: 0, dbOid: SLRU_KINDS.pg_xact, relNumber: 0, fork: SLRU_FORK, block: Math.floor(xid / XIDS_PER_PAGE) };
    const bytes = slruPages.get(encodePageKey(page).toString('hex'));
    if (bytes === undefined) return true;
    return ((bytes.readUInt8(Math.floor((xid % XIDS_PER_PAGE) / 4)) >> ((xid % 4) * 2)) & 3) === XID_COMMITTED;
  };
}
