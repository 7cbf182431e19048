import { describe, expect, test } from 'vitest';
import { ANNOTATION, LABEL } from '../api/names.ts';
import { segmentIds, SegmentMap } from '../api/segment-id.ts';
import {
  agentReport,
  at,
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
  untouched,
  VOLUME,
  withEntry,
  without,
  withoutSegments,
  withSegment,
} from '../testing/fixtures.ts';
import type { Observed } from '../observed/observed.ts';

const initializedStatus = {
  storage: { summary: '6/6', ready: 6, desired: 6, initialized: true, segments: [] },
  volumeId: VOLUME,
  epoch: 3,
};

describe('a cluster from nothing', () => {
  test('gets everything at once', () => {
    expect(inWords(untouched())).toEqual([
      'apply Service demo-rw',
      'apply Service demo-ro',
      'apply Service demo-r',
      'apply Service demo-instances',
      'apply Service demo-storage',
      'create Secret demo-superuser',
      'create Secret demo-app',
      'apply ConfigMap demo-settings',
      ...[0, 1, 2, 3, 4, 5].map((index) => `apply PersistentVolumeClaim demo-storage-${index}`),
      'apply PodDisruptionBudget demo-storage',
      ...[0, 1, 2, 3, 4, 5].map((index) => `create pod demo-storage-${index}`),
      'create pod demo-1',
    ]);
  });

  test('and nothing once all is well', () => {
    expect(plan(healthy())).toMatchObject({ actions: [], obstacles: [], outdated: [], problems: [], volumeId: VOLUME });
  });

  test('marks a claim once its segment holds data', () => {
    const observed = healthy();
    const bare = {
      ...segmentAt(observed.claims, 2),
      metadata: { ...segmentAt(observed.claims, 2).metadata, annotations: { [ANNOTATION.volumeId]: VOLUME } },
    };
    expect(inWords({ ...observed, claims: withSegment(observed.claims, 2, bare) })).toEqual(['apply PersistentVolumeClaim demo-storage-2']);
  });

  test('makes nothing while the cluster is being deleted', () => {
    const cluster = makeCluster();
    expect(inWords(untouched({ ...cluster, metadata: { ...cluster.metadata, deletionTimestamp: '2026-11-21T12:00:00Z' } }))).toEqual([
      'take our finalizer off',
    ]);
  });
});

