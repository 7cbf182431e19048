import { readFileSync } from 'node:fs';
import path from 'node:path';
import { CHART, renderText } from './chart.ts';

const DEPLOY = path.resolve(import.meta.dirname, '../../deploy');

/** Plain manifests, for those without Helm, and the chart's templates that they are made of. */
const PARTS = {
  'rbac.yaml': ['service-account.yaml', 'rbac.yaml'],
  'operator.yaml': ['deployment.yaml', 'service.yaml', 'pod-disruption-budget.yaml'],
  'network-policies.yaml': ['network-policies.yaml'],
  'deletion-protection.yaml': ['deletion-protection.yaml'],
  'monitoring/pod-monitors.yaml': ['pod-monitors.yaml'],
  'monitoring/alerts.yaml': ['alerts.yaml'],
} as const;

const HEADER = '# Made from helm/kube-aurora by `npm run deploy:generate`; a test keeps the two the same.\n';

/** Of a release alone; who applies plain manifests has none. */
const HELM_LABELS = /^ *(?:app\.kubernetes\.io\/managed-by: Helm|helm\.sh\/chart: .*)\n/gm;

/** What deploy/ has of the chart with its default values. */
export function deployManifests(): { readonly file: string; readonly content: string }[] {
  const templates = renderText({ values: { monitoring: { podMonitors: { enabled: true }, rules: { enabled: true } } } });
  const manifests = Object.entries(PARTS).map(([file, parts]) => ({
    file: path.join(DEPLOY, file),
    content: HEADER + parts.map((part) => templateText(templates, part)).join('---\n'),
  }));
  const dashboard = readFileSync(path.join(CHART, 'files/grafana-dashboard.json'), 'utf8');
  return [...manifests, { file: path.join(DEPLOY, 'monitoring/grafana-dashboard.json'), content: dashboard }];
}

function templateText(templates: ReadonlyMap<string, string>, part: string): string {
  const text = templates.get(part);
  if (text === undefined) throw new Error(`the chart's templates/${part} makes nothing with its default values`);
  return text.replaceAll(HELM_LABELS, '').replace(/\n*$/, '\n');
}
