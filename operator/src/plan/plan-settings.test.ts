import { expect, test } from 'vitest';
import { ANNOTATION } from '../api/names.ts';
import type { AuroraClusterStatus } from '../api/status-types.ts';
import type { Observed } from '../observed/observed.ts';
import type { AgentReport } from '../observed/reports.ts';
import { connectionSecret, appCredentials } from '../specs/secrets.ts';
import { settingsFingerprint, settingsMap, wantedRules } from '../specs/settings-map.ts';
import { computeStatus } from '../status/compute-status.ts';
import { noticesOf } from '../status/transitions.ts';
import { agentReport, healthy, makeCluster, NOW, plan, inWords, withEntry, without } from '../testing/fixtures.ts';

const OLD = '{"work_mem":"8MB"}';
const NEW = '{"work_mem":"banana"}';
const ran: AuroraClusterStatus = { firstReadyAt: '2026-11-21T09:00:00Z' };
const wanting = (value: string) =>
  makeCluster({ spec: { storage: { size: '10Gi' }, postgresql: { parameters: { work_mem: value } } }, status: ran });

function saying(observed: Observed, change: Partial<AgentReport>): Observed {
  return { ...observed, agents: new Map([['demo-1', agentReport(change)]]) };
}

test('a changed parameter changes the ConfigMap, and no pod', () => {
  const before = healthy(wanting('8MB'));
  expect(inWords(before)).toEqual([]);
  expect(inWords({ ...before, cluster: wanting('banana') })).toEqual(['apply ConfigMap demo-settings']);
});

test('what an agent says it runs is recorded as accepted, and stays so while others are refused', () => {
  const running = saying(healthy(wanting('8MB')), {
    settings: { wanted: settingsFingerprint(OLD), running: settingsFingerprint(OLD), state: 'applied', message: '' },
  });
  expect(plan(running).actions).toMatchObject([{ object: { data: { 'parameters.json': OLD, 'accepted.json': OLD } } }]);
  const recorded = settingsMap(wanting('banana'), { parameters: OLD, rules: undefined });
  const refused = saying(
    { ...healthy(wanting('banana')), configMaps: new Map([['demo-settings', recorded]]) },
    { settings: { wanted: settingsFingerprint(NEW), running: settingsFingerprint(OLD), state: 'refused', message: 'no bananas' } },
  );
  expect(inWords(refused)).toEqual([]);
});

test("a refusal is told in PostgreSQL's words, and only for what is wanted now", () => {
  const refusal = { wanted: settingsFingerprint(NEW), running: settingsFingerprint(OLD), state: 'refused', message: 'no bananas' };
  const observed = saying(healthy(wanting('banana')), { settings: refusal });
  const status = computeStatus(observed, plan(observed));
  expect(status.phase).toBe('Ready');
  expect(status.conditions?.find(({ type }) => type === 'SpecAccepted')).toMatchObject({
    status: 'False',
    reason: 'ParameterRefused',
    message: 'spec.postgresql.parameters are refused by PostgreSQL, and those before stay in force: no bananas',
  });
  expect(plan(saying(healthy(wanting('9MB')), { settings: refusal })).problems).toEqual([]);
});

test('a pod is told that something mounted into it changed, without a digest of what it is', () => {
  const observed = healthy(wanting('8MB'));
  const app = appCredentials(observed.cluster);
  const ca = observed.secrets.get(app.secretName)?.data?.['ca.crt'];
  const secret = connectionSecret(observed.cluster, app, 'changed', ca);
  const versioned = { ...secret, metadata: { ...secret.metadata, resourceVersion: '77' } };
  const changed = { ...observed, secrets: withEntry(observed.secrets, app.secretName, versioned) };
  expect(inWords(changed)).toEqual(['mark pod demo-1']);
  const same = { ...secret, data: { ...secret.data, password: 'b3RoZXI=' } };
  const annotation = (secrets: Observed['secrets']): unknown =>
    plan({ ...changed, secrets }).actions.flatMap((action) =>
      action.kind === 'mark-pod' ? [action.annotations[ANNOTATION.mountedVersions]] : [],
    )[0];
  const other = { ...same, metadata: { ...same.metadata, resourceVersion: '77' } };
  expect(annotation(withEntry(observed.secrets, app.secretName, other))).toBe(annotation(changed.secrets));
});

