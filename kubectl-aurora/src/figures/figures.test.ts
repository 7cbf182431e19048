import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { KubeConfig } from '@kubernetes/client-node';
import { describe, expect, test } from 'vitest';
import { COMPONENT_LABEL, growth, meanBetween, parseMetrics, quantileBetween, total, type Pod } from '@kube-aurora/cluster-view';
import { HttpApi } from '@kube-aurora/kube-http';
import { VIEWS } from '../testing/views.ts';
import { fetchMetrics } from './fetch-metrics.ts';
import { renderStorage } from './render-storage.ts';
import { renderTop } from './render-top.ts';
import { readStatements, renderStatements } from './statements.ts';
import { waitsBetween } from './waits.ts';

const PIPE = { width: Infinity, colour: false } as const;
const agent = (flushes: number, seconds: number, vdl: number): string => `# HELP aurora_flush_seconds flushes
aurora_client_connections 12
aurora_cpu_cores 0.53
aurora_flush_seconds_bucket{le="0.002"} ${Math.floor(flushes * 0.9)}
aurora_flush_seconds_bucket{le="0.01"} ${flushes}
aurora_flush_seconds_bucket{le="+Inf"} ${flushes}
aurora_flush_seconds_sum ${seconds}
aurora_flush_seconds_count ${flushes}
aurora_vdl_bytes ${vdl}
aurora_pages_read_total 5
aurora_cache_pages_hit 98
aurora_cache_pages_missed 2
`;

describe('Prometheus’ text', () => {
  test('is read by name and labels; what is none of it is left out', () => {
    const metrics = parseMetrics('a 1\na{x="1",y="q\\"u\\\\o\\nte"} 2.5e3 1700000000\n# TYPE b gauge\nb{} +Inf\nnot a line at all\n');
    expect(metrics.get('a')).toEqual([
      { labels: {}, value: 1 },
      { labels: { x: '1', y: 'q"u\\o\nte' }, value: 2500 },
    ]);
    expect([total(metrics, 'a'), total(metrics, 'b'), total(metrics, 'c'), total(undefined, 'a')]).toEqual([
      2501,
      Infinity,
      undefined,
      undefined,
    ]);
  });

  test('two looks give what happened between', () => {
    const [before, after] = [parseMetrics(agent(100, 1, 1000)), parseMetrics(agent(300, 1.4, 9000))];
    expect(growth(before, after, 'aurora_vdl_bytes')).toBe(8000);
    // A program that was started anew counts from nothing.
    expect(growth(after, before, 'aurora_vdl_bytes')).toBeUndefined();
    expect(meanBetween(before, after, 'aurora_flush_seconds')).toBeCloseTo(0.002);
    expect(quantileBetween(before, after, 'aurora_flush_seconds', 0.5)).toBe(0.002);
    expect(quantileBetween(before, after, 'aurora_flush_seconds', 0.99)).toBe(0.01);
    expect(quantileBetween(after, after, 'aurora_flush_seconds', 0.5)).toBeUndefined();
  });
});

