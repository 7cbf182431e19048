/**
 * SegmentFault between its flat message (proto/segment.proto) and the union: each kind has its own fields and no
 * others.
 */

/** What is wrong with a segment; decisions are made by this and never by a message. Absent while it is sound. */
export type SegmentFault =
  /** Stopped for a reason without a kind of its own, or one that a later release has. */
  | { kind: 'UNKNOWN' }
  /** Stored bytes fail their check; a copy from a peer mends it. */
  | { kind: 'DAMAGED_DATA'; part: 'page' | 'log' | 'state' | 'control' }
  /**
   * Redo that cannot be applied here, nor by any copy of the same bytes. `page` is '' when the record concerns none.
   */
  | { kind: 'REDO_FAILED'; lsn: bigint; record: string; page: string }
  /**
   * May have acknowledged redo up to `lsn`, and has it up to `heldLsn`; it is no proof of anything until it has it
   * again.
   */
  | { kind: 'LOST_REDO'; lsn: bigint; heldLsn: bigint }
  /** Its own epoch history lets `epoch` start at `startLsn`, and redo is durable up to `durableLsn`. */
  | { kind: 'HISTORY_REFUSED'; epoch: bigint; startLsn: bigint; durableLsn: bigint }
  /** Takes no redo until there is room; serves reads and peers. Not damage. */
  | { kind: 'DISK_FULL'; freeBytes: bigint; neededBytes: bigint }
  /** The operating system refused a read or write; `error` is the errno's name. */
  | { kind: 'DISK_ERROR'; error: string; operation: string }
  /** The daemon does not have the engine whose redo the volume has. */
  | { kind: 'ENGINE_UNKNOWN'; engine: { engine: string; major: number } }
  /** It is encrypted, and the daemon does not have its key; or it is not, and the daemon is given one. */
  | { kind: 'KEY_UNUSABLE' };

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
    case 'ENGINE_UNKNOWN': {
      const engine = message['engine'] as { engine: string; major: number } | undefined;
      return engine === undefined ? { kind: 'UNKNOWN' } : { kind: 'ENGINE_UNKNOWN', engine };
    }
    case 'KEY_UNUSABLE':
      return { kind: 'KEY_UNUSABLE' };
    default:
      return { kind: 'UNKNOWN' };
  }
}
