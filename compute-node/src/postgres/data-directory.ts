/**
 * Builds the data directory that PostgreSQL starts from, without any replay and without relation files: the shim makes
 * those, holes of the right size, when PostgreSQL first names one. The rest is written out from the volume's state.
 * Nothing here is durable or has to be.
 */
import { chownSync, closeSync, fchownSync, ftruncateSync, mkdirSync, openSync, readdirSync, renameSync, writeSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import {
  crc32c,
  decodePgControl,
  emptyWalPage,
  type Lsn,
  offsetInSegment,
  PAGE_BYTES,
  segmentStart,
  WAL_SEGMENT_BYTES,
  walSegmentFileName,
} from '@kube-aurora/pg-format';
import { PACKED_FORK, SLRU_NAMES, SLRU_PAGES_PER_SEGMENT, type SlruName, type VolumeState } from '@kube-aurora/redo';
import { CONTROL_FILE, ENGINE, VERSION_FILE } from '../engine.ts';
import type { Account } from './account.ts';
import { configurationFile, hbaFile } from './parameters.ts';
import { CACHE_FILE, encodeCacheFile } from './cache-file.ts';
import { carryOver, NOTHING_CARRIED, type CarriedOver, type CarryOver } from './carry-over.ts';
import { encodeRelationTable, RELATION_TABLE_FILE } from './relation-table.ts';

const DEFAULT_TABLESPACE = 1663;
const GLOBAL_TABLESPACE = 1664;
const TABLESPACE_VERSION = `PG_${ENGINE.major}_${CONTROL_FILE.catalogVersion}`;
/** REPLICATION_STATE_MAGIC (replication/logical/origin.c). */
const ORIGINS_MAGIC = 0x1257dade;

const DIRECTORIES = [
  'global',
  'base',
  'pg_tblspc',
  'pg_wal',
  'pg_wal/archive_status',
  'pg_wal/summaries',
  'pg_xact',
  'pg_commit_ts',
  'pg_multixact',
  'pg_multixact/members',
  'pg_multixact/offsets',
  'pg_subtrans',
  'pg_twophase',
  'pg_notify',
  'pg_serial',
  'pg_snapshots',
  'pg_dynshmem',
  'pg_replslot',
  'pg_stat',
  'pg_stat_tmp',
  'pg_logical',
  'pg_logical/snapshots',
  'pg_logical/mappings',
];

export class DataDirectoryError extends Error {
  constructor(what: string) {
    super(`cannot build PostgreSQL's data directory: ${what}`);
    this.name = 'DataDirectoryError';
  }
}

export interface SlruPage {
  readonly slru: SlruName;
  readonly page: number;
  readonly bytes: Buffer;
}

export interface DataDirectoryImage {
  /** Where to build. What is there is moved aside and deleted in the background. */
  readonly dir: string;
  /** Owner of all files; undefined when the agent and PostgreSQL are the same user. */
  readonly account: Account | undefined;
  /** As of the LSN at which PostgreSQL starts. */
  readonly state: VolumeState;
  /** global/pg_control, whole. Its checkpoint is the one that walPages hold. */
  readonly controlFile: Buffer;
  /** WAL pages that PostgreSQL reads first: those with the checkpoint it starts from. 8192 bytes each, page aligned. */
  readonly walPages: readonly { readonly lsn: Lsn; readonly bytes: Buffer }[];
  /** Every page that state.slrus names. */
  readonly slruPages: Iterable<SlruPage>;
  /** Checked parameters (parameters.ts). */
  readonly parameters: ReadonlyMap<string, string>;
  /** The text of pg_hba.conf; undefined: passwords from everywhere. */
  readonly hba?: string | undefined;
  /** What the local cache of relation pages may take; undefined: it grows as it likes. */
  readonly cacheBytes?: number | undefined;
  /** PostgreSQL follows a stream of WAL, and takes no writes. */
  readonly isStandby?: boolean;
  /**
   * X, where walPages go on, and what WAL of the directory that stands there is the volume's up to it (written-directory.ts): its
   * replication slots and its statistics go on in this one. Undefined: nothing goes on.
   */
  readonly carries?: CarryOver['carries'];
}

/** A database's directory in a tablespace, within the data directory (common/relpath.c). */
export function databasePath(spcOid: number, dbOid: number): string {
  if (spcOid === GLOBAL_TABLESPACE) return 'global';
  if (spcOid === DEFAULT_TABLESPACE) return `base/${dbOid}`;
  return `pg_tblspc/${spcOid}/${TABLESPACE_VERSION}/${dbOid}`;
}

/**
 * Builds the directory, which can be started from then. What stood there before is beside it until {@link discardOld}.
 * Gives what of that goes on in it. Throws {@link DataDirectoryError} when the image is not whole.
 */
export function buildDataDirectory(image: DataDirectoryImage): CarriedOver {
  const old = moveAside(image.dir);
  const tree = new FileTree(image.dir, image.account);
  for (const name of DIRECTORIES) tree.directory(name);
  tree.file('PG_VERSION', Buffer.from(VERSION_FILE));
  tree.file('global/pg_control', image.controlFile);
  tree.file('postgresql.conf', Buffer.from(configurationFile(image.parameters, image.state.settings)));
  tree.file('postgresql.auto.conf', Buffer.alloc(0));
  if (image.cacheBytes !== undefined) tree.file(CACHE_FILE, encodeCacheFile(image.cacheBytes));
  if (image.isStandby === true) tree.file('standby.signal', Buffer.alloc(0));
  tree.file('pg_hba.conf', Buffer.from(image.hba ?? hbaFile([])));
  tree.file('pg_ident.conf', Buffer.alloc(0));
  writeDatabases(tree, image.state);
  writeTransactionFiles(tree, image.state);
  writeSlrus(tree, image.state, image.slruPages);
  writeWal(tree, image);
  writeRelations(tree, image.state);
  if (old === undefined) return NOTHING_CARRIED;
  return carryOver({
    from: old,
    to: image.dir,
    carries: image.carries,
    isReaders: image.isStandby === true,
    timeline: decodePgControl(image.controlFile).checkPointCopy.timeline,
    directory: (name) => tree.directory(name),
    file: (name, bytes) => tree.file(name, bytes),
  });
}

interface Piece {
  readonly offset: number;
  readonly bytes: Buffer;
}

/** Files and directories below the data directory, with PostgreSQL's modes and owner. */
class FileTree {
  readonly #root: string;
  readonly #account: Account | undefined;
  readonly #made = new Set<string>();

  constructor(root: string, account: Account | undefined) {
    this.#root = root;
    this.#account = account;
    mkdirSync(dirname(root), { recursive: true });
    this.directory('.');
  }

  /** Makes a directory and what is missing above it, once. */
  directory(name: string): void {
    if (this.#made.has(name)) return;
    if (name !== '.' && dirname(name) !== '.') this.directory(dirname(name));
    const path = join(this.#root, name);
    mkdirSync(path, { mode: 0o700 });
    if (this.#account !== undefined) chownSync(path, this.#account.uid, this.#account.gid);
    this.#made.add(name);
  }

  file(name: string, bytes: Buffer): void {
    this.sparse(name, bytes.length, [{ offset: 0, bytes }]);
  }

  /** A file of `length` bytes that is holes but for `pieces`. */
  sparse(name: string, length: number, pieces: readonly Piece[] = []): void {
    const fd = openSync(join(this.#root, name), 'wx', 0o600);
    try {
      if (length > 0) ftruncateSync(fd, length);
      for (const piece of pieces) {
        for (let done = 0; done < piece.bytes.length;) {
          done += writeSync(fd, piece.bytes, done, piece.bytes.length - done, piece.offset + done);
        }
      }
      if (this.#account !== undefined) fchownSync(fd, this.#account.uid, this.#account.gid);
    } finally {
      closeSync(fd);
    }
  }
}

/** Renaming is one call whatever the size, deleting may take seconds. Gives where it is now; undefined when there was none. */
function moveAside(dir: string): string | undefined {
  const aside = join(dirname(dir), `${asidePrefix(dir)}${process.pid}-${process.hrtime.bigint()}`);
  try {
    renameSync(dir, aside);
    return aside;
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    return undefined;
  }
}

/** Deletes the directories that were here before, and what earlier agents did not get to delete. */
export async function discardOld(dir: string): Promise<void> {
  const old = readdirSync(dirname(dir)).filter((name) => name.startsWith(asidePrefix(dir)));
  await Promise.all(old.map((name) => rm(join(dirname(dir), name), { recursive: true, force: true })));
}

function asidePrefix(dir: string): string {
  return `${basename(dir)}.old-`;
}

function writeDatabases(tree: FileTree, state: VolumeState): void {
  for (const oid of state.tablespaces.keys()) tree.directory(`pg_tblspc/${oid}/${TABLESPACE_VERSION}`);
  for (const { spcOid, dbOid } of state.databases.values()) {
    if (spcOid === GLOBAL_TABLESPACE) continue;
    tree.directory(databasePath(spcOid, dbOid));
    tree.file(`${databasePath(spcOid, dbOid)}/PG_VERSION`, Buffer.from(VERSION_FILE));
  }
  for (const { spcOid, dbOid, image } of state.relationMaps.values()) {
    tree.directory(databasePath(spcOid, dbOid));
    tree.file(`${databasePath(spcOid, dbOid)}/pg_filenode.map`, image);
  }
}

function writeTransactionFiles(tree: FileTree, state: VolumeState): void {
  for (const { fullXid, data } of state.prepared.values()) {
    const crc = Buffer.alloc(4);
    crc.writeUInt32LE(crc32c(data));
    tree.file(`pg_twophase/${fullXid.toString(16).toUpperCase().padStart(16, '0')}`, Buffer.concat([data, crc]));
  }
  if (state.origins.size === 0) return;
  const origins = Buffer.alloc(4 + state.origins.size * 16 + 4);
  origins.writeUInt32LE(ORIGINS_MAGIC, 0);
  let at = 4;
  for (const [id, { remoteLsn }] of state.origins) {
    origins.writeUInt16LE(id, at);
    origins.writeBigUInt64LE(remoteLsn, at + 8);
    at += 16;
  }
  origins.writeUInt32LE(crc32c(origins.subarray(0, at)), at);
  tree.file('pg_logical/replorigin_checkpoint', origins);
}

function writeSlrus(tree: FileTree, state: VolumeState, pages: Iterable<SlruPage>): void {
  const given = new Map<SlruName, Map<number, Buffer>>(SLRU_NAMES.map((name) => [name, new Map()]));
  for (const { slru, page, bytes } of pages) given.get(slru)?.set(page, bytes);
  for (const slru of SLRU_NAMES) {
    const segments = new Map<number, Piece[]>();
    for (const page of state.slrus[slru].pages()) {
      const bytes = given.get(slru)?.get(page);
      if (bytes?.length !== PAGE_BYTES) throw new DataDirectoryError(`page ${page} of ${slru} is missing or not ${PAGE_BYTES} bytes`);
      const segment = Math.floor(page / SLRU_PAGES_PER_SEGMENT);
      const pieces = segments.get(segment) ?? [];
      pieces.push({ offset: (page % SLRU_PAGES_PER_SEGMENT) * PAGE_BYTES, bytes });
      segments.set(segment, pieces);
    }
    for (const [segment, pieces] of segments) {
      const length = Math.max(...pieces.map((piece) => piece.offset)) + PAGE_BYTES;
      tree.sparse(`${slru}/${segment.toString(16).toUpperCase().padStart(4, '0')}`, length, pieces);
    }
  }
}

/** WAL files must have their full length and, for the system identifier, a first page. */
function writeWal(tree: FileTree, { controlFile, walPages }: DataDirectoryImage): void {
  const { systemIdentifier, checkPointCopy } = decodePgControl(controlFile);
  const segments = new Map<Lsn, Piece[]>();
  for (const { lsn, bytes } of walPages) {
    const start = segmentStart(lsn);
    const pieces = segments.get(start) ?? [];
    pieces.push({ offset: offsetInSegment(lsn), bytes });
    segments.set(start, pieces);
  }
  if (segments.size === 0) throw new DataDirectoryError('there is no WAL page to start from');
  for (const [start, pieces] of segments) {
    if (!pieces.some((piece) => piece.offset === 0)) {
      const bytes = emptyWalPage({ systemIdentifier, timeline: checkPointCopy.timeline, pageLsn: start });
      pieces.unshift({ offset: 0, bytes });
    }
    tree.sparse(`pg_wal/${walSegmentFileName(checkPointCopy.timeline, start)}`, WAL_SEGMENT_BYTES, pieces);
  }
}

/**
 * The table that the shim makes relation files from, and their directories: a database has one in each tablespace that
 * holds relations of it.
 */
function writeRelations(tree: FileTree, state: VolumeState): void {
  const forks = state.relations.packed();
  for (let at = 0; at < forks.length; at += PACKED_FORK) {
    if (forks[at] === forks[at - PACKED_FORK] && forks[at + 1] === forks[at + 1 - PACKED_FORK]) continue;
    tree.directory(databasePath(forks[at] ?? 0, forks[at + 1] ?? 0));
  }
  tree.file(RELATION_TABLE_FILE, encodeRelationTable(forks));
}
