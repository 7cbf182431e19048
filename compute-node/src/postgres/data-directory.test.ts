import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { crc32c, encodePgControl, lsn, PAGE_BYTES, segmentStart, WAL_SEGMENT_BYTES, walSegmentFileName } from '@kube-aurora/pg-format';
import { setRelationMap, type VolumeState } from '@kube-aurora/redo';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { buildDataDirectory, DataDirectoryError, discardOld, type DataDirectoryImage, type SlruPage } from './data-directory.ts';
import { fixtureState } from './fixture-state.ts';
import { readRelationTable } from './fixture-relation-table.ts';

/** No such fork. */
const NONE = 0xffff_ffff;

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
    parameters: new Map(),
    ...overrides,
  };
}

const size = (name: string): number => statSync(join(dir, name)).size;
const bytes = (name: string): Buffer => readFileSync(join(dir, name));

test('relations are in the table that the shim makes their files from, by tablespace; free-space maps are left out', () => {
  const main = { spcOid: 1663, dbOid: 5, relNumber: 100, fork: 0 };
  state.relations.setBlocks(main, 131_072 * 2 + 3);
  state.relations.setBlocks({ ...main, fork: 1 }, 3);
  state.relations.setBlocks({ ...main, fork: 2 }, 2);
  state.relations.setBlocks({ ...main, relNumber: 101 }, 0);
  state.relations.setBlocks({ spcOid: 1664, dbOid: 0, relNumber: 1262, fork: 0 }, 1);
  state.tablespaces.set(900, '/elsewhere');
  state.databases.set('900/5', { spcOid: 900, dbOid: 5 });
  state.relations.setBlocks({ ...main, spcOid: 900, relNumber: 102, fork: 0 }, 4);
  state.relations.setBlocks({ ...main, spcOid: 900, dbOid: 6, relNumber: 103, fork: 3 }, 0);
  buildDataDirectory(image());
  expect(readRelationTable(dir)).toEqual([
    { spcOid: 900, dbOid: 5, relNumber: 102, local: 0, blocks: [4, NONE, NONE] },
    { spcOid: 900, dbOid: 6, relNumber: 103, local: 0, blocks: [NONE, NONE, 0] },
    { spcOid: 1663, dbOid: 5, relNumber: 100, local: 0, blocks: [131_072 * 2 + 3, 2, NONE] },
    { spcOid: 1663, dbOid: 5, relNumber: 101, local: 0, blocks: [0, NONE, NONE] },
    { spcOid: 1664, dbOid: 0, relNumber: 1262, local: 0, blocks: [1, NONE, NONE] },
  ]);
  expect(readdirSync(join(dir, 'base/5'))).toEqual(['PG_VERSION']);
  expect(bytes('pg_tblspc/900/PG_18_202506291/5/PG_VERSION').toString()).toBe('18\n');
  // A database has a directory wherever it has relations.
  expect(readdirSync(join(dir, 'pg_tblspc/900/PG_18_202506291/6'))).toEqual([]);
});

test('the table grows with the relations, in order', () => {
  for (let relNumber = 5000; relNumber > 0; relNumber--)
    state.relations.setBlocks({ spcOid: 1663, dbOid: 5, relNumber, fork: 0 }, relNumber);
  buildDataDirectory(image());
  expect(readRelationTable(dir).map(({ relNumber, blocks }) => [relNumber, blocks[0]])).toEqual(
    Array.from({ length: 5000 }, (_, i) => [i + 1, i + 1]),
  );
});

test('SLRU pages lie in files of 32, and none may be missing', () => {
  for (let page = 30; page <= 33; page++) state.slrus.pg_xact.extend(page);
  const { slruPages } = image();
  buildDataDirectory(image());
  expect([size('pg_xact/0000'), size('pg_xact/0001')]).toEqual([32 * PAGE_BYTES, 2 * PAGE_BYTES]);
  expect(bytes('pg_xact/0000')[31 * PAGE_BYTES]).toBe(31);
  expect(bytes('pg_xact/0001')[PAGE_BYTES]).toBe(33);
  expect(() => buildDataDirectory(image({ slruPages: [...slruPages].slice(1) }))).toThrow(
    new DataDirectoryError('page 30 of pg_xact is missing or not 8192 bytes'),
  );
});

test('WAL files are whole, with a first page that carries the system identifier', () => {
  buildDataDirectory(image());
  const name = `pg_wal/${walSegmentFileName(state.control.checkPointCopy.timeline, state.endLsn)}`;
  expect(size(name)).toBe(WAL_SEGMENT_BYTES);
  expect(bytes(name).readUInt16LE(0)).toBe(0xd118);
  expect(bytes(name).readBigUInt64LE(8)).toBe(segmentStart(state.endLsn));
  expect(bytes(name).readBigUInt64LE(24)).toBe(state.control.systemIdentifier);
  expect(() => buildDataDirectory(image({ walPages: [] }))).toThrow(DataDirectoryError);
});

test('prepared transactions, origins and relation maps are files again', () => {
  const data = Buffer.from('the main data of a PREPARE record');
  state.prepared.set(800, { fullXid: 0x1_0000_0320n, data, gid: 'g', subxids: [] });
  state.origins.set(3, { remoteLsn: lsn(0xabcn), localLsn: lsn(1n) });
  setRelationMap(state, { spcOid: 1663, dbOid: 5 }, Buffer.alloc(524, 5));
  buildDataDirectory(image());
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
  buildDataDirectory(image());
  expect(() => size('old')).toThrow(/ENOENT/);
  await discardOld(dir);
  expect(readdirSync(root).filter((name) => name.startsWith(basename(dir)) && name !== basename(dir))).toEqual([]);
});
