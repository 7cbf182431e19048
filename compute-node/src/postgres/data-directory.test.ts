import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { crc32c, encodePgControl, lsn, PAGE_BYTES, segmentStart, WAL_SEGMENT_BYTES, walSegmentFileName } from '@kube-aurora/pg-format';
import { setRelationMap, type VolumeState } from '@kube-aurora/redo';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { buildDataDirectory, DataDirectoryError, type DataDirectoryImage, relationPath, type SlruPage } from './data-directory.ts';
import { fixtureState } from './fixture-state.ts';

let root: string;
let dir: string;
let state: VolumeState;
beforeAll(() => {
  root = mkdtempSync('/tmp/aurora-directory-');
});
afterAll(() => rmSync(root, { recursive: true }));
let built = 0;
beforeEach(() => {
  dir = join(root, `pgdata-${built++}`);
  state = fixtureState();
});

function image(overrides: Partial<DataDirectoryImage> = {}): DataDirectoryImage {
  const page = lsn(state.endLsn - (state.endLsn % BigInt(PAGE_BYTES)));
  const slruPages: SlruPage[] = [...state.slrus.pg_xact.pages()].map((number) => ({
    slru: 'pg_xact',
    page: number,
    bytes: Buffer.alloc(PAGE_BYTES, number),
  }));
  return {
    dir,
    account: undefined,
    state,
    controlFile: encodePgControl(state.control),
    walPages: [{ lsn: page, bytes: Buffer.alloc(PAGE_BYTES, 7) }],
    slruPages,
    readInitFork: (fork) => Promise.resolve(Buffer.alloc(fork.blocks * PAGE_BYTES, 9)),
    parameters: new Map(),
    ...overrides,
  };
}

const size = (name: string): number => statSync(join(dir, name)).size;
const bytes = (name: string): Buffer => readFileSync(join(dir, name));

test('relations are holes, in files of 1 GiB, by tablespace; free-space maps are left out', async () => {
  state.relations.setBlocks({ spcOid: 1663, dbOid: 5, relNumber: 100, fork: 0 }, 131_072 * 2 + 3);
  state.relations.setBlocks({ spcOid: 1663, dbOid: 5, relNumber: 100, fork: 1 }, 3);
  state.relations.setBlocks({ spcOid: 1663, dbOid: 5, relNumber: 100, fork: 2 }, 2);
  state.relations.setBlocks({ spcOid: 1663, dbOid: 5, relNumber: 101, fork: 0 }, 0);
  state.relations.setBlocks({ spcOid: 1664, dbOid: 0, relNumber: 1262, fork: 0 }, 1);
  state.tablespaces.set(900, '/elsewhere');
  state.databases.set('900/5', { spcOid: 900, dbOid: 5 });
  state.relations.setBlocks({ spcOid: 900, dbOid: 5, relNumber: 102, fork: 0 }, 4);
  await buildDataDirectory(image());
  expect([size('base/5/100'), size('base/5/100.1'), size('base/5/100.2')]).toEqual([2 ** 30, 2 ** 30, 3 * PAGE_BYTES]);
  expect(statSync(join(dir, 'base/5/100')).blocks).toBe(0);
  expect(size('base/5/100_vm')).toBe(2 * PAGE_BYTES);
  expect(() => size('base/5/100_fsm')).toThrow(/ENOENT/);
  expect([size('base/5/101'), size('global/1262')]).toEqual([0, PAGE_BYTES]);
  const elsewhere = relationPath({ spcOid: 900, dbOid: 5, relNumber: 102, fork: 0 });
  expect(elsewhere).toBe('pg_tblspc/900/PG_18_202506291/5/102');
  expect(size(elsewhere)).toBe(4 * PAGE_BYTES);
  expect(bytes('pg_tblspc/900/PG_18_202506291/5/PG_VERSION').toString()).toBe('18\n');
});

