import { expect, test } from 'vitest';
import type { Cluster, TokenLogin } from '@kube-aurora/cluster-view';
import { libpqEnvironment } from './plan-psql.ts';
import { planTokenLogin, tokenRequest } from './plan-token-login.ts';

const cluster = (logins: readonly TokenLogin[], taken = true): Cluster => ({
  metadata: { name: 'demo', namespace: 'shop' },
  spec: { postgresql: { logins }, bootstrap: { initdb: { database: 'orders' } } },
  status: taken ? { tokenLogins: { endpoint: 'demo-rw.shop.svc:5433', audience: 'kube-aurora/shop/demo' } } : {},
});
const SHOP = { serviceAccount: 'shop', role: 'app' };
const DBA = { serviceAccount: 'dba', namespace: 'ops', role: 'postgres' };
const nobody = { serviceAccount: undefined, user: undefined };
const PLAN = { namespace: 'shop', database: 'orders', audience: 'kube-aurora/shop/demo', port: 5433 };

test('the only login of the manifest is meant by none', () => {
  expect(planTokenLogin(cluster([SHOP]), nobody)).toEqual({ ...PLAN, serviceAccount: 'shop', user: 'app' });
});

test.each([
  [
    { serviceAccount: 'shop', user: undefined },
    { ...PLAN, serviceAccount: 'shop', user: 'app' },
  ],
  [
    { serviceAccount: 'ops/dba', user: undefined },
    { ...PLAN, serviceAccount: 'dba', namespace: 'ops', user: 'postgres', database: 'postgres' },
  ],
  [
    { serviceAccount: undefined, user: 'app' },
    { ...PLAN, serviceAccount: 'shop', user: 'app' },
  ],
])('of several %j is one', (named, expected) => {
  expect(planTokenLogin(cluster([SHOP, DBA]), named)).toEqual(expected);
});

test.each([
  [cluster([]), nobody, 'spec.postgresql.logins of demo names nobody'],
  [cluster([SHOP], false), nobody, 'has not taken up spec.postgresql.logins of demo yet'],
  [
    cluster([SHOP, DBA]),
    nobody,
    'several that fit: use --serviceaccount shop/shop --user app, or --serviceaccount ops/dba --user postgres',
  ],
  [cluster([SHOP]), { serviceAccount: 'dba', user: undefined }, 'nothing that fits: use --serviceaccount shop/shop --user app'],
])('what cannot be told is asked for (%#)', (of, named, words) => {
  expect(() => planTokenLogin(of, named)).toThrow(words);
});

test('the token is for this cluster alone, as short as the port wants it, and never sent in plain text', () => {
  expect(tokenRequest('kube-aurora/shop/demo')).toMatchObject({ spec: { audiences: ['kube-aurora/shop/demo'], expirationSeconds: 900 } });
  const login = { user: 'app', password: 'token', database: 'orders', ca: undefined, onlyWithTls: true };
  const at = { name: 'demo-rw.shop.svc', ip: '127.0.0.1', port: 4711 };
  expect(libpqEnvironment(login, at, undefined)).toMatchObject({ PGSSLMODE: 'require', PGPASSWORD: 'token' });
  expect(libpqEnvironment({ ...login, ca: 'PEM' }, at, '/ca')).toMatchObject({ PGSSLMODE: 'verify-full', PGSSLROOTCERT: '/ca' });
});
