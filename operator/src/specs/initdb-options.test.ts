import { expect, test } from 'vitest';
import { ANNOTATION } from '../api/names.ts';
import type { InitdbSpec } from '../api/types.ts';
import { outdatedBecause } from '../plan/outdated.ts';
import { initdbProblems } from '../plan/plan-settings.ts';
import { agentReport, healthy, makeCluster, plan, VOLUME } from '../testing/fixtures.ts';
import { computePod } from './compute-pod.ts';
import { initdbOptions, initSqlVolume } from './initdb-options.ts';

const wanting = (initdb: Partial<InitdbSpec>) => makeCluster({ spec: { storage: { size: '10Gi' }, bootstrap: { initdb } } });
const references: Partial<InitdbSpec> = {
  localeProvider: 'icu',
  icuLocale: 'de-DE',
  postInitSQL: ['create role auditor'],
  postInitApplicationSQLRefs: {
    configMapRefs: [{ name: 'shop', key: 'tables.sql' }],
    secretRefs: [{ name: 'shop-secrets', key: 'grants.sql' }],
  },
};

test('the agent gets what concerns it, with a file for each reference; Secrets come first', () => {
  expect(JSON.parse(initdbOptions(makeCluster()))).toEqual({});
  expect(JSON.parse(initdbOptions(wanting(references)))).toEqual({
    localeProvider: 'icu',
    icuLocale: 'de-DE',
    postInitSQL: ['create role auditor'],
    postInitApplicationSQLRefs: [
      { from: 'key grants.sql of Secret shop-secrets', file: 'postInitApplicationSQL/0.sql' },
      { from: 'key tables.sql of ConfigMap shop', file: 'postInitApplicationSQL/1.sql' },
    ],
  });
  expect(initSqlVolume(makeCluster())).toBeUndefined();
  expect(initSqlVolume(wanting(references))?.projected?.sources).toEqual([
    { secret: { name: 'shop-secrets', items: [{ key: 'grants.sql', path: 'postInitApplicationSQL/0.sql' }], optional: true } },
    { configMap: { name: 'shop', items: [{ key: 'tables.sql', path: 'postInitApplicationSQL/1.sql' }], optional: true } },
  ]);
});

test('other references replace a pod until there is a database, and none after that', () => {
  const pod = (initdb: Partial<InitdbSpec>, volumeExists: boolean) =>
    computePod(wanting(initdb), {
      ordinal: 1,
      role: 'writer',
      volumeId: VOLUME,
      volumeExists,
      zone: 'zone-a',
      image: 'c:1',
      servesReads: true,
      mountedVersions: '',
    });
  expect(outdatedBecause(pod({}, false), pod(references, false))).toBe('what its first database is made with changed');
  expect(outdatedBecause(pod({}, true), pod(references, true))).toBeUndefined();
  const made = pod(references, false);
  expect(made.metadata.annotations?.[ANNOTATION.specHash]).toBe(pod({}, false).metadata.annotations?.[ANNOTATION.specHash]);
  expect(made.spec.containers[0]?.volumeMounts).toContainEqual({
    name: 'init-sql',
    mountPath: '/etc/kube-aurora/init-sql',
    readOnly: true,
  });
});

test('what initdb refuses is told as a problem of the spec', () => {
  const observed = {
    ...healthy(),
    agents: new Map([['demo-1', agentReport({ phase: 'bootstrapping', reason: 'initdbRefused', message: 'invalid locale name "xx"' })]]),
  };
  expect(initdbProblems(observed)).toMatchObject([{ field: 'spec.bootstrap.initdb', reason: 'BootstrapRefused', fatal: false }]);
  expect(plan(observed).problems[0]?.message).toContain('invalid locale name "xx"');
});
