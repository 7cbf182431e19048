import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { parse, parseDocument } from 'yaml';
import { CHART, helm } from './chart.ts';
import { dashboardFiles, deployManifests } from './manifests.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const text = (file: string): string => readFileSync(path.join(ROOT, file), 'utf8');

test('deploy/ is what the chart makes; npm run deploy:generate makes it so', () => {
  for (const { file, content } of [...dashboardFiles(), ...deployManifests()])
    expect(readFileSync(file, 'utf8'), path.relative(ROOT, file)).toBe(content);
});

test('Helm finds nothing to say against the chart', () => {
  expect(helm(['lint', '--strict', CHART])).toContain('1 chart(s) linted, 0 chart(s) failed');
});

test('the CustomResourceDefinition fits into the annotation that `kubectl apply` without --server-side keeps it in', () => {
  // Kubernetes takes 256 KiB for all annotations of an object together. Descriptions of what is Kubernetes' own (affinity and the like) are a
  // tenth of ours, and kubectl explain shows them: they stay.
  expect(JSON.stringify(parse(text('deploy/crd.yaml'))).length).toBeLessThan(200 * 1024);
});

test('the chart has the version of what it installs, and its example is the sample', () => {
  const chart = parse(text('helm/kube-aurora/Chart.yaml')) as { version: string; appVersion: string; annotations: Record<string, string> };
  const { version } = JSON.parse(text('package.json')) as { version: string };
  expect([chart.version, chart.appVersion]).toEqual([version, version]);
  const images = parse(chart.annotations['artifacthub.io/images'] ?? '') as { image: string }[];
  expect(images.map(({ image }) => image)).toEqual(
    ['operator', 'storage-daemon', 'compute-node', 'console'].map((name) => `kube-aurora/${name}:${version}`),
  );
  const [example] = parse(chart.annotations['artifacthub.io/crdsExamples'] ?? '') as unknown[];
  expect(example).toEqual(parseDocument(text('deploy/samples/demo.yaml')).toJS());
});
