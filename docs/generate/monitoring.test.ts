import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { CASES } from '../../test/alerts/cases.ts';
import { REAL_FAULTS } from '../../test/alerts/real-faults.ts';
import { shortRules } from '../../test/alerts/short-rules.ts';
import { expressionProblems as problems } from './expression-problems.ts';

const ROOT = new URL('../../', import.meta.url);
const text = (file: string): string => readFileSync(new URL(file, ROOT), 'utf8');

interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly runbook_url: string };
}

const { groups } = parse(text('helm/kube-aurora/files/alerts.yaml')) as { groups: { rules: Alert[] }[] };
const alerts = groups.flatMap(({ rules }) => rules);

interface Dashboard {
  readonly uid: string;
  readonly panels: {
    readonly id: number;
    readonly title: string;
    readonly targets: { readonly expr: string; readonly legendFormat: string }[];
  }[];
}

test('what is wrong with an expression is found', () => {
  expect(problems('rate(aurora_made_up_total[5m])')).toEqual(['aurora_made_up_total is exported by nobody']);
  expect(problems('aurora_connections{colour="red"}')).toEqual(['aurora_connections has no label colour']);
  expect(problems('sum by (colour) (aurora_connections)')).toEqual(['nothing in it has the label colour']);
  expect(problems('sum by (le, pod) (rate(aurora_flush_seconds_bucket{pod="a"}[5m]))')).toEqual([]);
});

test.each(readdirSync(new URL('deploy/monitoring/dashboards/', ROOT)))('the dashboard %s asks for what there is', (file) => {
  const { uid, panels } = JSON.parse(text(`deploy/monitoring/dashboards/${file}`)) as Dashboard;
  expect(uid).toBe(`kube-aurora-${file.replace('.json', '')}`);
  for (const { title, targets } of panels) {
    for (const { expr, legendFormat } of targets) {
      expect(problems(expr), `${title}: ${expr}`).toEqual([]);
      for (const [, label = ''] of legendFormat.matchAll(/\{\{(\w+)\}\}/g))
        expect(problems(`sum by (${label}) (${expr})`), title).toEqual([]);
    }
  }
});

test.each(alerts)('the alert $alert asks for what there is, and names a runbook that is there', ({ alert, expr, labels, annotations }) => {
  expect(problems(expr)).toEqual([]);
  expect(['critical', 'warning']).toContain(labels.severity);
  for (const [, label = ''] of annotations.summary.matchAll(/\$labels\.(\w+)/g)) {
    if (label !== 'instance') expect(problems(`sum by (${label}) (${expr})`)).toEqual([]);
  }
  const [, page = '', anchor = ''] = /^RUNBOOKS\/(\w+)#(\w+)$/.exec(annotations.runbook_url) ?? [];
  expect(anchor).toBe(alert.toLowerCase());
  expect(text(`docs/runbooks/${page}.md`)).toContain(`\n## ${alert}\n`);
});

test('what makes alerts fire in a real system makes alerts fire that there are, and the table says which', () => {
  const names = alerts.map(({ alert }) => alert);
  const real = REAL_FAULTS.flatMap((fault) => fault.alerts);
  expect(names).toEqual(expect.arrayContaining(real));
  const cells = text('docs/monitoring.md')
    .split('\n')
    .flatMap((line) => [...line.matchAll(/^\| `(Aurora\w+)`\s+\| (.*?)\s*\|$/g)].map(([, alert = '', how = '']) => [alert, how]));
  expect(cells).toEqual(
    names.map((alert) => [alert, REAL_FAULTS.find((fault) => fault.alerts.includes(alert))?.what ?? 'by `promtool` alone']),
  );
  // Thresholds that are shortened are in their rules still.
  expect(() => shortRules(text('deploy/monitoring/alerts.yaml'))).not.toThrow();
});

test('each alert has a fault for promtool, and no page tells of an alert that there is not', () => {
  const names = alerts.map(({ alert }) => alert);
  expect(CASES.map(({ alert }) => alert).toSorted()).toEqual(names.toSorted());
  for (const page of [
    'runbooks/cluster',
    'runbooks/storage',
    'runbooks/database',
    'runbooks/identity',
    'failover',
    'failure-modes',
    'monitoring',
    'operations',
  ]) {
    for (const [, named = ''] of text(`docs/${page}.md`).matchAll(/\b(Aurora(?!Cluster)[A-Z]\w+)\b/g)) expect(names, page).toContain(named);
  }
});
