import { describe, expect, test } from 'vitest';
import type { Pod } from '../kube/objects.ts';
import type { Observed } from '../observed/observed.ts';
import {
  daemonReport,
  healthy,
  inWords,
  makeCluster,
  NOW,
  outdatedPod,
  running,
  segmentAt,
  withEntry,
  withSegment,
} from '../testing/fixtures.ts';
import { ran } from '../testing/statuses.ts';

/** Three instances, all of them to be replaced; demo-1 writes. */
const updating = (): Observed => {
  const observed = healthy(makeCluster({ spec: { storage: { size: '10Gi' }, instances: 3 }, status: ran() }));
  return { ...observed, computePods: observed.computePods.map(outdatedPod) };
};

/** Those named have not been ready for so long. */
function unready(names: readonly string[], seconds: number, change: (pod: Pod) => Pod = (pod) => pod): readonly string[] {
  const observed = updating();
  const since = new Date(NOW - seconds * 1000).toISOString();
  const computePods = observed.computePods.map((pod) => {
    if (!names.includes(pod.metadata.name)) return pod;
    const conditions = [{ type: 'Ready', status: 'False', lastTransitionTime: since } as const];
    const was = running(pod, { ready: false });
    return change({ ...was, status: { ...was.status, conditions } });
  });
  return inWords({ ...observed, computePods }).filter((line) => line.startsWith('delete'));
}

describe('an update of the compute pods', () => {
  test('takes one reader at a time while all serve', () => {
    expect(unready([], 0)).toEqual(['delete pod demo-3: its spec changed']);
  });

  test.each([[['demo-1']], [['demo-2']], [['demo-1', 'demo-2', 'demo-3']]])(
    'takes none while %s became unready a moment ago: they may be back at once, and others may have to take their place',
    (names) => expect(unready(names, 2)).toEqual([]),
  );

  test('takes the one whose turn it is also when it is unready: the others serve', () => {
    expect(unready(['demo-3'], 2)).toEqual(['delete pod demo-3: its spec changed']);
  });

  test.each<[string, (observed: Observed, since: string) => Observed]>([
    [
      'became unready',
      (observed, since) => {
        const was = running(segmentAt(observed.storagePods, 3), { ready: false });
        const conditions = [{ type: 'Ready', status: 'False', lastTransitionTime: since }];
        return { ...observed, storagePods: withSegment(observed.storagePods, 3, { ...was, status: { ...was.status, conditions } }) };
      },
    ],
    [
      'fell silent',
      (observed, since) => ({
        ...observed,
        daemons: withEntry(observed.daemons, 'demo-storage-3', daemonReport(3, { silentSince: Date.parse(since) })),
      }),
    ],
  ])('takes none while a storage pod %s a moment ago, however old it is; one that stays so holds nobody up', (_what, down) => {
    const after = (seconds: number): readonly string[] =>
      inWords(down(updating(), new Date(NOW - seconds * 1000).toISOString())).filter((line) => line.startsWith('delete'));
    expect(after(8)).toEqual([]);
    expect(after(61)).toEqual(['delete pod demo-3: its spec changed']);
  });

  test('takes all that have been unready for a minute, and no other', () => {
    expect(unready(['demo-1'], 61)).toEqual(['delete pod demo-1: its spec changed']);
    expect(unready(['demo-1', 'demo-2'], 61)).toEqual(['delete pod demo-1: its spec changed', 'delete pod demo-2: its spec changed']);
  });

  test('takes one that cannot start at once: the new spec may be what helps', () => {
    const pending = (pod: Pod): Pod => ({ ...pod, status: { ...pod.status, phase: 'Pending' } });
    expect(unready(['demo-2'], 2, pending)).toEqual(['delete pod demo-2: its spec changed']);
  });
});
