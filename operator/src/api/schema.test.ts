import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { checkManifest } from '../testing/manifest-check.ts';
import { clusterCrd } from './crd.ts';
import { crdYaml } from './crd-yaml.ts';
import { withDefaults } from './defaults.ts';
import type { Schema } from './open-api.ts';
import { clusterSchema } from './schema.ts';
import { CLUSTER_KIND, type AuroraCluster } from './types.ts';
import { validateCluster } from './validate.ts';

const deploy = new URL('../../../deploy/', import.meta.url);

function manifest(spec: unknown, name = 'demo'): unknown {
  return { apiVersion: 'kube-aurora.dev/v1alpha1', kind: 'AuroraCluster', metadata: { name }, spec };
}

test.each(['crd.yaml', '../helm/kube-aurora/files/crd.yaml'])('%s is what the schema makes (run: npm run deploy:generate)', (file) => {
  const published: unknown = parse(readFileSync(new URL(file, deploy), 'utf8'));
  expect(published).toEqual(JSON.parse(JSON.stringify(clusterCrd)));
  expect(parse(crdYaml())).toEqual(published);
});

describe('structure', () => {
  const walk = (schema: Schema, path: string): readonly (readonly [string, Schema])[] => [
    [path, schema],
    ...Object.entries(schema.properties ?? {}).flatMap(([key, value]) => walk(value, `${path}.${key}`)),
    ...(schema.items === undefined ? [] : walk(schema.items, `${path}[]`)),
    ...(schema.additionalProperties === undefined ? [] : walk(schema.additionalProperties, `${path}{}`)),
  ];

  test.each(walk(clusterSchema, 'AuroraCluster'))('%s is structural', (_path, schema) => {
    expect(schema.type !== undefined || schema['x-kubernetes-int-or-string'] === true).toBe(true);
    if (schema.properties !== undefined) expect(schema.additionalProperties).toBeUndefined();
    for (const name of schema.required ?? []) expect(Object.keys(schema.properties ?? {})).toContain(name);
    if (schema['x-kubernetes-list-type'] === 'map')
      expect(schema.items?.required).toEqual(expect.arrayContaining([...(schema['x-kubernetes-list-map-keys'] ?? [])]));
  });

  // An API server reckons what a rule costs at worst, and refuses the whole definition: of such a rule for any list that is worth one.
  test('no rule goes over a list within a list', () => {
    const MACRO = /\.(?:all|exists|exists_one|map|filter)\(/g;
    const nested = walk(clusterSchema, '').flatMap(([path, schema]) =>
      (schema['x-kubernetes-validations'] ?? []).filter(({ rule }) => (rule.match(MACRO)?.length ?? 0) > 1).map(() => path),
    );
    expect(nested).toEqual([]);
  });

  test('every field is described', () => {
    const bare = walk(clusterSchema, '').filter(
      ([path, { description }]) => /\.\w+$/.test(path) && description === undefined && !path.startsWith('.metadata'),
    );
    expect(bare.map(([path]) => path)).toEqual([]);
  });
});

describe('samples', () => {
  const clusters = readdirSync(new URL('samples/', deploy)).flatMap((file) =>
    parseAllDocuments(readFileSync(new URL(`samples/${file}`, deploy), 'utf8'))
      .map((document): unknown => document.toJS())
      .filter(
        (object): object is AuroraCluster =>
          typeof object === 'object' && object !== null && 'kind' in object && object.kind === CLUSTER_KIND,
      )
      .map((cluster) => [file, cluster] as const),
  );

  test.each(clusters)('%s is a good manifest', (_file, cluster) => {
    expect(checkManifest(structuredClone(cluster))).toEqual([]);
    expect(validateCluster({ ...cluster, spec: withDefaults(cluster.spec) })).toEqual([]);
  });
});

describe('refused, with the field named', () => {
  const storage = { size: '10Gi' };
  test.each([
    ['no spec', { apiVersion: 'kube-aurora.dev/v1alpha1', kind: 'AuroraCluster', metadata: { name: 'demo' } }, 'spec: required'],
    ['no storage', manifest({}), 'spec.storage: required'],
    ['no size', manifest({ storage: {} }), 'spec.storage.size: required'],
    ['an unknown field', manifest({ storage, instanzes: 3 }), 'spec.instanzes: additionalProperties'],
    ['an unknown field deep down', manifest({ storage: { ...storage, sise: 1 } }), 'spec.storage.sise: additionalProperties'],
    ['half an instance', manifest({ storage, instances: 1.5 }), 'spec.instances: type'],
    ['a lag that is none', manifest({ storage, readers: { maxLag: '1d' } }), 'spec.readers.maxLag: pattern'],
    ['a lag of nothing', manifest({ storage, readers: { maxLag: '0s' } }), 'spec.readers.maxLag: pattern'],
    ['a failover time that is none', manifest({ storage, failover: { after: '2' } }), 'spec.failover.after: pattern'],
    [
      'an override of nobody',
      manifest({ storage, instanceOverrides: [{ promotionTier: 0 }] }),
      'spec.instanceOverrides.0.instance: required',
    ],
    ['a size that is none', manifest({ storage: { size: 'big' } }), 'spec.storage.size: pattern'],
    ['a size in gigabytes with B', manifest({ storage: { size: '10GB' } }), 'spec.storage.size: pattern'],
    ['a size without a unit', manifest({ storage: { size: '10' } }), 'spec.storage.size: pattern'],
    ['a negative size', manifest({ storage: { size: '-1Gi' } }), 'spec.storage.size: pattern'],
    ['size zero', manifest({ storage: { size: '0Gi' } }), 'spec.storage.size: pattern'],
    ['a size as a number', manifest({ storage: { size: 10 } }), 'spec.storage.size: type'],
    ['a cache size that is none', manifest({ storage, compute: { cacheSize: '20GB' } }), 'spec.compute.cacheSize: pattern'],
    ['a cache size as a number', manifest({ storage, compute: { cacheSize: 20 } }), 'spec.compute.cacheSize: type'],
    [
      'a volume for the cache without a size',
      manifest({ storage, compute: { cacheVolume: {} } }),
      'spec.compute.cacheVolume.size: required',
    ],
    ['two zones', manifest({ storage: { ...storage, zones: ['a', 'b'] } }), 'spec.storage.zones: minItems'],
    ['a zone twice', manifest({ storage: { ...storage, zones: ['a', 'b', 'a'] } }), 'spec.storage.zones: uniqueItems'],
    ['another version', manifest({ storage, postgresVersion: '17' }), 'spec.postgresVersion: enum'],
    ['a policy that is none', manifest({ storage: { ...storage, reclaimPolicy: 'Recycle' } }), 'spec.storage.reclaimPolicy: enum'],
    [
      'a setting without quotes',
      manifest({ storage, postgresql: { parameters: { max_connections: 100 } } }),
      'spec.postgresql.parameters.max_connections: type',
    ],
    ['a Secret without a name', manifest({ storage, superuserSecret: {} }), 'spec.superuserSecret.name: required'],
    [
      'a name for a database that is none',
      manifest({ storage, bootstrap: { initdb: { database: 'a b' } } }),
      'spec.bootstrap.initdb.database: pattern',
    ],
    [
      'a quantity that is none',
      manifest({ storage, compute: { resources: { requests: { cpu: 'lots' } } } }),
      'spec.compute.resources.requests.cpu: pattern',
    ],
    [
      'a negative quantity',
      manifest({ storage, compute: { resources: { requests: { cpu: '-1' } } } }),
      'spec.compute.resources.requests.cpu: pattern',
    ],
    [
      'a negative number',
      manifest({ storage, compute: { resources: { requests: { cpu: -1 } } } }),
      'spec.compute.resources.requests.cpu: minimum',
    ],
    ['an image with a space', manifest({ storage, images: { computeNode: 'a b' } }), 'spec.images.computeNode: pattern'],
    ['a name that no Service could carry', manifest({ storage }, '9lives'), 'metadata.name: pattern'],
    ['a name that is too long', manifest({ storage }, 'a'.repeat(41)), 'metadata.name: maxLength'],
  ])('%s', (_what, bad, expected) => {
    expect(checkManifest(bad)).toContain(expected);
  });
});

test('defaults of the schema and of the operator are the same', () => {
  const filled = manifest({ storage: { size: '1Gi' } }) as { spec: Parameters<typeof withDefaults>[0] };
  expect(checkManifest(filled)).toEqual([]);
  expect(filled.spec).toEqual(withDefaults({ storage: { size: '1Gi' } }));
  expect(withDefaults(filled.spec)).toEqual(filled.spec);
});
