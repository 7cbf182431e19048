import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { WAL_SEGMENT_BYTES, lsn, walSegmentFileName } from '@kube-aurora/pg-format';
import { LocalWal, LocalWalError } from './local-wal.ts';

const START = lsn(WAL_SEGMENT_BYTES * 3);
let directory: string;
let wal: LocalWal;
let content: Buffer;

beforeEach(() => {
  directory = mkdtempSync('/tmp/aurora-wal-');
  content = Buffer.alloc(WAL_SEGMENT_BYTES);
  for (let at = 0; at < content.length; at += 4) content.writeUInt32LE(at, at);
  writeFileSync(join(directory, walSegmentFileName(1, START)), content);
  wal = new LocalWal(directory, 1);
});
afterEach(() => {
  wal.close();
  rmSync(directory, { recursive: true });
});

it('gives what was asked for, up to the most that was wanted, in whole pages, and to the end of the file', () => {
  expect(wal.read(lsn(START + 104n), START + 304n, 1000).equals(content.subarray(104, 304))).toBe(true);
  expect(wal.read(lsn(START + 8n), START + 1_000_000n, 200_000).equals(content.subarray(8, 24 * 8192))).toBe(true);
  // Less than a page is wanted.
  expect(wal.read(lsn(START + 8n), START + 1_000_000n, 200).equals(content.subarray(8, 208))).toBe(true);
  const last = BigInt(WAL_SEGMENT_BYTES - 64);
  expect(wal.read(lsn(START + last), START + last + 8192n, 8192)).toHaveLength(64);
});

it('goes on in the next file', () => {
  const next = lsn(START + BigInt(WAL_SEGMENT_BYTES));
  wal.read(START, START + 8192n, 8192);
  writeFileSync(join(directory, walSegmentFileName(1, next)), Buffer.alloc(8192, 9));
  expect(wal.read(next, next + 8192n, 8192).every((byte) => byte === 9)).toBe(true);
});

it('says that a file is shorter than PostgreSQL said it wrote, and makes nothing up', () => {
  truncateSync(join(directory, walSegmentFileName(1, START)), 8192);
  expect(() => wal.read(lsn(START + 4096n), START + 16_384n, 20_000)).toThrow(LocalWalError);
  expect(() => wal.read(lsn(START + 4096n), START + 16_384n, 20_000)).toThrow(/ends at 8192; PostgreSQL wrote up to 16384/);
});
