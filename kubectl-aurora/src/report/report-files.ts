import { stringify } from 'yaml';
import { renderStorage } from '../figures/render-storage.ts';
import type { Figures } from '../figures/fetch-metrics.ts';
import { byTime, type LogEntry } from '../logs/log-entry.ts';
import { renderStatus } from '../status/render-status.ts';
import { statusData } from '../status/status-command.ts';
import type { ClusterView } from '@kube-aurora/cluster-view';
import { redactor } from './redact.ts';
import type { ZipEntry } from './zip.ts';

/** What a report is made of, as it was read. */
export interface ReportParts {
  readonly view: ClusterView;
  /** Objects by kind: pods, services … */
  readonly objects: ReadonlyMap<string, readonly unknown[]>;
  readonly logs: ReadonlyMap<string, readonly LogEntry[]>;
  readonly figures: Figures;
  /** /metrics of each pod as it was. */
  readonly metrics: ReadonlyMap<string, string>;
  /** Values that must not be in it; undefined where this account may not read Secrets: then it goes by how secrets look. */
  readonly secrets: readonly string[] | undefined;
  /** What could not be read, and why. */
  readonly troubles: readonly string[];
  readonly version: string;
}

const PIPE = { width: Infinity, colour: false } as const;

/** The files of a report, redacted. Pure. */
export function reportFiles(parts: ReportParts): readonly ZipEntry[] {
  const { view, objects, logs, figures, metrics, secrets } = parts;
  const redact = redactor(secrets ?? []);
  const yaml = (value: unknown): string => stringify(redact.object(value));
  const files: ZipEntry[] = [
    { path: 'README.txt', content: about(parts) },
    { path: 'status.txt', content: renderStatus(view, PIPE) },
    { path: 'status.json', content: `${JSON.stringify(redact.object(statusData(view)), undefined, 2)}\n` },
    { path: 'storage.txt', content: renderStorage(view.cluster, figures, PIPE) },
    { path: 'manifests/auroracluster.yaml', content: yaml(view.cluster) },
    ...[...objects].map(([kind, items]) => ({ path: `manifests/${kind}.yaml`, content: yaml(items) })),
    { path: 'events.yaml', content: yaml(view.events ?? []) },
    ...[...logs].map(([pod, entries]) => ({
      path: `logs/${pod}.log`,
      content: byTime(entries)
        .map(({ time, text }) => `${time} ${text}\n`)
        .join(''),
    })),
    ...[...metrics].map(([pod, text]) => ({ path: `metrics/${pod}.txt`, content: text })),
  ];
  // Once more as text: what a renderer or a log has made of it.
  return files.map(({ path, content }) => ({ path, content: redact.text(content) }));
}

function about({ view, secrets, troubles, version }: ReportParts): string {
  const { metadata } = view.cluster;
  return [
    `Report on AuroraCluster ${metadata.namespace ?? 'default'}/${metadata.name}, ${new Date(view.now).toISOString()}, by kubectl-aurora ${version}.`,
    '',
    'status.txt      read this first',
    'manifests/      the cluster and what belongs to it, as the API server has them; no Secret',
    'events.yaml     what the operator said, oldest first',
    'logs/           of each pod; .previous is the run of its container before the present one',
    'metrics/        what each program counted, at the end',
    '',
    secrets === undefined
      ? 'Secrets could not be read, so that only what looks like a password, key or token was taken out (***). Look through it before you pass it on.'
      : 'The passwords of the cluster’s Secrets were taken out wherever they stood (***), and what looks like a password, key or token.',
    'Names of databases, roles, tables and hosts, and statements in logs, are in it.',
    ...(troubles.length === 0 ? [] : ['', 'Not in it:', ...troubles.map((trouble) => `  ${trouble}`)]),
    '',
  ].join('\n');
}
