import { describe, expect, it, test } from 'vitest';
import { authoritiesOf, PROGRAM_ROLES, type AuthorityState, type RotationStep } from '@kube-aurora/identity';
import { authoritySecret } from '../certificates/authority-secret.ts';
import { afterStep } from '../certificates/issuing.ts';
import { leafSecret } from '../certificates/leaf-secret.ts';
import { ANNOTATION } from '../api/names.ts';
import type { Secret } from '../kube/objects.ts';
import type { Observed } from '../observed/observed.ts';
import { computeStatus } from '../status/compute-status.ts';
import { AUTHORITY, certificateSecrets, contextAt, leavesOf, LEAVES } from '../testing/certificates.ts';
import { healthy, inWords, makeCluster, NOW, plan, SPREAD_MS, withEntry, without } from '../testing/fixtures.ts';

const DEMO = { namespace: 'default', cluster: 'demo' };
const DAY_MS = 86_400_000;
const at = (observed: Observed, now: number): Observed => ({ ...observed, now });
const withSecrets = (observed: Observed, secrets: readonly Secret[]): Observed => ({
  ...observed,
  secrets: new Map([...observed.secrets, ...secrets.map((secret) => [secret.metadata.name, secret] as const)]),
});
const condition = (observed: Observed) =>
  computeStatus(observed, plan(observed)).conditions?.find(({ type }) => type === 'CertificatesValid');

describe('certificates', () => {
  test('are left alone for two thirds of their time, and renewed then', () => {
    expect(inWords(healthy())).toEqual([]);
    expect(inWords(at(healthy(), NOW + 59 * DAY_MS)).filter((line) => line.startsWith('certificate'))).toEqual([]);
    expect(inWords(at(healthy(), NOW + 61 * DAY_MS)).filter((line) => line.startsWith('certificate'))).toEqual(
      PROGRAM_ROLES.map((role) => `certificate of ${role}: two thirds of their time are over`.replace('their', 'its')),
    );
  });

  test('are made anew where one is gone, is of somebody else, or lacks a name', () => {
    const observed = healthy();
    expect(inWords({ ...observed, secrets: without(observed.secrets, 'demo-compute-tls') })).toEqual([
      'certificate of compute: it is not there',
    ]);
    const storage = LEAVES.get('storage');
    if (storage === undefined) throw new Error('no leaf');
    const wrong = leafSecret(observed.cluster, 'compute', storage, authoritiesOf(AUTHORITY), { mode: 'require', sinceMs: 0 });
    expect(inWords({ ...observed, secrets: withEntry(observed.secrets, 'demo-compute-tls', wrong) })).toEqual([
      'certificate of compute: it says to be somebody else',
    ]);
    const spec = { endpoints: [{ name: 'lately', type: 'Any' as const, members: [] }] };
    expect(inWords(healthy(makeCluster({ spec })))).toContain('certificate of server: it lacks the name demo-lately');
  });

  test('say until when they are valid', () => {
    expect(condition(healthy())).toMatchObject({ status: 'True', message: expect.stringContaining('2027-02-19') as string });
    expect(condition(at(healthy(), NOW + 100 * DAY_MS))).toMatchObject({ status: 'False', reason: 'CertificateTrouble' });
  });

  test('that a program cannot use are told of', () => {
    const observed = healthy();
    const report = observed.daemons.get('demo-storage-1');
    if (report === undefined) throw new Error('no report');
    const told = {
      ...observed,
      daemons: withEntry(observed.daemons, 'demo-storage-1', { ...report, identityProblem: 'tls.key is not there' }),
    };
    expect(condition(told)?.message).toBe('demo-storage-1 goes on with the certificates from before: tls.key is not there');
  });
});

const ROLES_SECRETS = ['apply Secret demo-superuser', 'apply Secret demo-app'];

/** With the Secrets of roles as the plan wants them. */
function withApplied(observed: Observed): Observed {
  const secrets = plan(observed).actions.flatMap((action) =>
    action.kind === 'apply' && action.object.kind === 'Secret' && ROLES_SECRETS.includes(`apply Secret ${action.object.metadata.name}`)
      ? [action.object]
      : [],
  );
  return withSecrets(observed, secrets);
}

