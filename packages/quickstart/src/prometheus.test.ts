import { readFileSync } from 'node:fs';
import type { V1Pod } from '@kubernetes/client-node';
import { expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { findPrometheus, prometheusConfiguration } from './prometheus.ts';
import { targetsOf } from './scrape-targets.ts';

test('labels are those that the PodMonitors give: expressions of dashboards and alerts mean the same', () => {
  const [pods, operator] = parseAllDocuments(
    readFileSync(new URL('../../../deploy/monitoring/pod-monitors.yaml', import.meta.url), 'utf8'),
  ).map(
    (document) =>
      document.toJS() as {
        spec: { podTargetLabels?: readonly string[]; podMetricsEndpoints: readonly { port: string; honorLabels?: boolean }[] };
      },
  );
  const labels = (pods?.spec.podTargetLabels ?? []).map((label) => label.replaceAll(/[^a-z]/g, '_'));
  const pod: V1Pod = {
    metadata: { name: 'demo-1', namespace: 'default', labels: { 'kube-aurora.dev/cluster': 'demo', 'kube-aurora.dev/role': 'writer' } },
    spec: {
      containers: [
        {
          name: 'c',
          ports: [
            { name: 'x', containerPort: 1 },
            { name: pods?.spec.podMetricsEndpoints[0]?.port ?? '', containerPort: 7003 },
          ],
        },
      ],
    },
    status: { podIP: '127.0.1.1' },
  };
  const [group] = targetsOf([pod, { ...pod, status: {} }]);
  expect(group?.targets).toEqual(['127.0.1.1:7003']);
  expect(Object.keys(group?.labels ?? {})).toEqual(['namespace', 'pod', ...labels]);
  expect(group?.labels).toMatchObject({
    namespace: 'default',
    pod: 'demo-1',
    kube_aurora_dev_cluster: 'demo',
    kube_aurora_dev_role: 'writer',
  });
  const { scrape_configs: scrapes } = parse(
    prometheusConfiguration({ targets: '/t', operator: '127.0.0.1:1', rules: '/r', scrapeSeconds: 5 }),
  ) as { scrape_configs: readonly { readonly honor_labels?: boolean }[] };
  expect(scrapes.map(({ honor_labels: honors }) => honors)).toEqual([undefined, operator?.spec.podMetricsEndpoints[0]?.honorLabels]);
});

test('it is looked for where PROMETHEUS says, or else on the PATH', () => {
  expect(findPrometheus({ PROMETHEUS: process.execPath, PATH: '' })).toBe(process.execPath);
  expect(findPrometheus({ PROMETHEUS: '/nowhere/prometheus', PATH: '/usr/bin' })).toBeUndefined();
  expect(findPrometheus({ PATH: '/nowhere' })).toBeUndefined();
});
