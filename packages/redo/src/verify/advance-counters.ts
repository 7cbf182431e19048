import { chownSync, closeSync, existsSync, openSync, readFileSync, statSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import {
  buildCheckpointRecord,
  type CheckPoint,
  encodePgControl,
  offsetInSegment,
  recordEndLsn,
  recordStart,
  WAL_PAGE_BYTES,
  WalPageWriter,
  walSegmentFileName,
} from '@kube-aurora/pg-format';
import type { SlruName } from '../page-key.ts';
import { PAGE_SIZE } from '../page/header.ts';
import { membersPage, offsetsPage, SLRU_PAGES_PER_SEGMENT, xactPage } from '../slru/layout.ts';
import { readControl } from './data-directory.ts';

const CHECKPOINT_RECORD_BYTES = 114;
const TIMELINE = 1;

/**
 * Makes a cleanly stopped server as old as if it had run for long: its next ids are raised, by one more shutdown
 * checkpoint at the end of its log, and the SLRU files in between are zeros. What pg_resetwal does, without a gap in
 * the log. There is no other way to millions of transactions in a test.
 */
export function advanceCounters(dataDir: string, counters: Pick<CheckPoint, 'nextXid' | 'nextMulti' | 'nextMultiOffset'>): void {
  const control = readControl(dataDir);
  const { systemIdentifier } = control;
  const endLsn = recordEndLsn(control.checkPoint, CHECKPOINT_RECORD_BYTES, false);
  const redo = recordStart(endLsn);
  const checkpoint = { ...control.checkPointCopy, ...counters, redo };
  const segment = path.join(dataDir, 'pg_wal', walSegmentFileName(TIMELINE, endLsn));
  const inPage = offsetInSegment(endLsn) % WAL_PAGE_BYTES;
  const pageAt = offsetInSegment(endLsn) - inPage;
  const firstPage = readFileSync(segment).subarray(pageAt, pageAt + WAL_PAGE_BYTES);
  const writer = new WalPageWriter({ systemIdentifier, timeline: TIMELINE, startLsn: endLsn, firstPage });
  writer.append(buildCheckpointRecord({ checkpoint, shutdown: true, prev: control.checkPoint }));
  const wal = openSync(segment, 'r+');
  for (const { lsn, bytes } of writer.pages()) writeSync(wal, bytes, 0, bytes.length, offsetInSegment(lsn));
  closeSync(wal);
  growSlru(dataDir, 'pg_xact', xactPage(Number(BigInt.asUintN(32, counters.nextXid))));
  growSlru(dataDir, 'pg_multixact/offsets', offsetsPage(counters.nextMulti));
  growSlru(dataDir, 'pg_multixact/members', membersPage(counters.nextMultiOffset));
  writeFileSync(path.join(dataDir, 'global/pg_control'), encodePgControl({ ...control, checkPoint: redo, checkPointCopy: checkpoint }));
}

/** Fills up the files to the page, with zeros. */
function growSlru(dataDir: string, slru: SlruName, lastPage: number): void {
  const { uid, gid } = statSync(dataDir);
  for (let first = 0; first <= lastPage; first += SLRU_PAGES_PER_SEGMENT) {
    const file = path.join(dataDir, slru, (first / SLRU_PAGES_PER_SEGMENT).toString(16).toUpperCase().padStart(4, '0'));
    if (!existsSync(file)) {
      writeFileSync(file, '', { mode: 0o600 });
      chownSync(file, uid, gid);
    }
    truncateSync(file, Math.min(lastPage + 1 - first, SLRU_PAGES_PER_SEGMENT) * PAGE_SIZE);
  }
}
