/** Test fixture: reads the table that the shim makes relation files from (relation-table.ts). */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { RELATION_TABLE_FILE } from './relation-table.ts';

export interface TableEntry {
  readonly spcOid: number;
  readonly dbOid: number;
  readonly relNumber: number;
  /** 1 once the shim has made its files. */
  readonly local: number;
  /** Of main fork, visibility map and init fork; 0xFFFFFFFF: none. */
  readonly blocks: readonly number[];
}

export function readRelationTable(dataDir: string): TableEntry[] {
  const bytes = readFileSync(join(dataDir, RELATION_TABLE_FILE));
  const entries: TableEntry[] = [];
  for (let at = 16; at < bytes.length; at += 32) {
    const [spcOid, dbOid, relNumber, local, ...blocks] = Array.from({ length: 7 }, (_, i) => bytes.readUInt32LE(at + i * 4));
    entries.push({ spcOid: spcOid ?? 0, dbOid: dbOid ?? 0, relNumber: relNumber ?? 0, local: local ?? 0, blocks });
  }
  if (entries.length !== bytes.readUInt32LE(8)) throw new Error(`${entries.length} entries, the table says ${bytes.readUInt32LE(8)}`);
  return entries;
}
