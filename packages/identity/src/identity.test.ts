import fc from 'fast-check';
import { expect, it, test } from 'vitest';
import { identityUri, parseIdentityUri, PROGRAM_ROLES } from './identity.ts';

const name = fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,10}[a-z0-9])?$/);

it('says who somebody is in a URI, and reads it back', () => {
  fc.assert(
    fc.property(name, name, fc.constantFrom(...PROGRAM_ROLES), (namespace, cluster, role) => {
      expect(parseIdentityUri(identityUri({ namespace, cluster, role }))).toEqual({ namespace, cluster, role });
    }),
  );
});

test.each([
  'spiffe://kube-aurora.dev/ns/a/cluster/b/role/root',
  'spiffe://kube-aurora.dev/ns/a/cluster/b/role/storage/',
  'spiffe://kube-aurora.dev/ns/a/cluster/b/role/storage?x',
  'spiffe://kube-aurora-dev/ns/a/cluster/b/role/storage',
  'spiffe://other.dev/ns/a/cluster/b/role/storage',
  'spiffe://kube-aurora.dev/ns/a%2Fcluster/cluster/b/role/storage',
  'spiffe://kube-aurora.dev/ns//cluster/b/role/storage',
  'https://kube-aurora.dev/ns/a/cluster/b/role/storage',
  '',
])('takes %s for nobody', (uri) => {
  expect(parseIdentityUri(uri)).toBeUndefined();
});

it('gives no name away that means something in a URI', () => {
  expect(() => identityUri({ namespace: 'a/cluster/b', cluster: 'c', role: 'storage' })).toThrow(TypeError);
});
