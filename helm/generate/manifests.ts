import path from 'node:path';
import { CHART, renderText } from './chart.ts';
import { dashboards } from './dashboards/dashboards.ts';

const DEPLOY = path.resolve(import.meta.dirname, '../../deploy');

/** Plain manifests, for those without Helm, and the chart's templates that they are made of. */
const PARTS = {
  'rbac.yaml': ['service-account.yaml', 'rbac.yaml', 'token-review.yaml'],
  'operator.yaml': ['deployment.yaml', 'service.yaml', 'pod-disruption-budget.yaml'],
  'network-policies.yaml': ['network-policies.yaml'],
  'console.yaml': ['console.yaml'],
  'deletion-protection.yaml': ['deletion-protection.yaml'],
  'monitoring/pod-monitors.yaml': ['pod-monitors.yaml'],
  'monitoring/alerts.yaml': ['alerts.yaml'],
} as const;

const HEADER = '# Made from helm/kube-aurora by `npm run deploy:generate`; a test keeps the two the same.\n';

/** Of a release alone; who applies plain manifests has none. */
const HELM_LABELS = /^ *(?:app\.kubernetes\.io\/managed-by: Helm|helm\.sh\/chart: .*)\n/gm;

/** Dashboards for Grafana: the chart's files, and the same in deploy/. */
export function dashboardFiles(): { readonly file: string; readonly content: string }[] {
  const folders = [path.join(CHART, 'files/dashboards'), path.join(DEPLOY, 'monitoring/dashboards')];
  return folders.flatMap((folder) => dashboards().map(({ name, json }) => ({ file: path.join(folder, `${name}.json`), content: json })));
}

/** What deploy/ has of the chart with its default values. */
export function deployManifests(): { readonly file: string; readonly content: string }[] {
  const templates = renderText({
    values: { console: { enabled: true }, monitoring: { podMonitors: { enabled: true }, rules: { enabled: true } } },
  });
  return Object.entries(PARTS).map(([file, parts]) => ({
    file: path.join(DEPLOY, file),
    content: HEADER + parts.map((part) => templateText(templates, part)).join('---\n'),
  }));
}

function templateText(templates: ReadonlyMap<string, string>, part: string): string {
  const text = templates.get(part);
  if (text === undefined) throw new Error(`the chart's templates/${part} makes nothing with its default values`);
  return text.replaceAll(HELM_LABELS, '').replace(/\n*$/, '\n');
}
