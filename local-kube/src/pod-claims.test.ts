import { expect, it } from 'vitest';
import type { Claim, Pod } from './kinds.ts';
import { unboundClaim, usesClaim } from './pod-claims.ts';

const spec = { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } };
function pod(uid: string, volume: 'its own' | 'named', nodeName?: string): Pod {
  const source =
    volume === 'named' ? { persistentVolumeClaim: { claimName: 'web-data' } } : { ephemeral: { volumeClaimTemplate: { spec } } };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'web', namespace: 'default', uid },
    spec: { containers: [], volumes: [{ name: 'data', ...source }], ...(nodeName === undefined ? {} : { nodeName }) },
  };
}
function claim(owner: string | undefined, phase: string, deletionTimestamp?: string): Claim {
  const ownerReferences = owner === undefined ? [] : [{ apiVersion: 'v1', kind: 'Pod', name: 'web', uid: owner, controller: true }];
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: {
      name: 'web-data',
      namespace: 'default',
      ownerReferences,
      ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
    },
    spec,
    status: { phase },
  };
}

it.each([
  ['its own, bound', pod('new', 'its own'), claim('new', 'Bound'), undefined],
  [
    'its own, not made',
    pod('new', 'its own'),
    undefined,
    'waiting for ephemeral volume controller to create the persistentvolumeclaim "web-data"',
  ],
  ['its own, not bound', pod('new', 'its own'), claim('new', 'Pending'), 'pod has unbound immediate PersistentVolumeClaims'],
  [
    'of the pod before',
    pod('new', 'its own'),
    claim('old', 'Bound'),
    'PVC default/web-data was not created for pod default/web (pod is not owner)',
  ],
  ['on its way out', pod('new', 'its own'), claim('old', 'Bound', 'now'), 'persistentvolumeclaim "web-data" is being deleted'],
  ['named, bound', pod('new', 'named'), claim(undefined, 'Bound'), undefined],
  ['named, not there', pod('new', 'named'), undefined, 'persistentvolumeclaim "web-data" not found'],
])('a pod and its claim: %s', (_what, one, its, expected) => {
  expect(unboundClaim(one, () => its)).toBe(expected);
});

it('a claim stays for the pod that uses it, and goes although another of its name waits', () => {
  expect(usesClaim(pod('old', 'its own', 'node'), claim('old', 'Bound', 'now'))).toBe(true);
  expect(usesClaim(pod('new', 'its own'), claim('old', 'Bound', 'now'))).toBe(false);
  expect(usesClaim(pod('new', 'its own', 'node'), claim('old', 'Bound', 'now'))).toBe(false);
  expect(usesClaim(pod('new', 'named'), claim(undefined, 'Bound', 'now'))).toBe(false);
  expect(usesClaim(pod('new', 'named', 'node'), claim(undefined, 'Bound', 'now'))).toBe(true);
});
