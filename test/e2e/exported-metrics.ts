import { readFileSync } from 'node:fs';
import path from 'node:path';

const REFERENCE = path.resolve(import.meta.dirname, '../../docs/reference/metrics.md');

/** What the reference's table of a program names. */
export function documentedMetrics(program: 'Compute agent' | 'Storage daemon' | 'Operator'): readonly string[] {
  const [section] = (readFileSync(REFERENCE, 'utf8').split(`\n## ${program}\n`)[1] ?? '').split('\n## ');
  return [...(section ?? '').matchAll(/^\| `(aurora_\w+)`/gm)].map(([, name]) => name ?? '');
}

/** Names of metrics that have a series at this moment; a histogram's without what its series add to it. */
export async function exportedMetrics(url: string): Promise<ReadonlySet<string>> {
  const text = await (await fetch(url)).text();
  const histograms = new Set([...text.matchAll(/^# TYPE (\w+) histogram$/gm)].map(([, name]) => name));
  return new Set(
    [...text.matchAll(/^(aurora_\w+)[ {]/gm)].map(([, name = '']) => {
      const base = name.replace(/_(bucket|sum|count)$/, '');
      return histograms.has(base) ? base : name;
    }),
  );
}
