import { formatLsn } from '@kube-aurora/pg-format/lsn';
import { EngineUnknownError, RedoError } from '@kube-aurora/redo-engine';
import type { SegmentFault } from '@kube-aurora/rpc';
import { AnnulledAppliedError } from '../checkpoint/applier.ts';
import { isNoRoom, type DiskRoom } from '../disk/disk-room.ts';
import { KeyUnusableError } from '../disk/key-unusable-error.ts';
import { StoredValueError } from '../pages/stored-value.ts';
import { LogReadError } from '../redo-log/log-errors.ts';

/** What is wrong with a segment, for programs and in words, by the error that showed it. Decisions without I/O. */

const MIB = 1024 * 1024;

/** A fault of what is held; redo that was lost to damage leaves it open. */
export type ContentFault = Exclude<SegmentFault, { kind: 'LOST_REDO' }>;

export interface Failure {
  readonly fault: ContentFault;
  readonly message: string;
}

/** Redo that fails fails on every copy of the same bytes: only damaged bytes are worth a copy. */
export function failureOf(error: Error): Failure {
  if (error instanceof RedoError) {
    const { lsn, record, page } = error;
    const message = `LSN ${formatLsn(lsn)}, ${record}${page === undefined ? '' : `, ${page}`}: ${error.message}`;
    return { fault: { kind: 'REDO_FAILED', lsn, record, page: page ?? '' }, message };
  }
  return { fault: faultOf(error), message: error.message };
}

function faultOf(error: Error): ContentFault {
  if (error instanceof LogReadError) return { kind: 'DAMAGED_DATA', part: 'log' };
  if (error instanceof StoredValueError) return { kind: 'DAMAGED_DATA', part: 'page' };
  if (error instanceof AnnulledAppliedError) {
    const { epoch, startLsn, durableLsn } = error;
    return { kind: 'HISTORY_REFUSED', epoch, startLsn, durableLsn };
  }
  if (error instanceof EngineUnknownError) return { kind: 'ENGINE_UNKNOWN', engine: { ...error.id } };
  if (error instanceof KeyUnusableError) return { kind: 'KEY_UNUSABLE' };
  return { kind: 'UNKNOWN' };
}

/** The disk refused `operation`, with this error of the operating system. */
export function diskFailure(errno: string, operation: string, words: string, room: DiskRoom): Failure {
  if (isNoRoom(errno)) return { fault: fullFault(room), message: fullMessage(room) };
  return { fault: { kind: 'DISK_ERROR', error: errno, operation }, message: `the disk fails (${errno}): ${words}` };
}

export function fullFault({ freeBytes, neededBytes }: DiskRoom): ContentFault {
  return { kind: 'DISK_FULL', freeBytes: BigInt(freeBytes), neededBytes: BigInt(neededBytes) };
}

/** Without the bytes that are free, so that the same words mean that nothing has changed. */
export function fullMessage({ neededBytes }: DiskRoom): string {
  return `the disk is full: redo is taken again once ${Math.ceil(neededBytes / MIB)} MiB of it are free`;
}

export function describeCause(error: unknown): string {
  const cause = error instanceof Error ? (error.cause ?? error) : error;
  return cause instanceof Error ? cause.message : String(cause);
}
