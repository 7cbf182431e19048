import { describe, expect, test } from 'vitest';
import type { Pod } from '@kube-aurora/cluster-view';
import { chooseRoute, libpqEnvironment, loginOf } from './plan-psql.ts';

const encoded = (fields: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, Buffer.from(value).toString('base64')]));

const pod = (name: string, labels: Record<string, string>, ready = true): Pod => ({
  metadata: { name, labels },
  status: { conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] },
});
const PODS = [
  pod('demo-1', { 'kube-aurora.dev/role': 'writer', 'kube-aurora.dev/serves': 'true', 'kube-aurora.dev/serves-reads': 'false' }),
  pod('demo-2', { 'kube-aurora.dev/role': 'reader', 'kube-aurora.dev/serves': 'true', 'kube-aurora.dev/serves-reads': 'true' }, false),
  pod('demo-3', { 'kube-aurora.dev/role': 'reader', 'kube-aurora.dev/serves': 'true', 'kube-aurora.dev/serves-reads': 'true' }),
];

describe('the way to PostgreSQL', () => {
  test.each([
    ['127.139.0.4', false, 'rw', { kind: 'direct', host: '127.139.0.4', port: 5432 }],
    // Somebody else's machine may have it here: nobody is to be asked for a login by chance.
    ['10.96.0.4', false, 'rw', { kind: 'forward', pod: 'demo-1' }],
    ['10.96.0.4', true, 'rw', { kind: 'direct', host: '10.96.0.4', port: 5432 }],
    ['None', true, 'r', { kind: 'forward', pod: 'demo-1' }],
    ['10.96.0.4', false, 'ro', { kind: 'forward', pod: 'demo-3' }],
  ] as const)('to %s, in the cluster %s, as %s', (clusterIP, inCluster, role, expected) => {
    expect(chooseRoute({ clusterIP, port: 5432 }, inCluster, role, PODS)).toEqual(expected);
  });

  test('there is none while nobody is ready', () => {
    expect(() => chooseRoute({ clusterIP: '10.96.0.4', port: 5432 }, false, 'ro', PODS.slice(0, 2))).toThrow(
      'no instance is ready for role ro',
    );
  });
});

describe('a login', () => {
  test('is what the Secret says; with a CA in it the server must prove itself', () => {
    const login = loginOf('demo-app', encoded({ username: 'app', password: 'pä:ss', dbname: 'app', 'ca.crt': 'PEM' }));
    expect(login).toEqual({ user: 'app', password: 'pä:ss', database: 'app', ca: 'PEM', onlyWithTls: false });
    const at = { name: 'demo-rw.default.svc', ip: '127.0.0.1', port: 4711 };
    const plain = {
      PGHOST: 'demo-rw.default.svc',
      PGHOSTADDR: '127.0.0.1',
      PGPORT: '4711',
      PGUSER: 'app',
      PGPASSWORD: 'pä:ss',
      PGDATABASE: 'app',
    };
    expect(libpqEnvironment(login, at, undefined)).toEqual(plain);
    expect(libpqEnvironment(login, at, '/tmp/ca.crt')).toEqual({ ...plain, PGSSLMODE: 'verify-full', PGSSLROOTCERT: '/tmp/ca.crt' });
  });

  test('of a superuser is to any database', () => {
    expect(loginOf('s', encoded({ username: 'postgres', password: 'x', dbname: '*' }))).toEqual({
      user: 'postgres',
      password: 'x',
      database: 'postgres',
      ca: undefined,
      onlyWithTls: false,
    });
  });

  test('without a password is none', () => {
    expect(() => loginOf('demo-app', encoded({ username: 'app' }))).toThrow('Secret demo-app has no password');
    expect(() => loginOf('demo-app', {})).toThrow('Secret demo-app has no username');
  });
});
