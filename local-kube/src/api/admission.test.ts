import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import type { KubeObject } from '../store/object.ts';
import { memoryJournal } from '../store/journal.ts';
import { Store } from '../store/store.ts';
import { admitRemoval } from './admission.ts';
import { Registry } from './registry.ts';

/** What deploy/ has clients refused by. */
const POLICY = parseAllDocuments(readFileSync(new URL('../../../deploy/deletion-protection.yaml', import.meta.url), 'utf8')).map(
  (document) => document.toJS() as KubeObject,
);

describe('a policy of deletions', () => {
  const registry = new Registry(new Store(memoryJournal()));
  const make = (object: KubeObject, namespace?: string): KubeObject => {
    const resource = registry.catalog.byKind(object.apiVersion, object.kind);
    if (resource === undefined) throw new Error(`${object.kind} is no kind`);
    return registry.create(resource, namespace, object, { manager: 'test' });
  };
  const configMap = registry.catalog.byKind('v1', 'ConfigMap');
  if (configMap === undefined) throw new Error('no ConfigMaps');
  const clusters = { ...configMap, group: 'kube-aurora.dev', version: 'v1alpha1', plural: 'auroraclusters', kind: 'AuroraCluster' };
  const cluster = (namespace: string, spec: object): KubeObject =>
    ({ apiVersion: 'kube-aurora.dev/v1alpha1', kind: 'AuroraCluster', metadata: { name: 'demo', namespace }, spec }) as KubeObject;
  const refusal = (object: KubeObject, resource: typeof clusters = clusters): string | undefined => {
    try {
      admitRemoval(registry.store, resource, object);
      return undefined;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  };
  make({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } });
  make({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'going' } });
  const namespaces = registry.catalog.byKind('v1', 'Namespace');
  if (namespaces !== undefined) registry.remove(namespaces, undefined, 'going');

  it('says nothing while it is bound to nothing', () => {
    make(POLICY[0] as KubeObject);
    expect(refusal(cluster('shop', {}))).toBeUndefined();
    make(POLICY[1] as KubeObject);
    expect(refusal(cluster('shop', {}))).not.toBeUndefined();
  });

  it('refuses what is protected with what to do, and lets all else go', () => {
    const told = `auroraclusters.kube-aurora.dev "demo" is forbidden: ValidatingAdmissionPolicy 'kube-aurora-operator-deletion-protection' with binding 'kube-aurora-operator-deletion-protection' denied request: it is protected by spec.deletionProtection, so that nobody deletes a database by accident; to let it go: kubectl patch auroracluster demo -n shop --type merge -p '{"spec":{"deletionProtection":false}}'`;
    for (const spec of [{}, { deletionProtection: true }]) expect(refusal(cluster('shop', spec))).toBe(told);
    expect(refusal(cluster('shop', { deletionProtection: false }))).toBeUndefined();
    expect(refusal(cluster('going', { deletionProtection: true }))).toBeUndefined();
    expect(refusal(cluster('shop', {}), { ...clusters, plural: 'others' })).toBeUndefined();
  });

  it('refuses where it cannot be judged', () => {
    expect(refusal({ apiVersion: 'x/v1', kind: 'X', metadata: { name: 'x' } } as KubeObject)).toContain('resulted in error');
  });
});
