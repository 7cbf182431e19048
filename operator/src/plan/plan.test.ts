import { describe, expect, test } from 'vitest';
import { ANNOTATION, LABEL } from '../api/names.ts';
import {
  at,
  daemonReport,
  healthy,
  makeCluster,
  mapSegments,
  plan,
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
      'create the authority',
      ...['storage', 'compute', 'operator', 'server'].map((role) => `certificate of ${role}: it is not there`),
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
