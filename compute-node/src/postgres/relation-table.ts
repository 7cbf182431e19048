/**
 * What the volume holds of each relation, for the shim: it makes a relation's files when PostgreSQL first names one
 * (compute-node/native/relations.c), so that a start costs the same with ten relations or a hundred thousand.
 *
 * File, little-endian: 0 magic 'AREL' u32, 4 bytes of an entry u32, 8 count u32, 12 zero u32, then entries of 32 bytes,
 * ascending by tablespace, database, relation:
 *
 * | offset | type | field                                                                              |
 * | ------ | ---- | ---------------------------------------------------------------------------------- |
 * | 0      | u32  | tablespace                                                                         |
 * | 4      | u32  | database, 0 for global                                                             |
 * | 8      | u32  | relfilenumber                                                                      |
 * | 12     | u32  | local: 0 as written here; 1 once its files were made: the directory decides then   |
 * | 16     | u32  | blocks of the main fork; 0xFFFFFFFF in this and the next two: there is no such fork |
 * | 20     | u32  | blocks of the visibility map                                                       |
 * | 24     | u32  | blocks of the init fork: an unlogged relation, which starts as a copy of it        |
 * | 28     | u32  | 0                                                                                  |
 *
 * Free-space maps are left out: PostgreSQL makes them anew where there are none; they are hints.
 */
import type { ForkSize } from '@kube-aurora/redo';

/** Its name in the data directory: it lives and goes with it. */
export const RELATION_TABLE_FILE = 'volume_relations';

const MAGIC = 0x4c455241;
const HEADER_BYTES = 16;
const ENTRY_BYTES = 32;
const NO_FORK = 0xffff_ffff;
const FREE_SPACE_MAP = 1;
/** Of a fork's blocks within an entry, by fork. */
const BLOCKS_AT: readonly number[] = [16, -1, 20, 24];

/** @param forks ordered by tablespace, database, relation, as RelationTable.forks gives them */
export function encodeRelationTable(forks: Iterable<ForkSize>): Buffer {
  let bytes = Buffer.alloc(HEADER_BYTES + 1024 * ENTRY_BYTES);
  let at = HEADER_BYTES;
  let last: ForkSize | undefined;
  for (const fork of forks) {
    if (fork.fork === FREE_SPACE_MAP) continue;
    if (last?.relNumber !== fork.relNumber || last.dbOid !== fork.dbOid || last.spcOid !== fork.spcOid) {
      if (last !== undefined) at += ENTRY_BYTES;
      if (at + ENTRY_BYTES > bytes.length) bytes = Buffer.concat([bytes], bytes.length * 2);
      bytes.writeUInt32LE(fork.spcOid, at);
      bytes.writeUInt32LE(fork.dbOid, at + 4);
      bytes.writeUInt32LE(fork.relNumber, at + 8);
      for (const offset of BLOCKS_AT) if (offset > 0) bytes.writeUInt32LE(NO_FORK, at + offset);
      last = fork;
    }
    bytes.writeUInt32LE(fork.blocks, at + (BLOCKS_AT[fork.fork] ?? 0));
  }
  const end = last === undefined ? HEADER_BYTES : at + ENTRY_BYTES;
  bytes.writeUInt32LE(MAGIC, 0);
  bytes.writeUInt32LE(ENTRY_BYTES, 4);
  bytes.writeUInt32LE((end - HEADER_BYTES) / ENTRY_BYTES, 8);
  return bytes.subarray(0, end);
}
