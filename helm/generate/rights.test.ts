/**
 * The operator's rights. None missing: a call that resources.ts does not name does not compile, and the chart's roles are
 * the table's. None unused: the code has a call for each right.
 */
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { CLUSTERS } from '../../operator/src/api/cluster-resource.ts';
import type { KubeApi } from '../../operator/src/kube/client.ts';
import { RESOURCE } from '../../operator/src/kube/resources.ts';
import { FakeApi } from '../../operator/src/testing/fake-api.ts';
import { find, render, type Manifest } from './chart.ts';

interface Role extends Manifest {
  readonly rules: readonly { apiGroups: string[]; resources: string[]; verbs: string[]; resourceNames?: string[] }[];
}

const OPERATOR = path.resolve(import.meta.dirname, '../../operator/src');
const TABLE = { ...RESOURCE, clusters: CLUSTERS };

/** `GROUP/RESOURCE VERB`, sorted. */
function granted(...roles: readonly Role[]): readonly string[] {
  return roles
    .flatMap(({ rules }) =>
      rules.flatMap(({ apiGroups, resources, verbs }) =>
        apiGroups.flatMap((group) => resources.flatMap((resource) => verbs.map((verb) => `${group}/${resource} ${verb}`))),
      ),
    )
    .toSorted();
}

function needed(which: (entry: (typeof TABLE)[keyof typeof TABLE]) => boolean): readonly string[] {
  return Object.values(TABLE)
    .filter(which)
    .flatMap((entry) => {
      const group = /^\/apis\/([^/]+)\//.exec(entry.root)?.[1] ?? '';
      return Object.keys(entry.verbs).map((verb) =>
        verb === 'patch-status'
          ? `${group}/${entry.plural}/status patch`
          : verb === 'create-token'
            ? `${group}/${entry.plural}/token create`
            : `${group}/${entry.plural} ${verb}`,
      );
    });
}

/** Asked by the API server of who makes an owner reference that blocks the owner's deletion, as specs/metadata.ts does. */
const BLOCKING_OWNER = 'kube-aurora.dev/auroraclusters/finalizers update';
const isLease = (entry: object): boolean => entry === RESOURCE.leases;
/** In the operator's own namespace alone. */
const isOwn = (entry: object): boolean => isLease(entry) || entry === RESOURCE.serviceAccounts;

test('a call that the table does not name does not compile', async () => {
  const api: KubeApi = new FakeApi();
  // @ts-expect-error: the operator deletes no Secrets.
  await expect(api.remove(RESOURCE.secrets, 'default', 'demo-app')).rejects.toThrow();
  // @ts-expect-error: nor does it write nodes.
  await expect(api.merge(RESOURCE.nodes, undefined, 'node-1', {})).rejects.toThrow();
});

test('in cluster mode one ClusterRole has what the operator calls, and its Lease is in its own namespace', () => {
  const objects = render();
  expect(granted(find<Role>(objects, 'ClusterRole', 'kube-aurora-operator'))).toEqual(
    [...needed((entry) => !isOwn(entry)), BLOCKING_OWNER].toSorted(),
  );
  const leader = find<Role>(objects, 'Role', 'kube-aurora-operator-leader');
  expect(granted(leader)).toEqual(needed(isLease).toSorted());
  expect(leader.metadata.namespace).toBe('kube-aurora-system');
  expect(leader.rules.find(({ verbs }) => verbs.includes('update'))?.resourceNames).toEqual(['kube-aurora-operator']);
});

test('in namespaced mode only what has no namespace is granted cluster-wide', () => {
  const objects = render({ values: { watchNamespace: 'shop' } });
  expect(granted(find<Role>(objects, 'ClusterRole', 'kube-aurora-operator-shop'))).toEqual(
    needed(({ namespaced }) => !namespaced).toSorted(),
  );
  const role = find<Role>(objects, 'Role', 'kube-aurora-operator');
  expect(role.metadata.namespace).toBe('shop');
  expect(granted(role)).toEqual([...needed((entry) => entry.namespaced && !isOwn(entry)), BLOCKING_OWNER].toSorted());
  expect(objects.flatMap(({ kind, metadata }) => (kind === 'ClusterRole' ? [metadata.name] : [])).toSorted()).toEqual([
    'kube-aurora-operator-shop',
    'kube-aurora-token-review-shop',
  ]);
});

