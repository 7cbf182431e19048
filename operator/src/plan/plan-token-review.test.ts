import { expect, test } from 'vitest';
import { ANNOTATION } from '../api/names.ts';
import { perform } from '../controller/perform.ts';
import { ApiError } from '@kube-aurora/kube-http';
import type { Secret } from '../kube/objects.ts';
import { REVIEW_TOKEN_SECONDS, reviewRenewalMs, tokenReviewSecret } from '../specs/token-review-secret.ts';
import { clientServices } from '../specs/services.ts';
import { settingsMap } from '../specs/settings-map.ts';
import { computeStatus } from '../status/compute-status.ts';
import { contextAt } from '../testing/certificates.ts';
import { FakeApi } from '../testing/fake-api.ts';
import { at, healthy, inWords, makeCluster, NOW, plan, withEntry } from '../testing/fixtures.ts';

const LOGINS = [
  { serviceAccount: 'shop', role: 'app' },
  { serviceAccount: 'dba', namespace: 'ops', role: 'postgres', allowSuperuser: true },
];
const cluster = makeCluster({ spec: { storage: { size: '1Gi' }, postgresql: { logins: LOGINS } } });
const NAME = 'demo-token-review';
const HOUR_MS = 3_600_000;
const secretAt = (issuedAt: number): Secret =>
  tokenReviewSecret(cluster, {
    token: 't',
    issuedAt,
    expiresAt: issuedAt + REVIEW_TOKEN_SECONDS * 1000,
    server: 'https://api',
    ca: undefined,
  });
const holding = (secret: Secret) => ({ ...healthy(cluster), secrets: withEntry(healthy(cluster).secrets, NAME, secret) });
const ofReview = (observed: ReturnType<typeof healthy>): readonly string[] => inWords(observed).filter((line) => line.startsWith('token'));

test('agents are told who may log in as what, for which audience; the Services have a port for them', () => {
  expect(
    JSON.parse(at(new Map(Object.entries(settingsMap(cluster, { parameters: undefined, rules: undefined }).data ?? {})), 'logins.json')),
  ).toEqual({
    audience: 'kube-aurora/default/demo',
    logins: [
      { namespace: 'default', serviceAccount: 'shop', role: 'app', allowSuperuser: false },
      { namespace: 'ops', serviceAccount: 'dba', role: 'postgres', allowSuperuser: true },
    ],
  });
  const portsOf = (of: typeof cluster) =>
    Object.fromEntries(
      clientServices(of).map(({ metadata, spec }) => [metadata.name, spec.ports.find(({ name }) => name === 'token')?.targetPort]),
    );
  expect(portsOf(cluster)).toEqual({ 'demo-rw': 'token-writer', 'demo-ro': 'token', 'demo-r': 'token', 'demo-instances': 'token' });
  expect(new Set(Object.values(portsOf(makeCluster())))).toEqual(new Set([undefined]));
  expect(computeStatus(healthy(cluster), plan(healthy(cluster))).tokenLogins).toEqual({
    endpoint: 'demo-rw.default.svc:5433',
    audience: 'kube-aurora/default/demo',
  });
  expect(computeStatus(healthy(), plan(healthy())).tokenLogins).toBeUndefined();
});

test('there is a token to review with while somebody may log in, and it is renewed long before it ends', () => {
  expect(ofReview(healthy())).toEqual([]);
  expect(ofReview(healthy(cluster))).toEqual(['token to review tokens with: it is not there']);
  const observed = holding(secretAt(NOW));
  expect(ofReview(observed)).toEqual([]);
  expect(plan(observed).againInMs).toBeLessThanOrEqual(HOUR_MS);
  expect(ofReview({ ...observed, now: NOW + 7.9 * HOUR_MS })).toEqual([]);
  expect(ofReview({ ...observed, now: NOW + 8.1 * HOUR_MS })).toEqual(['token to review tokens with: its token is to be renewed']);
  const { data: _data, ...emptied } = secretAt(NOW);
  expect(ofReview(holding(emptied))).toEqual(['token to review tokens with: it holds no token']);
});

test('it is one of the ServiceAccount that the operator was given; without one the status says what is missing', async () => {
  const api = new FakeApi();
  const act = (tokenReviewer: { namespace: string; name: string } | undefined, live?: Secret) =>
    perform(
      { kind: 'issue-review-token', live, why: '' },
      { api, cluster, newPassword: () => 'x', issuing: () => contextAt(NOW), tokenReviewer },
    );
  const reviewer = { namespace: 'kube-aurora-system', name: 'kube-aurora-token-review' };
  expect(await act(reviewer)).toEqual({ kind: 'done' });
  expect(api.requests).toContain('create /api/v1/namespaces/kube-aurora-system/serviceaccounts/kube-aurora-token-review/token');
  const made = await api.get<Secret>({ root: '/api/v1', plural: 'secrets', namespaced: true, verbs: { get: true } }, 'default', NAME);
  const text = (key: string): string => Buffer.from(made.data?.[key] ?? '', 'base64').toString();
  expect([text('token'), text('server'), text('ca.crt')]).toEqual(['token of kube-aurora-token-review', 'https://api', 'CA']);
  expect(made.metadata.annotations?.[ANNOTATION.tokenRenewedAt]).toBe(new Date((REVIEW_TOKEN_SECONDS * 1000) / 3).toISOString());
  expect(reviewRenewalMs(made)).toBe((REVIEW_TOKEN_SECONDS * 1000) / 3);
  expect(await act(reviewer, made)).toEqual({ kind: 'done' });
  const missing = { kind: 'refused', obstacle: { reason: 'TokenLoginsUnavailable', blocking: false } };
  expect(await act(undefined)).toMatchObject(missing);
  api.fault = (request) => (request.includes('serviceaccounts') ? new ApiError(404, 'NotFound', `${request}: not found`) : undefined);
  expect(await act(reviewer), 'and is not asked for twice a second').toMatchObject(missing);
});
