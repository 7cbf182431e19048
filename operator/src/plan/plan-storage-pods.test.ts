import { describe, expect, test } from 'vitest';
import { ANNOTATION } from '../api/names.ts';
import { segmentIds, SegmentMap } from '../api/segment-id.ts';
import {
  daemonReport,
  healthy,
  makeCluster,
  makeNode,
  mapSegments,
  NOW,
  outdatedPod,
  plan,
  running,
  segmentAt,
  inWords,
  withEntry,
  withoutSegments,
  withSegment,
} from '../testing/fixtures.ts';
import type { Observed } from '../observed/observed.ts';
import { faulty, ran } from '../testing/statuses.ts';

function backOff(startedAt: string, finishedAt: string) {
  return {
    name: 'main',
    ready: false,
    restartCount: 3,
    state: { waiting: { reason: 'CrashLoopBackOff' } },
    lastState: { terminated: { exitCode: 137, startedAt, finishedAt } },
  };
}

describe('storage pods', () => {
  const cases: readonly (readonly [string, (observed: Observed) => Observed, readonly string[]])[] = [
    ['a missing one is made', (it) => ({ ...it, storagePods: withoutSegments(it.storagePods, 3) }), ['create pod demo-storage-3']],
    [
      'a failed one is made anew',
      (it) => ({
        ...it,
        storagePods: withSegment(it.storagePods, 3, running(segmentAt(it.storagePods, 3), { phase: 'Failed', ready: false })),
      }),
      ['delete pod demo-storage-3: phase Failed'],
    ],
    [
      'so is one of phase Unknown, without force: two daemons must never share a disk',
      (it) => ({
        ...it,
        storagePods: withSegment(it.storagePods, 3, running(segmentAt(it.storagePods, 3), { phase: 'Unknown', ready: false })),
      }),
      ['delete pod demo-storage-3: its node lost contact'],
    ],
    [
      'one that is not ready is left to its kubelet',
      (it) => ({ ...it, storagePods: withSegment(it.storagePods, 3, running(segmentAt(it.storagePods, 3), { ready: false })) }),
      [],
    ],
    [
      'an outdated one is replaced, one at a time',
      (it) => ({ ...it, storagePods: mapSegments(it.storagePods, outdatedPod) }),
      ['delete pod demo-storage-0: its spec changed'],
    ],
    [
      'but not while another is down',
      (it) => ({
        ...it,
        storagePods: withSegment(
          withSegment(it.storagePods, 0, outdatedPod(segmentAt(it.storagePods, 0))),
          4,
          running(segmentAt(it.storagePods, 4), { ready: false }),
        ),
      }),
      [],
    ],
    [
      'nor while another has an empty copy',
      (it) => ({
        ...it,
        storagePods: withSegment(it.storagePods, 0, outdatedPod(segmentAt(it.storagePods, 0))),
        daemons: withEntry(it.daemons, 'demo-storage-4', daemonReport(4, { state: 'EMPTY' })),
      }),
      [],
    ],
    [
      'nor while another has far to catch up',
      (it) => ({
        ...it,
        storagePods: withSegment(it.storagePods, 0, outdatedPod(segmentAt(it.storagePods, 0))),
        daemons: withEntry(it.daemons, 'demo-storage-4', daemonReport(4, { scl: '0/10' })),
        now: NOW,
      }),
      [],
    ],
    [
      'an outdated one that has not been ready for long is replaced in any case',
      (it) => ({
        ...it,
        storagePods: withSegment(it.storagePods, 4, outdatedPod(running(segmentAt(it.storagePods, 4), { ready: false }))),
      }),
      ['delete pod demo-storage-4: not ready, and its spec changed'],
    ],
    [
      'one whose claim is being deleted goes when the others are up',
      (it) => ({
        ...it,
        claims: withSegment(it.claims, 1, {
          ...segmentAt(it.claims, 1),
          metadata: { ...segmentAt(it.claims, 1).metadata, deletionTimestamp: '2026-11-21T12:00:00Z' },
        }),
      }),
      ['delete pod demo-storage-1: its claim is being deleted'],
    ],
    [
      'one whose volume is gone goes when the others are up',
      (it) => ({ ...it, claims: withSegment(it.claims, 1, { ...segmentAt(it.claims, 1), status: { phase: 'Lost' } }) }),
      ['delete claim demo-storage-1', 'delete pod demo-storage-1: its claim is Lost, for its volume is gone'],
    ],
    [
      'a killed one that had run well does not wait for its back-off',
      (it) => ({
        ...it,
        storagePods: withSegment(
          it.storagePods,
          2,
          running(segmentAt(it.storagePods, 2), { ready: false, container: backOff('2026-11-21T11:00:00Z', '2026-11-21T11:50:00Z') }),
        ),
      }),
      ['delete pod demo-storage-2: its container ended with exit code 137'],
    ],
    [
      'one that crashes on start does',
      (it) => ({
        ...it,
        storagePods: withSegment(
          it.storagePods,
          2,
          running(segmentAt(it.storagePods, 2), { ready: false, container: backOff('2026-11-21T11:50:00Z', '2026-11-21T11:50:01Z') }),
        ),
      }),
      [],
    ],
  ];
  test.each(cases)('%s', (_what, change, expected) => {
    expect(inWords(change(healthy()))).toEqual(expected);
  });

  test('a pod of a deleted cluster of the same name is removed; one of somebody else is not', () => {
    const observed = healthy();
    const pod = segmentAt(observed.storagePods, 0);
    const leftover = {
      ...pod,
      metadata: { ...pod.metadata, ownerReferences: pod.metadata.ownerReferences?.map((owner) => ({ ...owner, uid: 'old' })) ?? [] },
    };
    expect(inWords({ ...observed, storagePods: withSegment(observed.storagePods, 0, leftover) })).toEqual([
      'delete pod demo-storage-0: left over from a deleted cluster of this name',
    ]);
    const { ownerReferences: _gone, ...metadata } = pod.metadata;
    const strange = plan({ ...observed, storagePods: withSegment(observed.storagePods, 0, { ...pod, metadata }) });
    expect(strange.actions).toEqual([]);
    expect(strange.obstacles[0]).toMatchObject({ reason: 'NameConflict' });
  });

  test('one without a node says which label is missing', () => {
    const observed = healthy();
    const pod = running(segmentAt(observed.storagePods, 1), { phase: 'Pending', ready: false });
    const stuck = { ...pod, status: { phase: 'Pending', conditions: [{ type: 'PodScheduled', status: 'False', message: '0/3 nodes' }] } };
    const made = plan({ ...observed, nodes: [makeNode('elsewhere')], storagePods: withSegment(observed.storagePods, 1, stuck) });
    expect(made.obstacles[0]?.message).toContain('topology.kubernetes.io/zone=zone-b');
  });
});

