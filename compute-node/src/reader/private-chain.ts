import {
  buildCheckpointRecord,
  buildRecord,
  type CheckPoint,
  formatLsn,
  fromBytePosition,
  type Lsn,
  OPCODE,
  recordStart,
  RMGR,
  toBytePosition,
  WalPageWriter,
  type WalPiece,
} from '@kube-aurora/pg-format';
import { checkpointAt, type VolumeState, xidPrecedes } from '@kube-aurora/redo';

/**
 * The WAL that a hot standby begins with, made for it alone, so that it answers queries as of X at once and then
 * follows the volume's own redo, which begins at X:
 *
 *   Q  CHECKPOINT_ONLINE  what pg_control names; its redo pointer is itself
 *      STANDBY LOCK       tables that are locked ACCESS EXCLUSIVE at X (left out when there are none)
 *      RUNNING_XACTS      every transaction that runs at X, with subtransactions and prepared ones
 *   P  NOOP               from the start of the volume's last record before X, exactly up to X
 *   X  the volume's redo
 *
 * Invariants:
 * - the last private record begins where the volume's last record before X does (P): the first record of the volume's
 *   redo names P as the one before it, and PostgreSQL takes it only then;
 * - it ends at X, so that no byte of the volume's redo stands elsewhere than in the writer's own WAL;
 * - every xid below the next one that is not known to have ended is in RUNNING_XACTS. One that was left out would count
 *   as aborted, and readers would mark its rows dead for good.
 *
 * Nothing of it ever reaches the volume.
 */
export interface PrivateChain {
  readonly checkpoint: CheckPoint;
  /** Q */
  readonly checkpointLsn: Lsn;
  /** X */
  readonly endLsn: Lsn;
  readonly walPages: readonly WalPiece[];
  /** False: too many transactions ran to be told; queries are answered once the writer has logged which do. */
  readonly namesRunning: boolean;
}

/**
 * xl_xact ids that a standby can keep (TOTAL_MAX_CACHED_SUBXIDS, procarray.c): 65 for each connection that it may have.
 */
const XIDS_PER_CONNECTION = 65;

/** Everything but its place; `prev` is the record before it. */
type Draft = (lsn: Lsn, prev: Lsn) => Buffer;

/**
 * @param state of X
 * @param nowMs milliseconds since 1970, for the checkpoint's time
 */
export function makePrivateChain(state: VolumeState, nowMs: number): PrivateChain {
  const time = BigInt(Math.floor(nowMs / 1000));
  const last = state.lastRecordLsn;
  const namesRunning = state.transactions.running.size <= state.control.maxConnections * XIDS_PER_CONNECTION;
  const standby = (info: number, mainData: Buffer): Draft => {
    return (_lsn, prev) => buildRecord({ rmid: RMGR.STANDBY, info, xid: 0, prev, mainData });
  };
  const checkpointFor = (lsn: Lsn): CheckPoint => checkpointAt(state, { redo: lsn, online: true, time });
  const drafts: Draft[] = [
    (lsn, prev) => buildCheckpointRecord({ checkpoint: checkpointFor(lsn), shutdown: false, prev }),
    ...(state.locks.size > 0 ? [standby(OPCODE.STANDBY.LOCK, locksHeld(state))] : []),
    ...(namesRunning ? [standby(OPCODE.STANDBY.RUNNING_XACTS, runningTransactions(state))] : []),
  ];
  // Their lengths do not depend on where they stand.
  const aligned = (bytes: number): bigint => BigInt((bytes + 7) & ~7);
  const before = drafts.reduce((sum, draft) => sum + aligned(draft(last, last).length), 0n);
  const startLsn = fromBytePosition(toBytePosition(last) - before, 'end');
  const writer = new WalPageWriter({
    systemIdentifier: state.control.systemIdentifier,
    timeline: state.control.checkPointCopy.timeline,
    startLsn,
  });
  const checkpointLsn = recordStart(startLsn);
  // PostgreSQL only wants the first one's to be lower than itself.
  let prev = (checkpointLsn - 8n) as Lsn;
  const add = (draft: Draft): void => {
    prev = writer.append(draft(recordStart(writer.position), prev)).lsn;
  };
  for (const draft of drafts) add(draft);
  const filler = Number(toBytePosition(state.endLsn) - toBytePosition(last));
  add((_lsn, before) =>
    buildRecord({ rmid: RMGR.XLOG, info: OPCODE.XLOG.NOOP, xid: 0, prev: before, mainData: Buffer.alloc(0), totalBytes: filler }),
  );
  if (prev !== last || writer.position !== state.endLsn) {
    throw new Error(
      `the private chain ends with a record from ${formatLsn(prev)} to ${formatLsn(writer.position)}, ` +
        `the volume's last one is from ${formatLsn(last)} to ${formatLsn(state.endLsn)}`,
    );
  }
  return { checkpoint: checkpointFor(checkpointLsn), checkpointLsn, endLsn: state.endLsn, walPages: writer.pages(), namesRunning };
}

/** xl_standby_locks: 0 count i32, 4 locks (xid, database, relation; u32 each). */
function locksHeld({ locks }: VolumeState): Buffer {
  const held = [...locks].flatMap(([xid, some]) => some.map((lock) => ({ xid, ...lock })));
  const data = Buffer.alloc(4 + held.length * 12);
  data.writeInt32LE(held.length, 0);
  for (const [index, { xid, dbOid, relOid }] of held.entries()) {
    data.writeUInt32LE(xid, 4 + index * 12);
    data.writeUInt32LE(dbOid, 8 + index * 12);
    data.writeUInt32LE(relOid, 12 + index * 12);
  }
  return data;
}

/**
 * xl_running_xacts: 0 xcnt i32, 4 subxcnt i32, 8 overflowed bool, 12 next xid, 16 oldest running, 20 newest ended, 24
 * xids (u32 each).
 */
function runningTransactions({ transactions }: VolumeState): Buffer {
  // A standby takes xids in any order and of any kind: what counts is that all are there.
  const running = [...transactions.running].sort((a, b) => (xidPrecedes(a, b) ? -1 : 1));
  const data = Buffer.alloc(24 + running.length * 4);
  data.writeInt32LE(running.length, 0);
  data.writeUInt32LE(transactions.nextXid, 12);
  data.writeUInt32LE(transactions.oldest(), 16);
  // The xids from 0 to 2 are never given to a transaction.
  data.writeUInt32LE(transactions.nextXid <= 3 ? 0xffff_ffff : transactions.nextXid - 1, 20);
  for (const [index, xid] of running.entries()) data.writeUInt32LE(xid, 24 + index * 4);
  return data;
}
