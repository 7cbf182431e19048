import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import path from 'node:path';
import { decodePgControl, type PgControl } from '@kube-aurora/pg-format';
import { type PageId, SLRU_FORK, SLRU_KINDS } from '../page-key.ts';
import { PAGE_SIZE } from '../page/header.ts';
import { SLRU_PAGES_PER_SEGMENT } from '../slru/layout.ts';
import { addDatabase, addPrepared, emptyVolumeState, setRelationMap, SLRU_NAMES, type VolumeState } from '../state/volume-state.ts';
import { PageStore } from './page-store.ts';

/**
 * Reads PostgreSQL's files after a clean shutdown: where a verification starts, and what it is held against at the end.
 */

const GLOBAL_TABLESPACE = 1664;
const DEFAULT_TABLESPACE = 1663;
const BLOCKS_PER_FILE = 131_072;
const TABLESPACE_VERSION_DIRECTORY = 'PG_18_202506291';
const FORK_SUFFIXES: Readonly<Record<string, number>> = { '': 0, _fsm: 1, _vm: 2, _init: 3 };

export interface StoredPage {
  readonly id: PageId;
  readonly page: Buffer;
}

export function readControl(dataDir: string): PgControl {
  return decodePgControl(readFileSync(path.join(dataDir, 'global/pg_control')));
}

/** Every page of every relation file, in no particular order. Temporary relations are left out. */
export function* relationPages(dataDir: string): Generator<StoredPage> {
  for (const { directory, spcOid, dbOid } of databaseDirectories(dataDir)) {
    for (const file of readdirSync(directory)) {
      const match = /^(\d+)(_fsm|_vm|_init)?(?:\.(\d+))?$/.exec(file);
      if (match === null) continue;
      const fork = FORK_SUFFIXES[match[2] ?? ''] ?? 0;
      yield* filePages(
        path.join(directory, file),
        { spcOid, dbOid, relNumber: Number(match[1]), fork },
        Number(match[3] ?? 0) * BLOCKS_PER_FILE,
      );
    }
  }
}

export function* slruPages(dataDir: string): Generator<StoredPage> {
  for (const slru of SLRU_NAMES) {
    const id = { spcOid: 0, dbOid: SLRU_KINDS[slru], relNumber: 0, fork: SLRU_FORK };
    for (const file of readdirSync(path.join(dataDir, slru)).sort()) {
      if (/^[0-9A-F]{4,}$/.test(file))
        yield* filePages(path.join(dataDir, slru, file), id, Number.parseInt(file, 16) * SLRU_PAGES_PER_SEGMENT);
    }
  }
}

function* filePages(file: string, id: Omit<PageId, 'block'>, firstBlock: number): Generator<StoredPage> {
  const bytes = readFileSync(file);
  for (let i = 0; i * PAGE_SIZE < bytes.length; i++) {
    yield { id: { ...id, block: firstBlock + i }, page: bytes.subarray(i * PAGE_SIZE, (i + 1) * PAGE_SIZE) };
  }
}

export function* databaseDirectories(dataDir: string): Generator<{ directory: string; spcOid: number; dbOid: number }> {
  yield { directory: path.join(dataDir, 'global'), spcOid: GLOBAL_TABLESPACE, dbOid: 0 };
  yield* databasesIn(path.join(dataDir, 'base'), DEFAULT_TABLESPACE);
  for (const spcOid of numbered(path.join(dataDir, 'pg_tblspc'))) {
    yield* databasesIn(path.join(dataDir, 'pg_tblspc', String(spcOid), TABLESPACE_VERSION_DIRECTORY), spcOid);
  }
}

function* databasesIn(parent: string, spcOid: number): Generator<{ directory: string; spcOid: number; dbOid: number }> {
  for (const dbOid of numbered(parent)) {
    const directory = path.join(parent, String(dbOid));
    if (statSync(directory).isDirectory()) yield { directory, spcOid, dbOid };
  }
}

function numbered(directory: string): number[] {
  return readdirSync(directory)
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .sort((a, b) => a - b);
}

/** State and pages of a data directory that was shut down cleanly. */
export function readVolume(dataDir: string): { state: VolumeState; pages: PageStore } {
  const state = emptyVolumeState(readControl(dataDir));
  const pages = new PageStore();
  for (const { id, page } of relationPages(dataDir)) {
    pages.put(id, Buffer.from(page));
    state.relations.touch(id.spcOid, id.dbOid, id.relNumber, id.fork, id.block);
  }
  for (const { directory, spcOid, dbOid } of databaseDirectories(dataDir)) {
    // Without a map it is no database's own directory, only a place for tables in another tablespace.
    const map = path.join(directory, 'pg_filenode.map');
    if (existsSync(map)) {
      addDatabase(state, { spcOid, dbOid });
      setRelationMap(state, { spcOid, dbOid }, readFileSync(map));
    }
    for (const file of readdirSync(directory)) {
      const match = /^(\d+)(_vm|_init)?$/.exec(file);
      if (match !== null) state.relations.create(spcOid, dbOid, Number(match[1]), FORK_SUFFIXES[match[2] ?? ''] ?? 0);
    }
  }
  for (const { id, page } of slruPages(dataDir)) {
    pages.put(id, Buffer.from(page));
    const slru = SLRU_NAMES.find((name) => SLRU_KINDS[name] === id.dbOid);
    if (slru !== undefined) state.slrus[slru].extend(id.block);
  }
  for (const spcOid of numbered(path.join(dataDir, 'pg_tblspc'))) {
    state.tablespaces.set(spcOid, readlinkSync(path.join(dataDir, 'pg_tblspc', String(spcOid))));
  }
  for (const data of twoPhaseFiles(dataDir).values()) addPrepared(state, data);
  return { state, pages };
}

/** Prepared transactions by file name, without the CRC at the end of each file. */
export function twoPhaseFiles(dataDir: string): Map<string, Buffer> {
  const directory = path.join(dataDir, 'pg_twophase');
  return new Map(
    readdirSync(directory)
      .sort()
      .map((file) => [file, readFileSync(path.join(directory, file)).subarray(0, -4)]),
  );
}
