/** Reads a cleanly stopped data directory as the base of a volume: its pages and everything beside them. */
import { closeSync, fstatSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { DB_STATE, decodePgControl, PAGE_BYTES, type PgControl } from '@kube-aurora/pg-format';
import {
  addDatabase,
  emptyVolumeState,
  type PageId,
  setRelationMap,
  SLRU_FORK,
  SLRU_KINDS,
  SLRU_NAMES,
  SLRU_PAGES_PER_SEGMENT,
  type VolumeState,
} from '@kube-aurora/redo';
import { CONTROL_FILE, ENGINE_NAME } from '../engine.ts';

const BLOCKS_PER_FILE = 131_072;
const FORK_OF_SUFFIX: Readonly<Record<string, number>> = { '': 0, _vm: 2, _init: 3 };
const READ_PAGES = 128;
const NO_PAGE = Buffer.alloc(PAGE_BYTES);

export class BaseImageError extends Error {
  constructor(dir: string, why: string) {
    super(`data directory ${dir} cannot become a volume: ${why}`);
    this.name = 'BaseImageError';
  }
}

interface PageFile {
  readonly path: string;
  /** Of its first page. */
  readonly first: PageId;
}

export interface BaseImage {
  readonly control: PgControl;
  /** As of the end of the shutdown checkpoint. */
  readonly state: VolumeState;
  /** Pages that are not all zeros, file by file; SLRU pages always. Buffers are fresh. */
  readonly pages: () => Generator<{ readonly page: PageId; readonly bytes: Buffer }>;
}

/**
 * Throws {@link BaseImageError} for a directory that was not shut down cleanly, that has checksums, prepared
 * transactions or tablespaces.
 * Left out: free-space maps (hints), temporary relations, and SLRUs that PostgreSQL makes anew (pg_subtrans,
 * pg_notify).
 */
export function readBaseImage(dir: string): BaseImage {
  const control = decodePgControl(readFileSync(join(dir, 'global/pg_control')));
  if (control.state !== DB_STATE.SHUTDOWNED) throw new BaseImageError(dir, 'it was not shut down cleanly');
  if (control.dataChecksumVersion !== 0) throw new BaseImageError(dir, 'it has data checksums; use initdb --no-data-checksums');
  if (control.catalogVersion !== CONTROL_FILE.catalogVersion)
    throw new BaseImageError(dir, `catalog version ${control.catalogVersion} is not ${ENGINE_NAME}'s`);
  if (readdirSync(join(dir, 'pg_twophase')).length > 0) throw new BaseImageError(dir, 'it has prepared transactions');
  if (readdirSync(join(dir, 'pg_tblspc')).length > 0) throw new BaseImageError(dir, 'it has tablespaces');

  const state = emptyVolumeState(control);
  const files: PageFile[] = [];
  addDirectory(state, files, dir, 'global', { spcOid: 1664, dbOid: 0 });
  for (const name of readdirSync(join(dir, 'base'))) {
    if (!/^\d+$/.test(name)) continue;
    const directory = { spcOid: 1663, dbOid: Number(name) };
    addDatabase(state, directory);
    addDirectory(state, files, dir, `base/${name}`, directory);
  }
  for (const slru of SLRU_NAMES) {
    for (const name of readdirSync(join(dir, slru)).toSorted()) {
      const path = join(dir, slru, name);
      const block = Number.parseInt(name, 16) * SLRU_PAGES_PER_SEGMENT;
      const pages = withFile(path, (fd) => Math.floor(fstatSync(fd).size / PAGE_BYTES));
      for (let i = 0; i < pages; i++) state.slrus[slru].extend(block + i);
      files.push({ path, first: { spcOid: 0, dbOid: SLRU_KINDS[slru], relNumber: 0, fork: SLRU_FORK, block } });
    }
  }
  return { control, state, pages: () => readPages(files) };
}

function addDirectory(
  state: VolumeState,
  files: PageFile[],
  dir: string,
  name: string,
  directory: { spcOid: number; dbOid: number },
): void {
  for (const file of readdirSync(join(dir, name))) {
    const path = join(dir, name, file);
    if (file === 'pg_filenode.map') setRelationMap(state, directory, readFileSync(path));
    const match = /^(\d+)(_vm|_init)?(?:\.(\d+))?$/.exec(file);
    if (match === null) continue;
    const fork = { ...directory, relNumber: Number(match[1]), fork: FORK_OF_SUFFIX[match[2] ?? ''] ?? 0 };
    const block = Number(match[3] ?? 0) * BLOCKS_PER_FILE;
    const blocks = block + withFile(path, (fd) => Math.floor(fstatSync(fd).size / PAGE_BYTES));
    state.relations.create(fork.spcOid, fork.dbOid, fork.relNumber, fork.fork);
    if (blocks > (state.relations.blocks(fork) ?? 0)) state.relations.setBlocks(fork, blocks);
    files.push({ path, first: { ...fork, block } });
  }
}

function* readPages(files: readonly PageFile[]): Generator<{ page: PageId; bytes: Buffer }> {
  for (const { path, first } of files) {
    const fd = openSync(path, 'r');
    try {
      // Most files are a few pages long.
      const end = first.block + Math.floor(fstatSync(fd).size / PAGE_BYTES);
      for (let block = first.block; block < end;) {
        const chunk = Buffer.allocUnsafeSlow(Math.min(READ_PAGES, end - block) * PAGE_BYTES);
        const pages = Math.floor(readSync(fd, chunk, 0, chunk.length, (block - first.block) * PAGE_BYTES) / PAGE_BYTES);
        for (let i = 0; i < pages; i++, block++) {
          const bytes = chunk.subarray(i * PAGE_BYTES, (i + 1) * PAGE_BYTES);
          if (first.fork === SLRU_FORK || !bytes.equals(NO_PAGE)) yield { page: { ...first, block }, bytes };
        }
        if (pages === 0) break;
      }
    } finally {
      closeSync(fd);
    }
  }
}

function withFile<T>(path: string, use: (fd: number) => T): T {
  const fd = openSync(path, 'r');
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
}