test('a pod that the API server does not reach is waited for no longer than one would at a terminal', async () => {
  const server = createServer((request, response) => {
    if (request.url?.includes('demo-storage-0') === true) response.end('a 1\n');
    // As an API server that still tries to reach the other.
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const config = new KubeConfig();
  config.loadFromClusterAndUser(
    { name: 'c', server: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, skipTLSVerify: true },
    { name: 'u' },
  );
  const pods = ['demo-storage-0', 'demo-storage-1'].map((name): Pod => ({
    metadata: { name, namespace: 'default', labels: { [COMPONENT_LABEL]: 'storage' } },
  }));
  const api = new HttpApi(config, 'test');
  const [reached, silent] = [
    await fetchMetrics(api, pods.slice(0, 1), undefined, 30_000),
    await fetchMetrics(api, pods.slice(1), undefined, 100),
  ];
  expect([...reached.byPod.keys()]).toEqual(['demo-storage-0']);
  expect([...silent.missing]).toEqual([['demo-storage-1', 'no answer by way of the API server within 0.1 s']]);
  server.closeAllConnections();
  server.close();
});

test('top', () => {
  const figures = (text: string) => ({
    byPod: new Map([['demo-1', parseMetrics(text)]]),
    missing: new Map([['demo-3', 'error trying to reach service']]),
  });
  const page = renderTop(
    VIEWS.healthy.cluster,
    { before: figures(agent(100, 1, 1000)), after: figures(agent(300, 1.4, 9_001_000)), seconds: 2 },
    PIPE,
  );
  expect(page).toBe(`demo   over 2.0 s
INSTANCE   ROLE     CONNECTIONS   CORES   FLUSHES/S   FLUSH       P99    REDO/S   READS/S   CACHE HIT    LAG
demo-1     writer            12    0.53         100    2 ms   ≤ 10 ms   4.3 MiB         0      98.0 %      -
demo-2     reader             -       -           -       -         -         -         -           -   0 ms
demo-3     reader             -       -           -       -         -         -         -           -   0 ms
demo-3: no figures: error trying to reach service
`);
});

test('statements that took most time, as an agent tells of them', () => {
  const statement = { queryId: '-42', database: 'app', role: 'app', calls: 7, seconds: 1.4, meanMs: 200, text: 'select $1' };
  const told = readStatements(JSON.stringify({ insights: { statements: [statement, { queryId: 1 }] } }));
  expect(renderStatements(told, PIPE)).toBe(`
QUERYID    TIME   CALLS     MEAN   DATABASE   STATEMENT
-42       1.4 s       7   200 ms   app        select $1
`);
  const none = ['no JSON', '{}', '{"insights":{"noStatements":"pg_stat_statements is not loaded"}}', 'null'];
  expect(none.map((body) => renderStatements(readStatements(body), PIPE))).toEqual(['', '', '', '']);
});

test('what sessions wait for, most first, is the growth between two looks', () => {
  const load = (cpu: number, sync: number, lock: number): string =>
    [
      ['CPU', 'CPU', cpu],
      ['IO', 'WalSync', sync],
      ['Lock', 'tuple', lock],
    ]
      .map(([type, event, seconds]) => `aurora_load_session_seconds_total{type="${type}",event="${event}"} ${seconds}\n`)
      .join('');
  const waits = (before: string, after: string): string => waitsBetween(parseMetrics(before), parseMetrics(after), 2);
  expect(waits(load(10, 5, 1), load(11, 9, 1))).toBe('2.0 IO:WalSync, 0.5 CPU');
  // An event that was not seen before has counted from nothing.
  expect(waits('other 1\n', load(2, 0, 0))).toBe('1.0 CPU');
  expect(waits(load(1, 1, 1), load(1, 1, 1))).toBe('-');
  expect(waits('', '')).toBe('');
});

test('storage', () => {
  const metrics = parseMetrics(`aurora_storage_bytes_used{role="full"} 5000
aurora_storage_disk_free_bytes 1073741824
aurora_storage_log_bytes 4096
aurora_storage_checkpoint_lsn 4096
aurora_storage_repairs_total{kind="page"} 3
aurora_storage_redo_held_lsn{holder="demo-storage-4"} 2048
aurora_storage_redo_held_lsn{holder="demo-storage-5"} 8192
`);
  const page = renderStorage(
    VIEWS['one copy damaged'].cluster,
    { byPod: new Map([['demo-storage-0', metrics]]), missing: new Map() },
    PIPE,
  );
  const lines = page.split('\n');
  expect(lines[0]).toBe('demo   volume 6f1c2f0e-8a53-4f0c-9a3e-1d2c3b4a5f60 · epoch 3 · VDL 0/2000 · 5.9 KiB in all');
  expect(lines[2]?.split(/ {2,}/)).toEqual([
    'demo-storage-0',
    'zone-a',
    'full',
    '✓ ready',
    '0 B',
    '4.9 KiB',
    '-',
    '1.0 GiB',
    '4.0 KiB',
    '4.0 KiB',
    '-',
    '3',
    'demo-storage-4 6.0 KiB',
  ]);
  expect(lines[4]).toMatch(/^demo-storage-2 +zone-c +full +✗ damaged data/);
});