describe('an update while pods are not ready', () => {
  /** All are to be replaced; those named have not been ready for so long. */
  function unready(seconds: number, ...indexes: readonly number[]): Observed {
    const observed = healthy(makeCluster({ status: ran() }));
    const since = new Date(NOW - seconds * 1000).toISOString();
    const storagePods = mapSegments(observed.storagePods, (pod, index) => {
      if (!indexes.includes(index)) return outdatedPod(pod);
      const was = running(pod, { ready: false });
      const conditions = [{ type: 'Ready', status: 'False', lastTransitionTime: since }];
      return outdatedPod({ ...was, status: { ...was.status, conditions } });
    });
    return { ...observed, storagePods };
  }
  const deletes = (observed: Observed): readonly string[] => inWords(observed).filter((line) => line.startsWith('delete'));

  test.each([[[1, 2]], [[0, 1, 2, 3, 4, 5]]])('takes none while %s became unready a moment ago: they may be back at once', (which) => {
    expect(deletes(unready(2, ...which))).toEqual([]);
  });

  test('takes a single one: all others are up', () => {
    expect(deletes(unready(2, 4))).toEqual(['delete pod demo-storage-4: its spec changed']);
  });

  test('takes those that have been unready for a minute, and no other', () => {
    expect(deletes(unready(61, 1, 4))).toEqual([1, 4].map((index) => `delete pod demo-storage-${index}: not ready, and its spec changed`));
  });

  test('takes one at a time of those that answer with a fault, however long: they serve what they hold', () => {
    const full = (observed: Observed): Observed => faulty(observed, { kind: 'DISK_FULL' }, 0, 1, 2, 3, 4, 5);
    expect(deletes(full(unready(61, 0, 1, 2, 3, 4, 5)))).toEqual(['delete pod demo-storage-0: not ready, and its spec changed']);
    expect(deletes(full(unready(2, 0, 1, 2, 3, 4, 5)))).toEqual([]);
  });
});

describe('a restart that was asked for', () => {
  const asked = (value: string): Observed => ({ ...healthy(), cluster: makeCluster({ annotations: { [ANNOTATION.restartedAt]: value } }) });

  test('takes the storage pods one at a time, the writer last', () => {
    let observed = asked('1');
    const order: string[] = [];
    for (let round = 0; round < 7; round += 1) {
      const actions = plan(observed).actions.filter((action) => action.kind === 'delete-pod');
      expect(actions).toHaveLength(1);
      const name = actions[0]?.pod.metadata.name ?? '';
      order.push(name);
      // The pod goes, is made anew from the plan, and is ready.
      const gone: Observed = {
        ...observed,
        storagePods: new SegmentMap([...observed.storagePods].filter(([, pod]) => pod.metadata.name !== name)),
        computePods: observed.computePods.filter((pod) => pod.metadata.name !== name),
      };
      const made = plan(gone).actions.flatMap((action) => (action.kind === 'create-pod' ? [running(action.pod)] : []));
      expect(made.map(({ metadata }) => metadata.name)).toEqual([name]);
      observed = {
        ...gone,
        storagePods: new SegmentMap(segmentIds.flatMap((id) => [gone.storagePods.get(id) ?? made].flat().map((pod) => [id, pod] as const))),
        computePods: gone.computePods.length === 0 ? made : gone.computePods,
      };
    }
    expect(order).toEqual([...[0, 1, 2, 3, 4, 5].map((index) => `demo-storage-${index}`), 'demo-1']);
    expect(inWords(observed)).toEqual([]);
    // Another value restarts again; the annotation taken off, or the same one once more, does not.
    expect(inWords({ ...observed, cluster: asked('2').cluster })).toHaveLength(1);
    expect(inWords({ ...observed, cluster: makeCluster() })).toEqual([]);
  });

  test('waits while a segment is down', () => {
    const observed = asked('1');
    const down = withSegment(observed.storagePods, 3, running(segmentAt(observed.storagePods, 3), { ready: false }));
    expect(inWords({ ...observed, storagePods: down }).filter((line) => line.includes('delete'))).toEqual([
      `delete pod demo-storage-3: not ready, and a restart was asked for (${ANNOTATION.restartedAt}=1)`,
    ]);
  });
});
