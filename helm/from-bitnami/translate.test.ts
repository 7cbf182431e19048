import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { withDefaults } from '../../operator/src/api/defaults.ts';
import type { AuroraCluster } from '../../operator/src/api/types.ts';
import { validateCluster } from '../../operator/src/api/validate.ts';
import { checkManifest } from '../../operator/src/testing/manifest-check.ts';
import { fromBitnami } from './translate.ts';

const VALUES = `
global: { imagePullSecrets: [registry], storageClass: fast }
architecture: replication
commonLabels: { team: shop }
auth: { username: shop, database: orders, password: never-shown, existingSecret: '' }
primary:
  resources: { requests: { cpu: 2, memory: 4Gi } }
  nodeSelector: { pool: db }
  tolerations: [{ key: db, operator: Exists }]
  persistence: { enabled: true, size: 20Gi, annotations: {} }
  extendedConfiguration: |
    # more of it
    max_connections = 300
    log_line_prefix = '%m it''s '   # quoted
    work_mem '16MB'
  initdb:
    scripts:
      02-grant.sql: grant select on t to public
      01-schema.sql: create table t (n int)
      03-more.sh: echo more
  service: { type: LoadBalancer, annotations: { example.com/internal: 'true' } }
readReplicas: { replicaCount: 2 }
backup: { enabled: true }
metrics: { enabled: true }
`;

test('typical values become a manifest that is taken, and nothing of them is passed over in silence', () => {
  const { manifest, notes, left } = fromBitnami(parse(VALUES), 'shop');
  expect(manifest).toEqual({
    apiVersion: 'kube-aurora.dev/v1alpha1',
    kind: 'AuroraCluster',
    metadata: { name: 'shop' },
    spec: {
      instances: 3,
      storage: { size: '20Gi', storageClassName: 'fast' },
      compute: {
        resources: { requests: { cpu: 2, memory: '4Gi' } },
        nodeSelector: { pool: 'db' },
        tolerations: [{ key: 'db', operator: 'Exists' }],
      },
      bootstrap: {
        initdb: { database: 'orders', owner: 'shop', postInitApplicationSQL: ['create table t (n int)', 'grant select on t to public'] },
      },
      postgresql: { parameters: { max_connections: '300', log_line_prefix: "%m it's ", work_mem: '16MB' } },
      imagePullSecrets: [{ name: 'registry' }],
      inheritedMetadata: { labels: { team: 'shop' } },
      services: { readWrite: { type: 'LoadBalancer', annotations: { 'example.com/internal': 'true' } } },
    },
  });
  expect(left).toEqual(['primary.persistence.enabled', 'backup.enabled']);
  expect(notes.join('\n')).toContain('only those that end with .sql');
  expect(notes.join('\n')).toContain('passwords are not copied');
  expect(JSON.stringify([manifest, notes])).not.toContain('never-shown');
  expect(checkManifest(structuredClone(manifest))).toEqual([]);
  const cluster = manifest as AuroraCluster;
  expect(validateCluster({ ...cluster, spec: withDefaults(cluster.spec) }).filter(({ fatal }) => fatal)).toEqual([]);
});

test('no values at all are a cluster of the size that the chart would have had', () => {
  expect(fromBitnami(null, 'demo')).toMatchObject({
    manifest: { metadata: { name: 'demo' }, spec: { storage: { size: '8Gi' } } },
    left: [],
  });
  expect(fromBitnami({ auth: { username: 'postgres' } }, 'demo').notes.join('\n')).toContain("PostgreSQL's own");
});
