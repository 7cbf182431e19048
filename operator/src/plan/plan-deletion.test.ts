import { expect, test } from 'vitest';
import { FINALIZER } from '../api/names.ts';
import type { Pod } from '../kube/objects.ts';
import { agentReport, healthy, makeCluster, makeNode, mapSegments, NOW, plan, running, inWords, untouched } from '../testing/fixtures.ts';
import { computeStatus } from '../status/compute-status.ts';
import { noticesOf } from '../status/transitions.ts';
import type { Observed } from '../observed/observed.ts';

function deleted(finalizers: readonly string[] = [FINALIZER]): Observed {
  const cluster = makeCluster();
  return healthy({ ...cluster, metadata: { ...cluster.metadata, finalizers, deletionTimestamp: '2026-11-21T12:00:00Z' } });
}

function terminating(pod: Pod, deadlineMs: number): Pod {
  return { ...pod, metadata: { ...pod.metadata, deletionTimestamp: new Date(deadlineMs).toISOString() } };
}

test('the finalizer is there before anything else is made', () => {
  const cluster = makeCluster();
  const fresh = untouched({ ...cluster, metadata: { ...cluster.metadata, finalizers: ['other'] } });
  expect(inWords(fresh)[0]).toBe('add our finalizer');
  expect(inWords(healthy())).toEqual([]);
});

test('computes go first, and storage stays until they are gone', () => {
  const observed = deleted();
  expect(inWords(observed)).toEqual(['delete pod demo-1: the cluster is being deleted; storage follows']);
  const ending = { ...observed, computePods: observed.computePods.map((pod) => terminating(pod, NOW + 20_000)) };
  expect(inWords(ending)).toEqual([]);
  expect(plan(ending).againInMs).toBe(25_000);
  expect(inWords({ ...observed, computePods: [] })).toEqual(['take our finalizer off']);
});

test('the status says what is going on, and that the data stays', () => {
  const observed = deleted();
  const status = computeStatus(observed, plan(observed));
  expect(status).toMatchObject({ phase: 'Deleting', message: 'demo-1 ends first, then storage; its claims stay, with the data' });
  expect(noticesOf({ ...status, phase: 'Ready' }, status, NOW).map(({ reason }) => reason)).toEqual(['Deleting']);
  expect(noticesOf(status, status, NOW)).toEqual([]);
});

test('a compute that does not end is given up', () => {
  const observed = deleted();
  const late = { ...observed, computePods: observed.computePods.map((pod) => terminating(pod, NOW - 5_000)) };
  expect(inWords(late)).toEqual(['force-delete pod demo-1: it should be gone by now']);
  const lost = {
    ...observed,
    computePods: observed.computePods.map((pod) => terminating(pod, NOW + 20_000)),
    nodes: [makeNode('zone-a', false), makeNode('zone-b'), makeNode('zone-c')],
    agents: new Map([['demo-1', agentReport({ silentSince: NOW - 2_000 })]]),
  };
  expect(inWords(lost)).toEqual(['force-delete pod demo-1: it should be gone by now']);
});

test('without a quorum there is no last checkpoint to wait for', () => {
  const observed = deleted();
  const storagePods = mapSegments(observed.storagePods, (pod, index) => (index < 3 ? running(pod, { ready: false }) : pod));
  expect(plan({ ...observed, storagePods }).actions).toMatchObject([{ kind: 'delete-pod', gracePeriodSeconds: 2 }]);
});

test('a cluster that others hold is left to them', () => {
  expect(inWords(deleted(['other']))).toEqual([]);
});
