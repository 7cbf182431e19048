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
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '@kube-aurora/process';
import { PACKED_FORK } from '@kube-aurora/redo';
import type { UntouchedFork } from '../read-path/first-touch.ts';

/** Its name in the data directory: it lives and goes with it. */
export const RELATION_TABLE_FILE = 'volume_relations';

const MAGIC = 0x4c455241;
const NO_FORK = 0xffff_ffff;
const FREE_SPACE_MAP = 1;
/** In numbers of 32 bits: the header, an entry, and where the blocks begin in one; where they stand, by fork. */
const HEADER = 4;
const ENTRY = 8;
const BLOCKS = 4;
const BLOCKS_AT: readonly number[] = [BLOCKS, 0, BLOCKS + 1, BLOCKS + 2];
const LOCAL = 3;
const MAIN_FORK = 0;
const VISIBILITY_MAP = 2;

/** @param forks as RelationTable.packed gives them */
export function encodeRelationTable(forks: Uint32Array): Buffer {
  // As numbers of 32 bits, little-endian like the host that PostgreSQL shares: a hundred thousand relations take
  // milliseconds.
  const table = new Uint32Array(HEADER + (forks.length / PACKED_FORK) * ENTRY);
  let next = HEADER;
  for (let at = 0; at < forks.length; at += PACKED_FORK) {
    const fork = forks[at + 3] ?? FREE_SPACE_MAP;
    if (fork === FREE_SPACE_MAP) continue;
    const last = next - ENTRY;
    const same = last >= HEADER && table[last] === forks[at] && table[last + 1] === forks[at + 1] && table[last + 2] === forks[at + 2];
    if (!same) {
      table.set(forks.subarray(at, at + 3), next);
      table.fill(NO_FORK, next + BLOCKS, next + BLOCKS + 3);
      next += ENTRY;
    }
    table[next - ENTRY + (BLOCKS_AT[fork] ?? 0)] = forks[at + 4] ?? 0;
  }
  table.set([MAGIC, ENTRY * 4, (next - HEADER) / ENTRY, 0]);
  return Buffer.from(table.buffer, 0, next * 4);
}

/** Main forks and visibility maps of one database that nobody has named yet, by the table as it is in its file now. */
export function untouchedForks(table: Buffer, spcOid: number, dbOid: number): UntouchedFork[] {
  const numbers = new Uint32Array(table.buffer, table.byteOffset, Math.floor(table.length / 4));
  const found: UntouchedFork[] = [];
  for (let at = HEADER; at + ENTRY <= numbers.length; at += ENTRY) {
    if (numbers[at] !== spcOid || numbers[at + 1] !== dbOid || numbers[at + LOCAL] !== 0) continue;
    const relNumber = numbers[at + 2] ?? 0;
    for (const fork of [MAIN_FORK, VISIBILITY_MAP]) {
      const blocks = numbers[at + (BLOCKS_AT[fork] ?? 0)] ?? NO_FORK;
      if (blocks !== NO_FORK) found.push({ relNumber, fork, blocks });
    }
  }
  return found;
}

/** The same from a data directory. They are read ahead or not: where the table cannot be read there are none. */
export function readUntouchedForks(
  dataDir: string,
  logger: Logger,
): (database: { readonly spcOid: number; readonly dbOid: number }) => Promise<UntouchedFork[]> {
  return async ({ spcOid, dbOid }) => {
    try {
      return untouchedForks(await readFile(join(dataDir, RELATION_TABLE_FILE)), spcOid, dbOid);
    } catch (error) {
      logger.warn({ err: error, file: RELATION_TABLE_FILE }, 'cannot read which relations there are, reads nothing of them ahead');
      return [];
    }
  };
}
