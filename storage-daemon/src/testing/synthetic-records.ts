import { buildRecord, type Lsn } from '@kube-aurora/pg-format';

/** Records for tests: an XLOG_NOOP with `payload` bytes, which changes nothing. */
export function syntheticRecord(payload: number, xid = 0): Buffer {
  return buildRecord({ rmid: 0, info: 0x20, xid, prev: 0n as Lsn, mainData: Buffer.alloc(payload, payload & 0xff) });
}
