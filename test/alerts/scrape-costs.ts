import { readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parse } from 'yaml';
import type { TargetGroup } from '../../packages/quickstart/src/scrape-targets.ts';
import { cpuSeconds } from '../bench/process-usage.ts';
import { markdownTable, quantile, shown } from '../bench/table.ts';

const TIMES = 100;
const BASELINE_MS = 3000;
const BYTES_MAX = 200_000;
const MS_MAX = 50;

interface Scraped {
  readonly ms: number;
  readonly bytes: number;
  readonly series: number;
}

async function scrape(address: string): Promise<Scraped> {
  const begun = performance.now();
  const text = await (await fetch(`http://${address}/metrics`)).text();
  const ms = performance.now() - begun;
  return { ms, bytes: Buffer.byteLength(text), series: text.split('\n').filter((line) => line !== '' && !line.startsWith('#')).length };
}

interface Program {
  readonly address: string;
  readonly pod: string;
}

/** Every program that a Prometheus of `npm start -- --dashboards` scrapes, by what it is. */
function programs(monitoring: string): Map<string, Program[]> {
  const groups = JSON.parse(readFileSync(path.join(monitoring, 'targets.json'), 'utf8')) as TargetGroup[];
  const { scrape_configs: jobs } = parse(readFileSync(path.join(monitoring, 'prometheus.yaml'), 'utf8')) as {
    scrape_configs: readonly { readonly static_configs?: readonly TargetGroup[] }[];
  };
  const kindOf = ({ kube_aurora_dev_component: component, kube_aurora_dev_role: role }: TargetGroup['labels']): string =>
    component === 'storage' ? 'storage daemon' : component === 'compute' ? `compute agent, ${role}` : 'operator';
  const all = [...groups, ...jobs.flatMap(({ static_configs: some = [] }) => some)];
  const programsOf = ({ targets, labels: { pod = '' } }: TargetGroup): Program[] => targets.map((address) => ({ address, pod }));
  return new Map([...Map.groupBy(all, ({ labels }) => kindOf(labels))].map(([kind, some]) => [kind, some.flatMap(programsOf)]));
}

/** Milliseconds of CPU that a program takes to answer, beside what it does anyhow meanwhile. */
async function cpuOf({ address }: Program, pid: number): Promise<number> {
  const quiet = cpuSeconds(pid);
  const begun = performance.now();
  await delay(BASELINE_MS);
  const rate = (cpuSeconds(pid) - quiet) / (performance.now() - begun);
  const before = cpuSeconds(pid);
  const scraping = performance.now();
  for (let time = 0; time < TIMES; time++) await scrape(address);
  const anyhow = rate * (performance.now() - scraping);
  return Math.max(0, ((cpuSeconds(pid) - before - anyhow) / TIMES) * 1000);
}

/**
 * What a scrape of each program takes, and what of it is over what we allow ourselves. Times on a machine that has others to run tell of them; the CPU is the program's own.
 * @param pidOf the process of a pod's program
 */
export async function scrapeCosts(
  monitoring: string,
  pidOf: (pod: string) => number,
): Promise<{ readonly table: string; readonly wrong: readonly string[] }> {
  const rows: string[][] = [];
  const wrong: string[] = [];
  for (const [program, some] of programs(monitoring)) {
    const scraped: Scraped[] = [];
    for (let time = 0; time < TIMES; time++) scraped.push(await scrape(some[time % some.length]?.address ?? ''));
    const bytes = Math.max(...scraped.map((one) => one.bytes));
    const [first] = some;
    const cpuMs = first === undefined ? Number.NaN : await cpuOf(first, pidOf(first.pod));
    const [quickest = 0, median = 0, nine = 0, slowest = 0] = [0, 0.5, 0.9, 1].map((part) =>
      quantile(
        scraped.map(({ ms }) => ms),
        part,
      ),
    );
    rows.push([
      program,
      String(Math.max(...scraped.map(({ series }) => series))),
      `${shown(bytes / 1000, 1)} kB`,
      ...[cpuMs, quickest, median, nine, slowest].map((ms) => `${shown(ms, 1)} ms`),
    ]);
    if (bytes > BYTES_MAX) wrong.push(`a scrape of the ${program} has ${bytes} bytes, more than ${BYTES_MAX}`);
    if (!(cpuMs < MS_MAX)) wrong.push(`a scrape of the ${program} takes ${shown(cpuMs, 1)} ms of CPU, more than ${MS_MAX}`);
  }
  return { table: markdownTable(['scrape of', 'series', 'size', 'CPU', 'quickest', 'median', 'nine of ten', 'slowest'], rows), wrong };
}
