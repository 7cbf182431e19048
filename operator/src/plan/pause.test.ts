import { describe, expect, test } from 'vitest';
import { ANNOTATION } from '../api/names.ts';
import { computeStatus } from '../status/compute-status.ts';
import { noticesOf } from '../status/transitions.ts';
import { healthy, makeCluster, mapSegments, NOW, outdatedPod, plan, untouched, withoutSegments } from '../testing/fixtures.ts';
import { condition, ran, statusOf } from '../testing/statuses.ts';

const paused = (change: Parameters<typeof makeCluster>[0] = {}) =>
  makeCluster({ ...change, annotations: { ...change.annotations, [ANNOTATION.paused]: 'true' } });

describe('a cluster that is paused', () => {
  const seen = healthy();
  test.each([
    ['nothing there yet', { ...untouched(), cluster: paused() }],
    ['pods that are outdated', { ...seen, cluster: paused(), storagePods: mapSegments(seen.storagePods, outdatedPod) }],
    ['pods that are gone', { ...seen, cluster: paused(), storagePods: withoutSegments(seen.storagePods, 0), computePods: [] }],
    ['one without our finalizer', { ...seen, cluster: { ...paused(), metadata: { ...paused().metadata, finalizers: [] } } }],
    ['a switchover asked for', { ...seen, cluster: paused({ annotations: { [ANNOTATION.switchoverTo]: 'demo-2' } }) }],
    ['a deletion', { ...seen, cluster: { ...paused(), metadata: { ...paused().metadata, deletionTimestamp: '2026-11-21T12:00:00Z' } } }],
  ])('with %s has nothing done to it', (_what, observed) => {
    expect(plan(observed)).toMatchObject({ actions: [] });
    expect(plan(observed).switchover).toBeUndefined();
    const { annotations: { [ANNOTATION.paused]: _pause, ...annotations } = {}, ...metadata } = observed.cluster.metadata;
    expect(plan({ ...observed, cluster: { ...observed.cluster, metadata: { ...metadata, annotations } } }).actions).not.toEqual([]);
  });

  test('has a status that goes on to be true, and says that it is', () => {
    const observed = { ...seen, cluster: paused({ status: ran() }), storagePods: mapSegments(seen.storagePods, outdatedPod) };
    const status = statusOf(observed);
    expect(status).toMatchObject({ phase: 'Ready', message: expect.stringContaining('; paused: the operator changes nothing') });
    expect(condition(status, 'Managed')).toMatchObject({ status: 'False', reason: 'Paused' });
    expect(condition(status, 'UpToDate')?.message).toContain('once the pause is over: demo-storage-0');
    expect(statusOf({ ...observed, storagePods: withoutSegments(seen.storagePods, 0) })).toMatchObject({ phase: 'Degraded' });
    expect(condition(statusOf(seen), 'Managed')).toMatchObject({ status: 'True' });
  });

  test('tells of its beginning and of its end, with the time between, and not again', () => {
    const before = statusOf(seen);
    const during = computeStatus({ ...seen, cluster: paused({ status: before }) }, plan(seen));
    const after = computeStatus({ ...seen, cluster: makeCluster({ status: during }), now: NOW + 90_000 }, plan(seen));
    expect(noticesOf(before, during, NOW).map(({ reason }) => reason)).toEqual(['Paused']);
    expect(noticesOf(during, during, NOW)).toEqual([]);
    expect(noticesOf(during, after, NOW + 90_000)).toMatchObject([
      { reason: 'Resumed', message: expect.stringContaining('a pause of 90 s') },
    ]);
  });

  test('is one with the annotation "true" alone', () => {
    for (const value of ['false', '', 'yes'])
      expect(plan(untouched(makeCluster({ annotations: { [ANNOTATION.paused]: value } }))).actions).not.toEqual([]);
  });
});