describe('claims', () => {
  test('retained ones are found again, with their volume', () => {
    const old = healthy();
    const again = { ...makeCluster(), metadata: { ...makeCluster().metadata, uid: 'another-uid' } };
    const observed: Observed = { ...untouched(again), claims: old.claims };
    const made = plan(observed);
    expect(made.volumeId).toBe(VOLUME);
    expect(inWords(observed).filter((line) => line.includes('PersistentVolumeClaim'))).toEqual([]);
    expect(inWords(observed)).toContain('create pod demo-1');
  });

  test('get an owner under Delete and lose it under Retain', () => {
    const deleting = makeCluster({ spec: { storage: { size: '10Gi', reclaimPolicy: 'Delete' } } });
    const observed = { ...healthy(), cluster: deleting };
    expect(inWords(observed).filter((line) => line.includes('PersistentVolumeClaim'))).toHaveLength(6);
    expect(inWords(healthy(deleting))).toEqual([]);
    expect(inWords({ ...healthy(deleting), cluster: makeCluster() }).filter((line) => line.includes('PersistentVolumeClaim'))).toHaveLength(
      6,
    );
  });

  describe('of another size', () => {
    const sized = (size: string): Observed => ({ ...healthy(), cluster: makeCluster({ spec: { storage: { size } } }) });
    const inClass = (observed: Observed, allowVolumeExpansion: boolean): Observed => ({
      ...observed,
      storageClasses: [{ apiVersion: 'storage.k8s.io/v1', kind: 'StorageClass', metadata: { name: 'fast' }, allowVolumeExpansion }],
      claims: mapSegments(observed.claims, (claim) => ({ ...claim, spec: { ...claim.spec, storageClassName: 'fast' } })),
    });

    test('grow where their class allows it', () => {
      expect(inWords(sized('20Gi'))).toHaveLength(6);
      expect(inWords(inClass(sized('20Gi'), true))).toHaveLength(6);
    });

    test('are left alone where it does not, and the field is named', () => {
      const observed = inClass(sized('20Gi'), false);
      expect(inWords(observed)).toEqual([]);
      expect(plan(observed).problems).toEqual([
        {
          field: 'spec.storage.size',
          reason: 'FieldIgnored',
          fatal: false,
          message:
            "'20Gi' is not reached: StorageClass fast does not let volumes grow (allowVolumeExpansion), so the claims stay at 10Gi; allow it in the class",
        },
      ]);
    });

    test('never shrink, and the field is named', () => {
      expect(inWords(sized('1Gi'))).toEqual([]);
      expect(plan(sized('1Gi')).problems.map(({ field, message }) => `${field} ${message}`)).toEqual([
        "spec.storage.size '1Gi' is less than the claims that are there have and is ignored: volumes never shrink; use 10Gi or more",
      ]);
    });

    test('grow once they have a volume', () => {
      const observed = sized('20Gi');
      const claims = mapSegments(observed.claims, (claim) => ({ ...claim, status: { phase: 'Pending' } }));
      expect(inWords({ ...observed, claims })).toEqual([]);
    });
  });

  test('a lost one is made anew while three copies are left', () => {
    const observed = healthy(makeCluster({ status: initializedStatus }));
    const three = {
      ...observed,
      claims: withoutSegments(observed.claims, 0, 1, 2),
      storagePods: withoutSegments(observed.storagePods, 0, 1, 2),
    };
    expect(inWords(three).filter((line) => line.startsWith('apply Pers'))).toHaveLength(3);
  });

  test('with fewer left nothing is made, a person must decide', () => {
    const observed = healthy(makeCluster({ status: initializedStatus }));
    const lost = {
      ...observed,
      claims: withoutSegments(observed.claims, 0, 1, 2, 3),
      storagePods: withoutSegments(observed.storagePods, 0, 1, 2, 3),
      computePods: [],
    };
    expect(inWords(lost)).toEqual([]);
    expect(plan(lost).obstacles).toEqual([
      {
        reason: 'DataLossRisk',
        blocking: true,
        message: expect.stringContaining(`kubectl annotate ac demo ${ANNOTATION.acceptDataLoss}=true`),
      },
    ]);
    const accepted = { ...lost, cluster: makeCluster({ status: initializedStatus, annotations: { [ANNOTATION.acceptDataLoss]: 'true' } }) };
    expect(inWords(accepted)).toHaveLength(9);
  });

  test('that are there with nothing on them start no writer', () => {
    const observed = healthy();
    const wiped = {
      ...observed,
      computePods: [],
      daemons: new Map([0, 1, 2, 3].map((index) => [`demo-storage-${index}`, daemonReport(index, { state: 'EMPTY' })])),
    };
    expect(inWords(wiped)).toEqual([]);
    expect(plan(wiped).obstacles).toMatchObject([{ reason: 'DataLossRisk', blocking: true }]);
    const three = { ...wiped, daemons: without(wiped.daemons, 'demo-storage-0') };
    expect(inWords(three)).toEqual(['create pod demo-1']);
  });

  test('of two volumes under one name nothing is touched', () => {
    const observed = healthy();
    const claim = segmentAt(observed.claims, 5);
    const stranger = { ...claim, metadata: { ...claim.metadata, annotations: { [ANNOTATION.volumeId]: 'another' } } };
    const mixed = { ...observed, claims: withSegment(observed.claims, 5, stranger), computePods: [] };
    expect(inWords(mixed)).toEqual([]);
    expect(plan(mixed).obstacles[0]).toMatchObject({ reason: 'NameConflict', blocking: true });
  });
});

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
      'an outdated one that is not ready is replaced in any case',
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

