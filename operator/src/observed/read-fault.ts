import { FAULT_KINDS, type ReportedFault } from './faults.ts';
import { lsnField, numberField, objectFields, present, textField } from './fields.ts';

/** A segment's fault: absent when there is none; of kind UNKNOWN when it is of no kind that we know. */
export function readFault(value: unknown): ReportedFault | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const fault = objectFields(value);
  const kind = FAULT_KINDS.find((one) => one === fault['kind']);
  const text = (key: string): string => textField(fault[key]) ?? '';
  const lsn = (key: string): string => lsnField(fault[key]) ?? '?';
  switch (kind) {
    case 'DAMAGED_DATA':
      return { kind, part: text('part') };
    case 'REDO_FAILED':
      return { kind, lsn: lsn('lsn'), record: text('record'), page: text('page') };
    case 'LOST_REDO':
      return { kind, lsn: lsn('lsn'), heldLsn: lsn('heldLsn') };
    case 'HISTORY_REFUSED':
      return { kind, epoch: text('epoch'), startLsn: lsn('startLsn'), durableLsn: lsn('durableLsn') };
    case 'DISK_FULL':
      return present<Extract<ReportedFault, { kind: 'DISK_FULL' }>>({
        kind,
        freeBytes: numberField(fault['freeBytes']),
        neededBytes: numberField(fault['neededBytes']),
      });
    case 'DISK_ERROR':
      return { kind, error: text('error'), operation: text('operation') };
    case 'ENGINE_UNKNOWN': {
      const engine = objectFields(fault['engine']);
      return { kind, engine: `${textField(engine['engine']) ?? '?'} ${numberField(engine['major']) ?? '?'}` };
    }
    case 'KEY_UNUSABLE':
      return { kind };
    case 'UNKNOWN':
    case undefined:
      return { kind: 'UNKNOWN' };
  }
}
