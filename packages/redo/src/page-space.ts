import type { PageKey } from '@kube-aurora/redo-engine';
import { encodePageKey, type PageId } from './page-key.ts';

/**
 * The spaces of storage's page keys: a space is a relation's fork, or an SLRU. Its bytes are those of `encodePageKey`
 * without the block: tablespace, database, relation (u32, big-endian), fork (u8).
 */
const SPACE_BYTES = 13;
/**
 * How many of a space's bytes are the same for all of a relation's forks, and for all of a database in a tablespace.
 */
const RELATION_BYTES = 12;
const DATABASE_BYTES = 8;

/**
 * Spaces that were made before, so that a record's page costs no new string, and the maps that are keyed by it find it
 * by identity. Forgotten when there are very many; another string of the same characters is the same space.
 */
const INTERNED_MAX = 65_536;
const INTERNED = new Map<number, Interned[]>();
let internedCount = 0;
let last: Interned = { spcOid: -1, dbOid: -1, relNumber: -1, fork: -1, space: '' };

interface Interned extends Omit<PageId, 'block'> {
  readonly space: string;
}

/** The space of a relation's fork. */
export function spaceOf(spcOid: number, dbOid: number, relNumber: number, fork: number): string {
  if (last.relNumber === relNumber && last.fork === fork && last.dbOid === dbOid && last.spcOid === spcOid) return last.space;
  const candidates = INTERNED.get(relNumber);
  if (candidates !== undefined) {
    for (const one of candidates) {
      if (one.fork === fork && one.dbOid === dbOid && one.spcOid === spcOid) {
        last = one;
        return one.space;
      }
    }
  }
  return intern({ spcOid, dbOid, relNumber, fork });
}

function intern(of: Omit<PageId, 'block'>): string {
  if (internedCount >= INTERNED_MAX) {
    INTERNED.clear();
    internedCount = 0;
  }
  const one: Interned = { ...of, space: encodePageKey({ ...of, block: 0 }).toString('latin1', 0, SPACE_BYTES) };
  const candidates = INTERNED.get(of.relNumber);
  if (candidates === undefined) INTERNED.set(of.relNumber, [one]);
  else candidates.push(one);
  internedCount++;
  last = one;
  return one.space;
}

/** What the spaces of all forks of a relation begin with. */
export function relationSpaces({ spcOid, dbOid, relNumber }: Omit<PageId, 'block' | 'fork'>): string {
  return spaceOf(spcOid, dbOid, relNumber, 0).slice(0, RELATION_BYTES);
}

/** What the spaces of all relations of a database in one tablespace begin with. */
export function databaseSpaces({ spcOid, dbOid }: Pick<PageId, 'spcOid' | 'dbOid'>): string {
  return spaceOf(spcOid, dbOid, 0, 0).slice(0, DATABASE_BYTES);
}

export function pageKeyOf({ spcOid, dbOid, relNumber, fork, block }: PageId): PageKey {
  return { space: spaceOf(spcOid, dbOid, relNumber, fork), block };
}

/** Inverse of {@link pageKeyOf}; undefined when the space is none of PostgreSQL's. */
export function pageIdOf({ space, block }: PageKey): PageId | undefined {
  if (space.length !== SPACE_BYTES) return undefined;
  const bytes = Buffer.from(space, 'latin1');
  return {
    spcOid: bytes.readUInt32BE(0),
    dbOid: bytes.readUInt32BE(4),
    relNumber: bytes.readUInt32BE(8),
    fork: bytes.readUInt8(12),
    block,
  };
}