describe('the compute pod', () => {
  const withCompute = (
    change: (pod: Observed['computePods'][number]) => Observed['computePods'][number],
    more: Partial<Observed> = {},
  ): Observed => {
    const observed = healthy();
    return { ...observed, computePods: observed.computePods.map(change), ...more };
  };
  const silentAgent = agentReport({ silentSince: NOW - 5_000 });

  test('fenced: removed and made anew', () => {
    expect(inWords({ ...healthy(), agents: new Map([['demo-1', agentReport({ phase: 'fenced' })]]) })).toEqual([
      'delete pod demo-1: fenced',
    ]);
  });

  test('fenced right after its start: a rival is restarting too, so wait', () => {
    const made = plan({
      ...healthy(),
      agents: new Map([['demo-1', agentReport({ phase: 'fenced', startedAt: new Date(NOW - 4_000).toISOString() })]]),
    });
    expect(made).toMatchObject({ actions: [], againInMs: 6_000 });
  });

  test('its node is down and it is silent: by force, elsewhere', () => {
    const observed = withCompute((pod) => pod, {
      nodes: [makeNode('zone-a', false), makeNode('zone-b'), makeNode('zone-c')],
      agents: new Map([['demo-1', silentAgent]]),
    });
    expect(inWords(observed)).toEqual(['force-delete pod demo-1: its node is down']);
    const next = plan({ ...observed, computePods: [], avoidZones: new Map([['demo-1', 'zone-a']]) }).actions[0];
    expect(next).toMatchObject({ kind: 'create-pod', pod: { metadata: { labels: { [LABEL.zone]: 'zone-b' } } } });
  });

  test('its node is said to be down and it answers: it stays', () => {
    expect(inWords(withCompute((pod) => pod, { nodes: [makeNode('zone-a', false), makeNode('zone-b')] }))).toEqual([]);
  });

  test('silent on a healthy node: its kubelet decides', () => {
    expect(inWords(withCompute((pod) => pod, { agents: new Map([['demo-1', silentAgent]]) }))).toEqual([]);
  });

  test('terminating for too long: by force', () => {
    const late = withCompute((pod) => ({ ...pod, metadata: { ...pod.metadata, deletionTimestamp: new Date(NOW - 6_000).toISOString() } }));
    expect(inWords(late)).toEqual(['force-delete pod demo-1: it should be gone by now']);
    const early = withCompute((pod) => ({
      ...pod,
      metadata: { ...pod.metadata, deletionTimestamp: new Date(NOW + 10_000).toISOString() },
    }));
    expect(plan(early)).toMatchObject({ actions: [], againInMs: 15_000 });
  });

  test('outdated: replaced after storage', () => {
    expect(inWords(withCompute(outdatedPod))).toEqual(['delete pod demo-1: its spec changed']);
    const observed = withCompute(outdatedPod);
    expect(
      inWords({ ...observed, storagePods: withSegment(observed.storagePods, 5, outdatedPod(segmentAt(observed.storagePods, 5))) }),
    ).toEqual(['delete pod demo-storage-5: its spec changed']);
  });

  test('gets the role that the Service selects by', () => {
    const observed = withCompute((pod) => ({
      ...pod,
      metadata: { ...pod.metadata, labels: { ...pod.metadata.labels, [LABEL.role]: 'none' } },
    }));
    expect(inWords(observed)).toEqual(['mark pod demo-1']);
  });

  test('is told once its volume holds a database, and made anew when the loss of that was accepted', () => {
    const bootstrapping = withCompute((pod) => ({
      ...pod,
      metadata: { ...pod.metadata, annotations: { ...pod.metadata.annotations, [ANNOTATION.volumeExists]: 'false' } },
    }));
    expect(plan(bootstrapping).actions).toMatchObject([{ kind: 'mark-pod', annotations: { [ANNOTATION.volumeExists]: 'true' } }]);
    const accepting = makeCluster({ annotations: { [ANNOTATION.acceptDataLoss]: 'true' } });
    const refusing = { ...withCompute((pod) => running(pod, { ready: false })), cluster: accepting };
    expect(inWords(refusing)).toEqual(['delete pod demo-1: the loss of its data was accepted: the next one may make a new database']);
    expect(plan({ ...refusing, computePods: [] }).actions).toMatchObject([
      { kind: 'create-pod', pod: { metadata: { annotations: { [ANNOTATION.volumeExists]: 'false' } } } },
    ]);
    expect(inWords({ ...healthy(), cluster: accepting })).toEqual(['mark pod demo-1']);
  });
});

