import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';

/** Passes pages through a heap of about 20 MiB and prints how many times all of it was collected. */
const PROGRAM = `
import { PerformanceObserver, constants } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { letHeapGrow } from ${JSON.stringify(new URL('heap-growth.ts', import.meta.url).href)};
if (process.argv[1] !== undefined) letHeapGrow(Number(process.argv[1]));
const kept = Array.from({ length: 200_000 }, (_, at) => ({ at, text: 'x' + at }));
let majors = 0;
new PerformanceObserver((list) => {
  for (const { detail } of list.getEntries()) if (detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR) majors++;
}).observe({ entryTypes: ['gc'] });
const window = [];
for (let page = 0; page < 65_536; page++) {
  window.push({ page: Buffer.allocUnsafeSlow(8192), rest: Array(8).fill(page).map(String) });
  if (window.length > 1024) window.shift();
  if (page % 64 === 0) await delay(0);
}
await delay(10);
console.log(majors, kept.length);
`;

function majorCollections(...percent: string[]): number {
  const flags = ['--max-semi-space-size=2', '--max-old-space-size=1024', '--input-type=module', '--eval', PROGRAM];
  const { stdout, stderr } = spawnSync(process.execPath, [...flags, ...percent], { encoding: 'utf8' });
  expect(stderr).toBe('');
  return Number.parseInt(stdout);
}

it('collects seldom what a heap has when buffers pass through it', () => {
  const byItself = majorCollections();
  const grown = majorCollections('200');
  expect(byItself).toBeGreaterThan(4);
  expect(grown).toBeLessThan(byItself / 2);
}, 60_000);