it('a rotation that is asked for goes its steps, each once everybody has seen the one before', async () => {
  const cluster = makeCluster({ annotations: { [ANNOTATION.rotateCertificates]: 'now' } });
  const stepOf = (observed: Observed): Exclude<RotationStep, { kind: 'none' | 'wait' }> | undefined =>
    plan(observed).actions.flatMap((action) => (action.kind === 'step-authority' ? [action.step] : []))[0];
  const advance = async (state: AuthorityState, observed: Observed): Promise<AuthorityState> => {
    const step = stepOf(observed);
    if (step === undefined) throw new Error(`no step: ${inWords(observed).join(', ')}`);
    return afterStep(state, step, DEMO, 'now', contextAt(observed.now));
  };
  let observed = healthy(cluster);
  expect(inWords(observed)).toEqual(['authority: announce']);
  const announced = await advance(AUTHORITY, observed);
  observed = withSecrets(observed, [authoritySecret(cluster, announced)]);
  // The bundle goes to every program at once, and nobody gets another certificate.
  expect(inWords(observed)).toEqual(PROGRAM_ROLES.map((role) => `apply Secret demo-${role}-tls`));
  expect(condition(observed)).toMatchObject({ status: 'False', reason: 'CertificatesRotating' });
  observed = withSecrets(observed, certificateSecrets(cluster, announced));
  // And from there to the clients, long before the server shows another certificate.
  expect(inWords(observed)).toEqual(ROLES_SECRETS);
  observed = withApplied(observed);
  expect(plan(observed)).toMatchObject({ actions: [], againInMs: SPREAD_MS });
  observed = at(observed, NOW + SPREAD_MS);
  const turned = await advance(announced, observed);
  observed = withSecrets(observed, [authoritySecret(cluster, turned)]);
  expect(inWords(observed)).toEqual(PROGRAM_ROLES.map((role) => `certificate of ${role}: another authority issues by now`));
  observed = withApplied(withSecrets(observed, certificateSecrets(cluster, turned, await leavesOf(turned, NOW + SPREAD_MS))));
  expect(plan(observed)).toMatchObject({ actions: [], againInMs: SPREAD_MS });
  observed = at(observed, NOW + 2 * SPREAD_MS);
  const done = await advance(turned, observed);
  observed = withSecrets(observed, certificateSecrets(cluster, done, await leavesOf(turned, NOW + SPREAD_MS)));
  expect(authoritiesOf(done)).toHaveLength(1);
  expect(inWords(observed)).toEqual(ROLES_SECRETS);
  observed = withApplied(observed);
  expect(inWords(observed)).toEqual([]);
  expect(condition(observed)?.status).toBe('True');
});

describe('an authority that somebody else keeps', () => {
  const cluster = makeCluster({ spec: { certificates: { authoritySecret: { name: 'ours' } } } });
  const secret = (data: Record<string, string>): Secret => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'ours', namespace: 'default' },
    data: Object.fromEntries(Object.entries(data).map(([key, text]) => [key, Buffer.from(text).toString('base64')])),
  });

  test('that is not there lets nothing begin, and says so', () => {
    const observed: Observed = { ...healthy(cluster), secrets: new Map(), storagePods: healthy().storagePods };
    const nothing = { ...observed, computePods: [] };
    expect(inWords(nothing).filter((line) => /certificate|authority|pod/.test(line))).toEqual([]);
    expect(condition(nothing)).toMatchObject({
      reason: 'CertificateTrouble',
      message: expect.stringContaining('Secret ours does not exist') as string,
    });
  });

  test('is gone over to by a rotation', async () => {
    const { issuing } = await afterStep(
      AUTHORITY,
      { kind: 'announce', authority: undefined, why: '' },
      DEMO,
      undefined,
      contextAt(NOW),
    ).then(({ next }) => ({ issuing: next }));
    if (issuing === undefined) throw new Error('nothing was made');
    const observed = withSecrets(healthy(cluster), [secret({ 'tls.crt': issuing.certificate, 'tls.key': issuing.key })]);
    expect(inWords(observed)).toEqual(['authority: announce']);
    const broken = withSecrets(healthy(cluster), [secret({ 'tls.crt': issuing.certificate, 'tls.key': 'nonsense' })]);
    expect(inWords(broken)).toEqual([]);
    expect(condition(broken)?.message).toMatch(/holds no authority/);
  });
});
