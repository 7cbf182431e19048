import { decodeRecord, INFO_XACT_HAS_INFO, OPCODE, RMGR, type Lsn } from '@kube-aurora/pg-format';
import { preparedTransaction, subxidAt, transactionEnd, xidPrecedes } from '@kube-aurora/redo';

/** In a record (xlogrecord.h): the transaction, the record's info and its resource manager. */
const XID_AT = 4;
const INFO_AT = 16;
const RMID_AT = 17;
const OPCODE_MASK = 0x70;
/** In RUNNING_XACTS (xl_running_xacts): the oldest xid that was running when it was written. */
const OLDEST_RUNNING_AT = 16;

/**
 * Which transactions run, and where each wrote its first record, as PostgreSQL's own WAL shows it. A subtransaction
 * counts by itself until it was rolled back or its transaction ended.
 *
 * What it is for: redo does not give back what a transaction needs of its own changes while it runs (command ids in
 * heap tuples). Pages with no change of such a transaction can be read from storage again.
 *
 * Invariant: a transaction that changed a page is in here from the first record with its xid that was noted until a
 * record that ends it was. PREPARE ends it: nobody runs commands in it any more.
 */
export class RunningTransactions {
  /** LSN of the first record by xid; the first entry is the oldest, for records come in their order. */
  readonly #firstLsn = new Map<number, number>();

  /** Where the oldest of them wrote its first record; undefined when none runs. */
  get oldestLsn(): number | undefined {
    const oldest = this.#firstLsn.values().next();
    return oldest.done === true ? undefined : oldest.value;
  }

  /** A record of the WAL, in its order: the bytes [start, start + length). */
  note(lsn: number, bytes: Buffer, start: number, length: number): void {
    const xid = bytes.readUInt32LE(start + XID_AT);
    const rmid = bytes[start + RMID_AT];
    if (rmid === RMGR.XACT) this.#noteOfTransactions(lsn, xid, bytes, start, length);
    else if (rmid === RMGR.STANDBY && bytes[start + INFO_AT] === OPCODE.STANDBY.RUNNING_XACTS) this.#prune(bytes, start, length);
    else if (xid !== 0 && !this.#firstLsn.has(xid)) this.#firstLsn.set(xid, lsn);
  }

  /** PostgreSQL lists from time to time who runs: nobody stays here for want of a record that ends it. */
  #prune(bytes: Buffer, start: number, length: number): void {
    const { mainData } = decodeRecord(bytes.subarray(start, start + length), 0n as Lsn);
    const oldest = mainData.readUInt32LE(OLDEST_RUNNING_AT);
    for (const xid of this.#firstLsn.keys()) if (xidPrecedes(xid, oldest)) this.#firstLsn.delete(xid);
  }

  #noteOfTransactions(lsn: number, xid: number, bytes: Buffer, start: number, length: number): void {
    const info = bytes.readUInt8(start + INFO_AT);
    const opcode = info & OPCODE_MASK;
    if (opcode === OPCODE.XACT.COMMIT || opcode === OPCODE.XACT.ABORT) {
      this.#firstLsn.delete(xid);
      // Most have no more to say.
      if ((info & INFO_XACT_HAS_INFO) === 0) return;
      const record = decodeRecord(bytes.subarray(start, start + length), BigInt(lsn) as Lsn);
      const end = transactionEnd(record);
      for (let index = 0; end !== undefined && index < end.subxids; index++) this.#firstLsn.delete(subxidAt(record, end, index));
    } else if (opcode === OPCODE.XACT.PREPARE) {
      const { mainData } = decodeRecord(bytes.subarray(start, start + length), BigInt(lsn) as Lsn);
      const prepared = preparedTransaction(mainData);
      for (const one of [prepared.xid, ...prepared.subxids]) this.#firstLsn.delete(one);
    } else if (opcode !== OPCODE.XACT.COMMIT_PREPARED && opcode !== OPCODE.XACT.ABORT_PREPARED) {
      if (xid !== 0 && !this.#firstLsn.has(xid)) this.#firstLsn.set(xid, lsn);
    }
  }
}
