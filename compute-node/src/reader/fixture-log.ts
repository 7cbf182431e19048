import { buildRecord, lsn, OPCODE, RMGR, recordEndLsn, recordStart, type Lsn } from '@kube-aurora/pg-format';
import { encodeRedoBatch, type BatchRecord } from '@kube-aurora/volume';

/** Test fixture: a volume's log, as a reader's source has it. */

export interface LoggedBatch {
  readonly batch: Buffer;
  readonly startLsn: Lsn;
  readonly endLsn: Lsn;
  readonly lsns: readonly Lsn[];
}

/** Batches of so many records each, one after another. */
export function makeLog(start: Lsn, counts: readonly number[]): LoggedBatch[] {
  let at = start;
  let prev = lsn(0);
  return counts.map((count) => {
    const startLsn = at;
    const records: BatchRecord[] = [];
    for (let index = 0; index < count; index++) {
      const raw = buildRecord({ rmid: RMGR.XLOG, info: OPCODE.XLOG.NOOP, xid: 0, prev, mainData: Buffer.alloc(3000, index) });
      prev = recordStart(at);
      at = recordEndLsn(prev, raw.length, false);
      records.push({ lsn: prev, endLsn: at, raw });
    }
    const batch = encodeRedoBatch({ records, pg: 0, epoch: 1n, backlink: startLsn, previousEpoch: 1n });
    return { batch, startLsn, endLsn: at, lsns: records.map((record) => record.lsn) };
  });
}
