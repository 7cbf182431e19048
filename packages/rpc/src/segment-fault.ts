import type { SegmentFault } from './messages.ts';

/** SegmentFault between its flat message (proto/segment.proto) and the union: each kind has its own fields and no others. */

type Plain = Record<string, unknown>;

const PARTS = ['page', 'log', 'state', 'control'] as const;

const lsn = (value: unknown): bigint => (typeof value === 'bigint' ? value : 0n);
const text = (value: unknown): string => (typeof value === 'string' ? value : '');

/** The union; UNKNOWN for a kind, or a part, that this release does not know. */
export function faultFromMessage(message: Plain): SegmentFault {
  switch (message['kind']) {
    case 'DAMAGED_DATA': {
      const part = PARTS.find((one) => one === message['part']);
      return part === undefined ? { kind: 'UNKNOWN' } : { kind: 'DAMAGED_DATA', part };
    }
    case 'REDO_FAILED':
      return { kind: 'REDO_FAILED', lsn: lsn(message['lsn']), record: text(message['record']), page: text(message['page']) };
    case 'LOST_REDO':
      return { kind: 'LOST_REDO', lsn: lsn(message['lsn']), heldLsn: lsn(message['heldLsn']) };
    case 'HISTORY_REFUSED':
      return {
        kind: 'HISTORY_REFUSED',
        epoch: lsn(message['epoch']),
        startLsn: lsn(message['startLsn']),
        durableLsn: lsn(message['durableLsn']),
      };
    case 'DISK_FULL':
      return { kind: 'DISK_FULL', freeBytes: lsn(message['freeBytes']), neededBytes: lsn(message['neededBytes']) };
    case 'DISK_ERROR':
      return { kind: 'DISK_ERROR', error: text(message['error']), operation: text(message['operation']) };
    default:
      return { kind: 'UNKNOWN' };
  }
}
