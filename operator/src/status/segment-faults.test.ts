import { describe, expect, test } from 'vitest';
import { FAULT_KINDS } from '../observed/faults.ts';
import type { Observed } from '../observed/observed.ts';
import { readFault } from '../observed/read-fault.ts';
import { daemonReport, healthy, makeCluster } from '../testing/fixtures.ts';
import { condition, faulty, ran, statusOf } from '../testing/statuses.ts';

describe('a full disk', () => {
  const full = { kind: 'DISK_FULL', freeBytes: 12 * 2 ** 20, neededBytes: 64 * 2 ** 20 } as const;

  test('is no damage: which one, how much, what to do, and never "delete its claim"', () => {
    const status = statusOf(faulty(healthy(makeCluster({ status: ran() })), full, 1));
    expect(status.phase).toBe('Degraded');
    expect(condition(status, 'StorageRedundant')).toMatchObject({
      reason: 'DiskFull',
      message:
        '5 of 6 segments are up; demo-storage-1 has a full disk (12 MiB free, 64 MiB needed): in its own words 1; give it room (raise spec.storage.size where the storage class can grow volumes, or remove what else is on that disk); it takes redo again by itself',
    });
    expect(status.storage?.segments[1]).toMatchObject({ ready: false, state: 'READY', fault: 'DISK_FULL', message: 'in its own words 1' });
  });

  test('on several: each is named, and what to do is said once', () => {
    const message = condition(statusOf(faulty(healthy(makeCluster({ status: ran() })), full, 1, 4)), 'StorageRedundant')?.message ?? '';
    expect(message).toContain(
      'demo-storage-1 has a full disk (12 MiB free, 64 MiB needed): in its own words 1; demo-storage-4 has a full disk',
    );
    expect(message.split('give it room')).toHaveLength(2);
  });

  test('beside lost disks: room first, accepting the loss last', () => {
    const observed = faulty(healthy(makeCluster({ status: ran() })), full, 4, 5);
    const empty = [0, 1, 2, 3].map((index) => [`demo-storage-${index}`, daemonReport(index, { state: 'EMPTY' })] as const);
    const { phase, message = '' } = statusOf({ ...observed, daemons: new Map([...observed.daemons, ...empty]) });
    expect(phase).toBe('Blocked');
    const steps = ['give the full disks of demo-storage-4, demo-storage-5 room', 'put the lost disks back', 'accept the loss'];
    expect(steps.map((step) => message.indexOf(step)).every((at, index, all) => at > (all[index - 1] ?? 0))).toBe(true);
  });

  test('on a quorum: writes wait and why, reads go on, and no word of deleting', () => {
    const status = statusOf(faulty(healthy(makeCluster({ status: ran() })), full, 0, 1, 2, 3, 4, 5));
    expect(status.phase).toBe('QuorumLost');
    expect(condition(status, 'Ready')).toMatchObject({ status: 'False', reason: 'DiskFull' });
    expect(status.message).toContain(
      'writes wait because disks are full: 0 of 6 segments take redo and four are needed; demo-storage-0 has a full disk',
    );
    expect(status.message).toContain('Reads go on, nothing acknowledged is lost: 6 sound copies answer');
    expect(JSON.stringify(status)).not.toMatch(/delete (its|pvc)|kubectl delete/);
  });
});

describe('other faults', () => {
  const redundant = (observed: Observed) => condition(statusOf(observed), 'StorageRedundant');
  const begun = (): Observed => healthy(makeCluster({ status: ran() }));

  test('damaged data is made anew from peers, while four others are sound', () => {
    const damaged = { kind: 'DAMAGED_DATA', part: 'log' } as const;
    expect(redundant(faulty(begun(), damaged, 1))).toMatchObject({
      reason: 'SegmentDamaged',
      message:
        '5 of 6 segments are up; demo-storage-1 has damaged data in its log: in its own words 1; to have its copy made anew from its peers: kubectl delete pvc demo-storage-1',
    });
    const many = redundant(faulty(begun(), damaged, 1, 2, 3))?.message;
    expect(many).toContain('keep its claim: fewer than four other copies are up and sound');
    expect(many).not.toContain('kubectl delete');
  });

  test('of the disk, and of redo, are told apart', () => {
    expect(redundant(faulty(begun(), { kind: 'DISK_ERROR', error: 'EIO', operation: 'write redo log' }, 0))).toMatchObject({
      reason: 'DiskError',
      message: expect.stringContaining('demo-storage-0 has a disk error (EIO: write redo log)'),
    });
    expect(redundant(faulty(begun(), { kind: 'REDO_FAILED', lsn: '0/1', record: 'Heap/INSERT', page: '' }, 0))?.message).not.toContain(
      'kubectl delete',
    );
    expect(redundant(faulty(begun(), { kind: 'LOST_REDO', lsn: '0/2', heldLsn: '0/1' }, 0))?.message).toContain('by itself');
  });

  test('every kind has a reason, words and advice', () => {
    for (const kind of FAULT_KINDS) {
      const fault = readFault({ kind });
      expect(fault?.kind).toBe(kind);
      expect(redundant(faulty(begun(), fault ?? { kind: 'UNKNOWN' }, 0))?.message).toMatch(/demo-storage-0 has .+; .+/);
    }
    expect(readFault({ kind: 'OF_A_LATER_RELEASE' })).toEqual({ kind: 'UNKNOWN' });
    expect(readFault(undefined)).toBeUndefined();
  });
});