test('an unlogged relation is its init fork again', async () => {
  state.relations.setBlocks({ spcOid: 1663, dbOid: 5, relNumber: 200, fork: 3 }, 1);
  state.relations.setBlocks({ spcOid: 1663, dbOid: 5, relNumber: 200, fork: 0 }, 50);
  state.relations.setBlocks({ spcOid: 1663, dbOid: 5, relNumber: 200, fork: 2 }, 1);
  await buildDataDirectory(image());
  expect(bytes('base/5/200').equals(Buffer.alloc(PAGE_BYTES, 9))).toBe(true);
  expect(bytes('base/5/200_init').equals(Buffer.alloc(PAGE_BYTES, 9))).toBe(true);
  expect(() => size('base/5/200_vm')).toThrow(/ENOENT/);
});

test('SLRU pages lie in files of 32, and none may be missing', async () => {
  for (let page = 30; page <= 33; page++) state.slrus.pg_xact.extend(page);
  const { slruPages } = image();
  await buildDataDirectory(image());
  expect([size('pg_xact/0000'), size('pg_xact/0001')]).toEqual([32 * PAGE_BYTES, 2 * PAGE_BYTES]);
  expect(bytes('pg_xact/0000')[31 * PAGE_BYTES]).toBe(31);
  expect(bytes('pg_xact/0001')[PAGE_BYTES]).toBe(33);
  await expect(buildDataDirectory(image({ slruPages: [...slruPages].slice(1) }))).rejects.toThrow(
    new DataDirectoryError('page 30 of pg_xact is missing or not 8192 bytes'),
  );
});

test('WAL files are whole, with a first page that carries the system identifier', async () => {
  await buildDataDirectory(image());
  const name = `pg_wal/${walSegmentFileName(state.control.checkPointCopy.timeline, state.endLsn)}`;
  expect(size(name)).toBe(WAL_SEGMENT_BYTES);
  expect(bytes(name).readUInt16LE(0)).toBe(0xd118);
  expect(bytes(name).readBigUInt64LE(8)).toBe(segmentStart(state.endLsn));
  expect(bytes(name).readBigUInt64LE(24)).toBe(state.control.systemIdentifier);
  await expect(buildDataDirectory(image({ walPages: [] }))).rejects.toThrow(DataDirectoryError);
});

test('prepared transactions, origins and relation maps are files again', async () => {
  const data = Buffer.from('the main data of a PREPARE record');
  state.prepared.set(800, { fullXid: 0x1_0000_0320n, data, gid: 'g', subxids: [] });
  state.origins.set(3, { remoteLsn: lsn(0xabcn), localLsn: lsn(1n) });
  setRelationMap(state, { spcOid: 1663, dbOid: 5 }, Buffer.alloc(524, 5));
  await buildDataDirectory(image());
  const twophase = bytes('pg_twophase/0000000100000320');
  expect(twophase.subarray(0, -4)).toEqual(data);
  expect(twophase.readUInt32LE(data.length)).toBe(crc32c(data));
  const origins = bytes('pg_logical/replorigin_checkpoint');
  expect([origins.length, origins.readUInt32LE(0), origins.readUInt16LE(4), origins.readBigUInt64LE(12)]).toEqual([
    24,
    0x1257dade,
    3,
    0xabcn,
  ]);
  expect(origins.readUInt32LE(20)).toBe(crc32c(origins.subarray(0, 20)));
  expect(bytes('base/5/pg_filenode.map').equals(Buffer.alloc(524, 5))).toBe(true);
});

test('what stood there before is moved aside and deleted', async () => {
  mkdirSync(`${dir}.old-1-2`);
  mkdirSync(dir);
  writeFileSync(join(dir, 'old'), 'x');
  const { discarded } = await buildDataDirectory(image());
  expect(() => size('old')).toThrow(/ENOENT/);
  await discarded;
  expect(readdirSync(root).filter((name) => name.startsWith(basename(dir)) && name !== basename(dir))).toEqual([]);
});
