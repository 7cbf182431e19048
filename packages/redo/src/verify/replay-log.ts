import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { type CheckPoint, decodeCheckpoint, formatLsn, OPCODE, RMGR, type WalRecord } from '@kube-aurora/pg-format';
import { RMGRS } from '../rmgrs.ts';
import { checkpointAt, orphanedXids } from '../state/volume-state.ts';
import { readVolume } from './data-directory.ts';
import { RedoVerifier } from './redo-verifier.ts';
import { walRecords } from './wal-files.ts';

/** What a log came to when it was replayed, from the copy of a data directory to a server's clean shutdown. */
export interface Replayed {
  readonly verifier: RedoVerifier;
  /** The state's checkpoint right before the shutdown checkpoint, and that record's own. */
  readonly ours: CheckPoint;
  readonly theirs: CheckPoint;
  /**
   * Where the state, right before an online checkpoint, disagreed with what that record says of timeline, WAL level and
   * full-page writes: records of their own bring those forward, and the checkpoint would hide that one was misread.
   */
  readonly onlineDifferences: readonly string[];
  /** Transactions that the state thought running right before the shutdown checkpoint. */
  readonly orphans: number[];
  /** The files to compare with. */
  readonly dataDir: string;
}

/** Copies a stopped server's data directory, with its owner, so that a server can run on the copy too. */
export function copyDataDirectory(dataDir: string, name: string): string {
  const copy = `${dataDir}-${name}`;
  execFileSync('cp', ['-a', dataDir, copy]);
  return copy;
}

export function isShutdownCheckpoint(record: WalRecord): boolean {
  return isCheckpoint(record, OPCODE.XLOG.CHECKPOINT_SHUTDOWN);
}

function isCheckpoint(record: WalRecord, opcode: number): boolean {
  return record.rmid === RMGR.XLOG && RMGRS.opcodeOf(record.rmid, record.info) === opcode;
}

function differencesOnline(ours: CheckPoint, record: WalRecord, fullPageWritesKnown: boolean): string[] {
  const theirs = decodeCheckpoint(record.mainData);
  const names = ['timeline', 'walLevel', ...(fullPageWritesKnown ? (['fullPageWrites'] as const) : [])] as const;
  return names
    .filter((name) => ours[name] !== theirs[name])
    .map((name) => `${formatLsn(record.lsn)}: ${name} is ${String(ours[name])}, the checkpoint says ${String(theirs[name])}`);
}

/**
 * Replays what the server of `dataDir` has in its WAL onto the pages and the state of `base`, where that log begins.
 */
export function replayLog(base: string, dataDir: string, timeline = 1): Replayed {
  const { state, pages } = readVolume(base);
  const verifier = new RedoVerifier(state, pages);
  const onlineDifferences: string[] = [];
  // A server does not log the setting that it starts with; its first checkpoint states it.
  let fullPageWritesKnown = false;
  let last: Pick<Replayed, 'ours' | 'theirs' | 'orphans'> | undefined;
  for (const record of walRecords(path.join(dataDir, 'pg_wal'), state.endLsn, timeline)) {
    if (isCheckpoint(record, OPCODE.XLOG.CHECKPOINT_ONLINE)) {
      onlineDifferences.push(...differencesOnline(state.control.checkPointCopy, record, fullPageWritesKnown));
      fullPageWritesKnown = true;
    }
    if (isShutdownCheckpoint(record)) {
      const theirs = decodeCheckpoint(record.mainData);
      last = { ours: checkpointAt(state, { redo: record.lsn, online: false, time: theirs.time }), theirs, orphans: orphanedXids(state) };
    }
    verifier.apply(record);
  }
  if (last === undefined) throw new Error('the log does not end with a shutdown checkpoint');
  return { verifier, ...last, onlineDifferences, dataDir };
}