describe('access', () => {
  test('a given Secret that is missing is named, and no writer starts without it', () => {
    const cluster = makeCluster({ spec: { storage: { size: '10Gi' }, superuserSecret: { name: 'mine' } } });
    const observed = untouched(cluster);
    expect(inWords(observed)).not.toContain('create pod demo-1');
    expect(inWords(observed)).not.toContain('create Secret demo-superuser');
    expect(plan(observed).obstacles[0]).toMatchObject({
      reason: 'SecretMissing',
      message: expect.stringContaining('kubectl create secret generic mine'),
    });
  });

  test('a Secret whose database changed keeps its password', () => {
    const observed = healthy();
    const renamed = {
      ...observed,
      cluster: makeCluster({ spec: { storage: { size: '10Gi' }, bootstrap: { initdb: { database: 'other' } } } }),
    };
    const applied = plan(renamed).actions.find((action) => action.kind === 'apply');
    expect(applied).toMatchObject({
      object: { data: { password: Buffer.from('secret').toString('base64'), dbname: Buffer.from('other').toString('base64') } },
    });
  });

  test('a Service that somebody changed is put right', () => {
    const observed = healthy();
    const service = at(observed.services, 'demo-rw');
    const bent = { ...service, spec: { ...service.spec, selector: { app: 'else' } } };
    expect(inWords({ ...observed, services: withEntry(observed.services, 'demo-rw', bent) })).toEqual(['apply Service demo-rw']);
  });
});

test('a spec that cannot be carried out stops everything and says why', () => {
  const made = plan(untouched(makeCluster({ spec: { storage: { size: '10Gi', zones: ['a', 'a', 'b'] } } })));
  expect(made.actions).toEqual([]);
  expect(made.obstacles[0]?.message).toContain('spec.storage.zones');
});

test('a parameter of ours is left out, the rest is done', () => {
  const made = plan(
    untouched(makeCluster({ spec: { storage: { size: '10Gi' }, postgresql: { parameters: { fsync: 'off', work_mem: '8MB' } } } })),
  );
  expect(made.problems).toEqual([
    { field: 'spec.postgresql.parameters.fsync', fatal: false, message: expect.stringContaining('remove it') },
  ]);
  const settings = made.actions.find((action) => action.kind === 'apply' && action.object.kind === 'ConfigMap');
  expect(settings).toMatchObject({ object: { data: { 'parameters.json': '{"work_mem":"8MB"}' } } });
});

function backOff(startedAt: string, finishedAt: string) {
  return {
    name: 'main',
    ready: false,
    restartCount: 3,
    state: { waiting: { reason: 'CrashLoopBackOff' } },
    lastState: { terminated: { exitCode: 137, startedAt, finishedAt } },
  };
}

describe('the disruption budget', () => {
  test('counts pods that stay, and comes back when it was deleted or changed', () => {
    const observed = healthy();
    const live = at(observed.budgets, 'demo-storage');
    expect(live.spec).toEqual({ minAvailable: 5, selector: { matchLabels: { [LABEL.cluster]: 'demo', [LABEL.component]: 'storage' } } });
    expect(inWords({ ...observed, budgets: new Map() })).toEqual(['apply PodDisruptionBudget demo-storage']);
    const loosened = { ...live, spec: { ...live.spec, minAvailable: 0 } };
    expect(inWords({ ...observed, budgets: new Map([['demo-storage', loosened]]) })).toEqual(['apply PodDisruptionBudget demo-storage']);
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
