import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import {
  decodeRecord,
  formatLsn,
  type Lsn,
  lsn,
  offsetInSegment,
  segmentStart,
  WAL_SEGMENT_BYTES,
  type WalRecord,
  walSegmentFileName,
  WalStreamDecoder,
} from '@kube-aurora/pg-format';

/**
 * Records of a pg_wal directory from `startLsn` (the end of a record) to the end of what was written. Throws when the
 * first segment is missing; the log is over where a later one is.
 */
export function* walRecords(walDir: string, startLsn: Lsn, timeline = 1): Generator<WalRecord> {
  const stream = new WalStreamDecoder(startLsn);
  for (let segment = segmentStart(startLsn); ; segment = lsn(segment + BigInt(WAL_SEGMENT_BYTES))) {
    const file = path.join(walDir, walSegmentFileName(timeline, segment));
    if (!existsSync(file)) {
      if (segment === segmentStart(startLsn)) throw new Error(`no WAL at ${formatLsn(startLsn)}: ${file} is missing`);
      return;
    }
    const bytes = readFileSync(file);
    stream.push(segment < startLsn ? bytes.subarray(offsetInSegment(startLsn)) : bytes);
    for (let record = stream.next(); record !== undefined; record = stream.next()) {
      yield decodeRecord(record.raw, record.lsn, record.endLsn);
    }
    if (stream.reachedZeros) return;
  }
}
