import {
  OPCODE,
  INFO_XACT_HAS_INFO,
  RMGR,
  WalPageWriter,
  buildCheckpointRecord,
  buildRecord,
  decodeRecord,
  formatLsn,
  recordStart,
  type CheckPoint,
  type Lsn,
  type StreamRecord,
  type WalPiece,
} from '@kube-aurora/pg-format';
import {
  applyEffects,
  checkpointAt,
  type DatabaseDirectory,
  encodePageKey,
  orphanedXids,
  redo,
  touchedPages,
  type VolumeState,
} from '@kube-aurora/redo';

/** XACT_XINFO_HAS_AE_LOCKS (access/xact.h): a hot standby releases the dead transaction's AccessExclusive locks. */
const XINFO_HAS_AE_LOCKS = 0x40;
/** XLR_SPECIAL_REL_UPDATE (access/xlogrecord.h): changes relations that the record does not name. */
const INFO_SPECIAL_REL_UPDATE = 0x01;
/** Seconds from 1970 to 2000, PostgreSQL's epoch for timestamps (datatype/timestamp.h). */
const POSTGRES_EPOCH_S = 946_684_800;

export interface FirstBatch {
  /**
   * Drops of directories that a move of a database left (leftover-directories.ts), aborts of the transactions that died
   * with the last writer, then the shutdown checkpoint.
   */
  readonly records: readonly StreamRecord[];
  readonly checkpoint: CheckPoint;
  readonly checkpointLsn: Lsn;
  /** X */
  readonly startLsn: Lsn;
  /** Where PostgreSQL's own WAL begins. */
  readonly endLsn: Lsn;
  /** The records as WAL pages; before X their first page is zeros after its header. */
  readonly walPages: readonly WalPiece[];
}

/**
 * The first redo of a new epoch, which begins at X = state.endLsn and ends with the checkpoint that PostgreSQL starts
 * from without replay. Brings `state` and the SLRU pages forward over it.
 *
 * @param nowMs milliseconds since 1970, for the records' times
 * @param leftovers directories to drop
 */
export function makeFirstBatch(
  state: VolumeState,
  slruPages: Map<string, Buffer>,
  nowMs: number,
  leftovers: readonly DatabaseDirectory[] = [],
): FirstBatch {
  const writer = new WalPageWriter({
    systemIdentifier: state.control.systemIdentifier,
    timeline: state.control.checkPointCopy.timeline,
    startLsn: state.endLsn,
  });
  const startLsn = state.endLsn;
  const records: StreamRecord[] = [];
  const add = (raw: Buffer): StreamRecord => {
    const record = { ...writer.append(raw), raw };
    records.push(record);
    bringForward(state, slruPages, record);
    return record;
  };

  for (const { spcOid, dbOid } of leftovers) {
    // xl_dbase_drop_rec: 0 database u32, 4 count i32, 8 tablespaces.
    const mainData = Buffer.alloc(12);
    mainData.writeUInt32LE(dbOid, 0);
    mainData.writeInt32LE(1, 4);
    mainData.writeUInt32LE(spcOid, 8);
    add(buildRecord({ rmid: RMGR.DBASE, info: OPCODE.DBASE.DROP | INFO_SPECIAL_REL_UPDATE, xid: 0, prev: state.lastRecordLsn, mainData }));
  }

  const abortData = Buffer.alloc(12);
  abortData.writeBigInt64LE(BigInt(Math.round((nowMs - POSTGRES_EPOCH_S * 1000) * 1000)), 0);
  abortData.writeUInt32LE(XINFO_HAS_AE_LOCKS, 8);
  for (const xid of orphanedXids(state)) {
    add(
      buildRecord({ rmid: RMGR.XACT, info: OPCODE.XACT.ABORT | INFO_XACT_HAS_INFO, xid, prev: state.lastRecordLsn, mainData: abortData }),
    );
  }

  // PostgreSQL insists that a shutdown checkpoint's redo pointer is its own LSN.
  const checkpointLsn = recordStart(writer.position);
  const checkpoint = checkpointAt(state, { redo: checkpointLsn, online: false, time: BigInt(Math.floor(nowMs / 1000)) });
  const last = add(buildCheckpointRecord({ checkpoint, shutdown: true, prev: state.lastRecordLsn }));
  if (last.lsn !== checkpointLsn)
    throw new Error(`the checkpoint stands at ${formatLsn(last.lsn)}, its redo pointer says ${formatLsn(checkpointLsn)}`);
  return { records, checkpoint, checkpointLsn, startLsn, endLsn: last.endLsn, walPages: writer.pages() };
}

function bringForward(state: VolumeState, slruPages: Map<string, Buffer>, { lsn, endLsn, raw }: StreamRecord): void {
  const record = decodeRecord(raw, lsn, endLsn);
  for (const touched of touchedPages(record)) {
    const key = encodePageKey(touched).toString('hex');
    slruPages.set(key, redo(slruPages.get(key), record, touched));
  }
  applyEffects(state, record);
}