test.each(['', 'shop'])(
  'computes of namespace %j are given tokens of who may review tokens, and nothing else; the operator may issue those alone',
  (watchNamespace) => {
    const objects = render({ values: { watchNamespace } });
    const name = 'kube-aurora-token-review';
    const clusterWide = watchNamespace === '' ? name : `${name}-${watchNamespace}`;
    expect(granted(find<Role>(objects, 'ClusterRole', clusterWide))).toEqual(['authentication.k8s.io/tokenreviews create']);
    expect(find(objects, 'ClusterRoleBinding', clusterWide)).toMatchObject({
      subjects: [{ kind: 'ServiceAccount', name, namespace: 'kube-aurora-system' }],
    });
    expect(find(objects, 'ServiceAccount', name)).toMatchObject({ automountServiceAccountToken: false });
    const role = find<Role>(objects, 'Role', name);
    expect(granted(role)).toEqual(needed((entry) => entry === RESOURCE.serviceAccounts));
    expect(role.rules[0]?.resourceNames).toEqual([name]);
    const without = render({ values: { watchNamespace, tokenLogins: { enabled: false } } });
    expect(without.filter(({ metadata }) => metadata.name.startsWith(name))).toEqual([]);
  },
);

test.each([{}, { watchNamespace: 'shop' }])('no rule of %o has a wildcard', (values) => {
  const roles = render({ values }).filter((object): object is Role => object.kind.endsWith('Role'));
  expect(granted(...roles).filter((right) => right.includes('*'))).toEqual([]);
});

describe('the console', () => {
  const looks = ['/events list', '/pods list', 'kube-aurora.dev/auroraclusters list'];
  const reviews = ['authentication.k8s.io/tokenreviews create', 'authorization.k8s.io/subjectaccessreviews create'];

  test('is not there unless it is asked for', () =>
    expect(render().filter(({ metadata }) => metadata.name.includes('console'))).toEqual([]));

  test('may look, and ask whose a token is: no Secret, and nothing that changes anything', () => {
    expect(granted(find<Role>(render({ values: { console: { enabled: true } } }), 'ClusterRole', 'kube-aurora-operator-console'))).toEqual(
      [...looks, ...reviews].toSorted(),
    );
  });

  test('looks at one namespace where one is watched; an open one asks of no token', () => {
    const objects = render({ values: { console: { enabled: true, access: 'open' }, watchNamespace: 'shop' } });
    expect(granted(find<Role>(objects, 'Role', 'kube-aurora-console'))).toEqual(looks);
    expect(granted(find<Role>(objects, 'ClusterRole', 'kube-aurora-operator-shop-console'))).toEqual([]);
  });
});

describe('no right is unused', () => {
  const source = globSync('**/*.ts', { cwd: OPERATOR, exclude: ['**/*.test.ts', 'testing/**'] })
    .map((file) => readFileSync(path.join(OPERATOR, file), 'utf8'))
    .join('\n');
  /** Where each verb is called from; `apply` looks whether the name is taken, makes and changes. */
  const calls = (name: string): Readonly<Record<string, readonly RegExp[]>> => {
    const applied = new RegExp(`kind: 'apply',\\s+resource: ${name}\\b`);
    const called = (method: string): RegExp => new RegExp(`\\.${method}(?:<\\w+>)?\\(${name}\\b`);
    const made = new RegExp(`make\\(context, ${name}\\b`);
    const informer = [new RegExp(`managed<\\w+>\\(${name}\\)`), new RegExp(`Informer<\\w+>\\(\\{[^}]*?resource: ${name}\\b`)];
    return {
      get: [called('get'), made, applied],
      list: informer,
      watch: informer,
      create: [called('create'), made, applied],
      update: [called('replace')],
      patch: [called('merge'), applied],
      'patch-status': [called('mergeStatus')],
      delete: [called('remove')],
      'create-token': [called('requestToken')],
    };
  };

  test.each(Object.entries(TABLE).flatMap(([key, { verbs }]) => Object.keys(verbs).map((verb) => [key, verb] as const)))(
    '%s %s',
    (key, verb) => {
      const name = key === 'clusters' ? 'CLUSTERS' : `RESOURCE.${key}`;
      const patterns = calls(name)[verb] ?? [];
      expect(
        patterns.some((pattern) => pattern.test(source)),
        `no call of the operator needs '${verb}' of ${name}`,
      ).toBe(true);
    },
  );
});
