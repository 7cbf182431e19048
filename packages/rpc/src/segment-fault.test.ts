import { expect, it } from 'vitest';
import type { SegmentState } from './messages.ts';
import { faultFromMessage, type SegmentFault } from './segment-fault.ts';
import { SEGMENT_SERVICE } from './service-definition.ts';

const FAULTS: { readonly [kind in SegmentFault['kind']]: Extract<SegmentFault, { kind: kind }> } = {
  UNKNOWN: { kind: 'UNKNOWN' },
  DAMAGED_DATA: { kind: 'DAMAGED_DATA', part: 'control' },
  REDO_FAILED: { kind: 'REDO_FAILED', lsn: 2n ** 64n - 1n, record: 'Btree/INSERT_LEAF', page: 'rel 1663/5/16384 block 7' },
  LOST_REDO: { kind: 'LOST_REDO', lsn: 5n, heldLsn: 4n },
  HISTORY_REFUSED: { kind: 'HISTORY_REFUSED', epoch: 9n, startLsn: 1n, durableLsn: 2n },
  DISK_FULL: { kind: 'DISK_FULL', freeBytes: 1n, neededBytes: 2n ** 40n },
  DISK_ERROR: { kind: 'DISK_ERROR', error: 'EROFS', operation: 'write redo log' },
  KEY_UNUSABLE: { kind: 'KEY_UNUSABLE' },
  ENGINE_UNKNOWN: { kind: 'ENGINE_UNKNOWN', engine: { engine: 'postgres', major: 19 } },
};

const status = SEGMENT_SERVICE['Status'];

it.each(Object.values(FAULTS))('carries $kind with its own fields and no others', (fault) => {
  const state: Partial<SegmentState> = { fault };
  const read = status?.responseDeserialize(status.responseSerialize(state)) as SegmentState | undefined;
  expect(read?.fault).toEqual(fault);
});

it('is absent when the segment is sound', () => {
  expect((status?.responseDeserialize(status.responseSerialize({})) as SegmentState | undefined)?.fault).toBeUndefined();
});

it('reads what a later release may say as not sound', () => {
  expect(faultFromMessage({ kind: 'ENGINE_UNKNOWN' })).toEqual({ kind: 'UNKNOWN' });
  expect(faultFromMessage({ kind: 77 })).toEqual({ kind: 'UNKNOWN' });
  expect(faultFromMessage({ kind: 'DAMAGED_DATA', part: 'index' })).toEqual({ kind: 'UNKNOWN' });
});
