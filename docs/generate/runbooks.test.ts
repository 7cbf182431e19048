import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { ANNOTATION, LABEL } from '../../operator/src/api/names.ts';
import { clusterSchema } from '../../operator/src/api/schema.ts';
import { commandsOf, filledIn, type RunbookCommand } from '../../test/runbooks/commands.ts';
import { problemsOf, type Nameable } from '../../test/runbooks/problems.ts';
import { expressionProblems } from './expression-problems.ts';

/** That they work is shown by `npm run test:runbooks`; here, that they can. */

const ROOT = new URL('../../', import.meta.url);
const text = (file: string): string => readFileSync(new URL(file, ROOT), 'utf8');

const nameable: Nameable = {
  cluster: clusterSchema,
  installed: new Set(
    ['operator', 'console'].flatMap((file) =>
      parseAllDocuments(text(`deploy/${file}.yaml`)).map((document) => {
        const { kind, metadata } = document.toJS() as { kind: string; metadata: { name: string } };
        return `${kind.toLowerCase()}/${metadata.name}`;
      }),
    ),
  ),
  labels: new Set(Object.values(LABEL)),
  annotations: new Set(Object.values(ANNOTATION)),
  ofExpression: expressionProblems,
};
const pages = readdirSync(new URL('docs/runbooks/', ROOT)).map((file) => file.replace('.md', ''));

test.each(pages)('commands of the runbook %s are well formed, and name what there is', (page) => {
  for (const command of commandsOf(page, text(`docs/runbooks/${page}.md`)))
    expect(problemsOf(command, nameable), `${page}:${command.line}: ${command.text}`).toEqual([]);
});

test('every alert’s section has something to type, or says where that stands', () => {
  for (const page of pages)
    for (const section of text(`docs/runbooks/${page}.md`).split(/^## /m).slice(1))
      expect(
        commandsOf(page, section).length > 0 || /\]\(#|\]\(\.{0,2}\/?[\w/]*#/.test(section),
        `${page}: ${section.split('\n')[0] ?? ''}`,
      ).toBe(true);
});

test('what is wrong with a command is found', () => {
  const of = (kind: RunbookCommand['kind'], typed: string, psql?: string): string[] =>
    problemsOf({ page: 'p', section: 's', line: 1, kind, text: typed, psql }, nameable);
  expect(of('console', 'kubectl aurora sttaus NAME')[0]).toContain('unknown command "sttaus"');
  expect(of('console', 'kubectl aurora logs NAME --colour')).toEqual([expect.stringContaining('unknown flag: --colour')]);
  expect(of('console', 'kubectl -n kube-aurora-system logs deployment/kube-aurora')).toEqual([
    'nothing that is installed is called deployment/kube-aurora',
  ]);
  expect(
    of('console', "kubectl get auroracluster NAME -o jsonpath='{range .status.instances[*]}{.name}{.colour}{end}{.status.phase}'"),
  ).toEqual(['a cluster has no .colour']);
  expect(of('console', `kubectl patch auroracluster NAME --type=merge -p '{"spec":{"storage":{"sise":"1"}}}'`)).toEqual([
    'a cluster has no .spec.storage.sise',
  ]);
  expect(of('console', 'kubectl get pods -l kube-aurora.dev/colour=red')).toEqual(['nothing has the label kube-aurora.dev/colour']);
  expect(of('console', 'kubectl annotate auroracluster NAME kube-aurora.dev/colour=red')).toEqual([
    'nobody reads the annotation kube-aurora.dev/colour',
  ]);
  expect(of('console', "kubectl get 'pods")).toEqual(['a quote does not end']);
  expect(of('console', 'curl http://127.0.0.1')).toEqual(['no command of kubectl: curl']);
  expect(of('promql', 'rate(aurora_made_up_total[5m])')).toEqual(['aurora_made_up_total is exported by nobody']);
  expect(of('sql', 'select 1;')).toEqual(['no psql was named before it']);
  expect(of('sql', "select 'open", 'kubectl aurora psql NAME')).toEqual(['no statement', "unfinished: select 'open;"]);
  expect(() => filledIn('kubectl get secret NAME-superuser', {})).toThrow('nothing is known that stands for NAME');
});

test('commands are found in blocks and in sentences, each with the psql that it is for', () => {
  const page = [
    '# Runbook',
    '`kubectl aurora psql NAME -n NS`:',
    '```sql',
    'select 1;',
    '```',
    '## AuroraX',
    'End it: `select pg_cancel_backend(PID)`, or see `kubectl get nodes`; `pod` is none.',
    '```console',
    '$ kubectl get pods',
    '$ kubectl get pvc',
    '```',
  ].join('\n');
  expect(commandsOf('p', page).map(({ section, kind, text: typed, psql }) => [section, kind, typed, psql])).toEqual([
    ['Runbook', 'sql', 'select 1;', 'kubectl aurora psql NAME -n NS'],
    ['AuroraX', 'sql', 'select pg_cancel_backend(PID)', 'kubectl aurora psql NAME -n NS'],
    ['AuroraX', 'console', 'kubectl get nodes', undefined],
    ['AuroraX', 'console', 'kubectl get pods', undefined],
    ['AuroraX', 'console', 'kubectl get pvc', undefined],
  ]);
  expect(() => commandsOf('p', '```bash\nls\n```')).toThrow('p:1: a block of a runbook is console, sql or promql');
  expect(() => commandsOf('p', '```console\nls\n```')).toThrow("begins with '$ '");
});
