import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { DB_STATE, PAGE_BYTES, decodePgControl, offsetInSegment, walSegmentFileName } from '@kube-aurora/pg-format';
import { SLRU_FORK, SLRU_KINDS, encodePageKey } from '@kube-aurora/redo';
import { makeFirstBatch } from '../open/first-batch.ts';
import { fixtureState } from '../postgres/fixture-state.ts';
import { layDataDirectory } from './lay-data-directory.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync('/tmp/aurora-lay-');
});
afterEach(() => rmSync(dir, { recursive: true }));

it('the directory is that of a clean shutdown at the first batch’s checkpoint, so that nothing is replayed', () => {
  const state = fixtureState();
  const slruPages = new Map<string, Buffer>();
  const clog = { spcOid: 0, dbOid: SLRU_KINDS.pg_xact, relNumber: 0, fork: SLRU_FORK };
  for (const block of state.slrus.pg_xact.pages())
    slruPages.set(encodePageKey({ ...clog, block }).toString('hex'), Buffer.alloc(PAGE_BYTES, 5));
  const first = makeFirstBatch(state, slruPages, 1_700_000_000_000);
  const dataDir = join(dir, 'pgdata');
  layDataDirectory(
    { image: { state, slruPages }, first },
    { dataDir, account: undefined, parameters: new Map(), hba: undefined, cacheBytes: 1 << 20 },
  );
  const control = decodePgControl(readFileSync(join(dataDir, 'global/pg_control')));
  expect(control).toMatchObject({ state: DB_STATE.SHUTDOWNED, checkPoint: first.checkpointLsn, checkPointCopy: first.checkpoint });
  expect(control.checkPointCopy.redo).toBe(control.checkPoint);
  const wal = readFileSync(join(dataDir, 'pg_wal', walSegmentFileName(first.checkpoint.timeline, first.checkpointLsn)));
  const last = first.records.at(-1);
  expect(wal.subarray(offsetInSegment(first.checkpointLsn)).subarray(0, last?.raw.length)).toEqual(last?.raw);
});
