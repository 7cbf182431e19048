import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { clusterSchema } from '../../operator/src/api/schema.ts';
import { clusterReference } from './cluster-reference.ts';
import { logSchemaFile, logsReference } from './logs-reference.ts';
import { metricsReference } from './metrics-reference.ts';
import { chartReadme, chartReference } from './values-reference.ts';

const REFERENCE = path.resolve(import.meta.dirname, '../reference');
const CHART = path.resolve(import.meta.dirname, '../../helm/kube-aurora');
const FORMATTER = path.resolve(import.meta.dirname, '../../node_modules/oxfmt/bin/oxfmt');

/** The pages that are made from the code, formatted as all of the repository is. */
export function generatedPages(): { readonly file: string; readonly content: string }[] {
  return [
    { file: path.join(REFERENCE, 'auroracluster.md'), content: clusterReference(clusterSchema) },
    { file: path.join(REFERENCE, 'metrics.md'), content: metricsReference() },
    { file: path.join(REFERENCE, 'logs.md'), content: logsReference() },
    { file: path.join(REFERENCE, 'log-line.schema.json'), content: logSchemaFile() },
    { file: path.join(REFERENCE, 'chart.md'), content: chartReference() },
    // The formatter leaves a chart's folder alone, so it is told another name.
    { file: path.join(CHART, 'README.md'), formatAs: path.join(REFERENCE, 'chart-readme.md'), content: chartReadme() },
  ].map(({ file, formatAs = file, content }) => ({ file, content: formatted(formatAs, content) }));
}

function formatted(file: string, content: string): string {
  return execFileSync(process.execPath, [FORMATTER, '--stdin-filepath', file], { input: content, encoding: 'utf8' });
}
