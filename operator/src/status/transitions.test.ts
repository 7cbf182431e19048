import { describe, expect, test } from 'vitest';
import type { Observed } from '../observed/observed.ts';
import { agentReport, daemonReport, healthy, makeCluster, NOW, running, untouched, withEntry } from '../testing/fixtures.ts';
import { noticesOf } from './transitions.ts';
import { statusOf, down, faulty, ran } from '../testing/statuses.ts';

describe('events', () => {
  const events = (from: Observed, to: Observed): readonly string[] => {
    const before = statusOf(from);
    const later = { ...to, now: NOW + 2_300, cluster: { ...to.cluster, status: before } };
    return noticesOf(before, statusOf(later), later.now).map(({ reason, message }) => `${reason}: ${message}`);
  };

  test('nothing changed, nothing to say', () => {
    expect(events(healthy(), healthy())).toEqual([]);
  });

  test('creation', () => {
    expect(noticesOf(undefined, statusOf(untouched()), NOW).map(({ reason }) => reason)).toEqual(['Creating']);
  });

  test('a zone goes and comes back', () => {
    expect(events(healthy(), down(healthy(), 0, 3))).toEqual([
      'ZoneDown: No segment in zone-a is up: demo-storage-0, demo-storage-3; reads and writes go on',
    ]);
    expect(events(down(healthy(), 0, 3), healthy())).toEqual([
      'ZoneRecovered: Both segments in zone-a are up again',
      'FullyRedundant: All six copies are up again after 2.3 s',
    ]);
  });

  test('full disks take no zone away', () => {
    const full = { kind: 'DISK_FULL', freeBytes: 0, neededBytes: 2 ** 20 } as const;
    const told = events(healthy(), faulty(healthy(), full, 0, 3));
    expect(told.filter((one) => one.startsWith('DiskFull: '))).toHaveLength(2);
    expect(told.join()).not.toContain('ZoneDown');
  });

  test('a segment goes and comes back', () => {
    expect(events(healthy(), down(healthy(), 2))).toEqual(['SegmentDown: demo-storage-2 in zone-c is down; missing now: demo-storage-2']);
    expect(events(down(healthy(), 2), healthy())).toEqual([
      'SegmentUp: demo-storage-2 is up again',
      'FullyRedundant: All six copies are up again after 2.3 s',
    ]);
  });

  test('the quorum goes and comes back', () => {
    expect(events(healthy(), down(healthy(), 0, 1, 2))[0]).toContain('QuorumLost: 3 of 6 segments are up and four are needed');
    expect(events(down(healthy(), 0, 1, 2), healthy())[0]).toBe(
      'QuorumRegained: Writes go on after 2.3 s: 6 of 6 segments are up; four are enough',
    );
  });

  test('the writer goes and comes back, with the time it took', () => {
    const gone = {
      ...healthy(makeCluster({ status: ran() })),
      computePods: healthy().computePods.map((pod) => running(pod, { ready: false })),
    };
    expect(events(healthy(), gone)[0]).toMatch(/^WriterUnavailable: demo-1 runs and is not ready/);
    expect(events(gone, { ...healthy(), agents: new Map([['demo-1', agentReport({ epoch: 4 })]]) })).toEqual([
      'WriterRecovered: Writer demo-1 takes connections again after 2.3 s (epoch 4)',
    ]);
  });

  test('the writer opened again so fast that nobody saw it gone', () => {
    expect(events(healthy(), { ...healthy(), agents: new Map([['demo-1', agentReport({ epoch: 4 })]]) })).toEqual([
      'WriterReopened: Writer demo-1 opened the volume again (epoch 4)',
    ]);
  });

  test('damage', () => {
    expect(
      events(healthy(), { ...healthy(), daemons: withEntry(healthy().daemons, 'demo-storage-1', daemonReport(1, { state: 'DAMAGED' })) }),
    ).toEqual(['SegmentDamaged: demo-storage-1 is faulty (UNKNOWN)']);
  });
});