test('a Secret that goes missing keeps no writer down once the cluster ran, and is told', () => {
  const cluster = makeCluster({ spec: { storage: { size: '10Gi' }, superuserSecret: { name: 'mine' } }, status: ran });
  const observed = { ...healthy(cluster), computePods: [], secrets: without(healthy(cluster).secrets, 'mine') };
  expect(inWords(observed)).toContain('create pod demo-1');
  const status = computeStatus(observed, plan(observed));
  expect(status.conditions?.find(({ type }) => type === 'CredentialsApplied')).toMatchObject({
    status: 'False',
    reason: 'SecretMissing',
    message: expect.stringContaining('Secret mine does not exist: role postgres keeps the password it has'),
  });
});

test('a password that was changed in the database is told once', () => {
  const passwords = (changedAt: string): NonNullable<AgentReport['passwords']> =>
    ['postgres', 'app'].map((role) => ({ role, state: 'applied', changedAt, message: '' }));
  const first = saying(healthy(wanting('8MB')), { passwords: passwords('2026-11-21T10:00:00Z') });
  const before = computeStatus(first, plan(first));
  expect(before.conditions?.find(({ type }) => type === 'CredentialsApplied')?.status).toBe('True');
  const second = saying({ ...first, cluster: { ...first.cluster, status: before } }, { passwords: passwords('2026-11-21T11:00:00Z') });
  const after = computeStatus(second, plan(second));
  expect(noticesOf(before, after, NOW).map(({ reason, message }) => `${reason}: ${message}`)).toEqual([
    'PasswordChanged: Role postgres has the new password of Secret demo-superuser',
    'PasswordChanged: Role app has the new password of Secret demo-app',
  ]);
  expect(noticesOf(after, after, NOW)).toEqual([]);
});

const admitting = (postgresql: object) => makeCluster({ spec: { storage: { size: '1Gi' }, postgresql } });
const RULES = ['hostssl app app 10.0.0.0/8 cert'];

test('lines of pg_hba go to the agent, those that refuse plain text first', () => {
  expect(wantedRules(admitting({}))).toBe('[]');
  expect(wantedRules(admitting({ pg_hba: RULES }))).toBe(JSON.stringify(RULES));
  expect(JSON.parse(wantedRules(admitting({ requireTLS: true, pg_hba: RULES })))).toEqual([
    'hostnossl all all all reject',
    'hostnossl replication all all reject',
    ...RULES,
  ]);
});

test('lines that hold are recorded; what PostgreSQL refuses of them is told in its words', () => {
  const cluster = admitting({ pg_hba: RULES });
  const wanted = settingsFingerprint(JSON.stringify(RULES));
  const applied = saying(healthy(cluster), { loginRules: { wanted, running: wanted, state: 'applied', message: '' } });
  expect(plan(applied).actions).toMatchObject([{ object: { data: { 'accepted-pg_hba.json': JSON.stringify(RULES) } } }]);
  expect(plan(applied).problems).toEqual([]);
  const refused = { wanted, state: 'refused', message: 'line 1: no such thing' };
  for (const [report, message] of [
    [{ ...refused, running: 'before' }, 'is refused by PostgreSQL, and those before stay in force: line 1: no such thing'],
    [refused, 'is refused by PostgreSQL, and nobody is let in from the network: line 1: no such thing'],
  ] as const) {
    const observed = saying(healthy(cluster), { loginRules: report });
    expect(plan(observed).problems).toEqual([{ field: 'spec.postgresql.pg_hba', message, reason: 'LoginRulesRefused', fatal: false }]);
  }
  expect(plan(saying(healthy(cluster), { loginRules: { ...refused, wanted: 'of before' } })).problems).toEqual([]);
});
