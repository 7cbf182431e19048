/**
 * `node test/bench/fifty-clusters.ts --clusters 50 --resyncs 12 --resync-seconds 5`: what many clusters cost one operator. The operator is the real
 * program, as a process; the API server is local-kube's, in this one; pods are faked at the kubelet (fake-kubelet.ts), not in the operator. Clusters
 * are made all at once; then three times as many resyncs as an hour has: twice while nobody writes, once while everybody does.
 * It needs ports 7002 and 7003 of every address: give it a network namespace of its own where other clusters run.
 */
import { spawn } from 'node:child_process';
import { subscribe } from 'node:diagnostics_channel';
import { mkdtempSync, rmSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { silentLogger } from '@kube-aurora/process';
import { parseImageMap } from '../../local-kube/src/kubelet/image-map.ts';
import { startLocalKube } from '../../local-kube/src/local-kube.ts';
import type { KubeObject } from '../../local-kube/src/store/object.ts';
import { clusterCrd } from '../../operator/src/api/crd.ts';
import { API_GROUP_VERSION, CLUSTER_KIND } from '../../operator/src/api/types.ts';
import { FakeKubelet } from './fake-kubelet.ts';
import { histogramQuantile, moved, scrape, type Metrics } from './metrics.ts';
import { cpuSeconds, machineLoad } from './process-usage.ts';
import { markdownTable, MIB, print, shown } from './table.ts';

const { values } = parseArgs({
  options: {
    clusters: { type: 'string', default: '50' },
    resyncs: { type: 'string', default: '12' },
    'resync-seconds': { type: 'string', default: '5' },
  },
});
const clusters = Number(values.clusters);
const resyncs = Number(values.resyncs);
const resyncSeconds = Number(values['resync-seconds']);
const READY_WITHIN_MS = 900_000;
/** Followed by nothing new for so long a cluster that was made is at rest. */
const QUIET_MS = 10_000;
const REPOSITORY = path.resolve(import.meta.dirname, '../..');

const home = mkdtempSync(path.join(tmpdir(), 'kube-aurora-bench-'));
const kube = await startLocalKube({
  dataDirectory: home,
  port: 0,
  images: parseImageMap({}, 'none'),
  zones: ['zone-a', 'zone-b', 'zone-c'],
  logger: silentLogger(),
  runPods: false,
});
const { registry } = kube;
const kubelet = new FakeKubelet(registry);
await kubelet.start();

/** Requests to the API server: all are the operator's. */
const calls = { watches: 0, reads: 0, writes: 0 };
let lastCall = 0;
subscribe('http.server.request.start', (message) => {
  const { request } = message as { request: IncomingMessage };
  if (request.socket.localPort !== kube.port) return;
  lastCall = Date.now();
  if (request.method === 'GET') calls[/[?&]watch=/.test(request.url ?? '') ? 'watches' : 'reads'] += 1;
  else calls.writes += 1;
});

function create(object: object, namespace?: string): void {
  const made = JSON.parse(JSON.stringify(object)) as KubeObject;
  const resource = registry.catalog.byKind(made.apiVersion, made.kind);
  if (resource === undefined) throw new Error(`${made.kind} is no kind here`);
  registry.create(resource, namespace, made, { manager: 'bench' });
}
create(clusterCrd);

const operator = spawn(process.execPath, [path.join(REPOSITORY, 'operator/src/main.ts')], {
  env: {
    ...process.env,
    KUBECONFIG: kube.kubeconfig,
    LEADER_ELECTION: 'off',
    METRICS_LISTEN: '127.0.0.1:0',
    RESYNC_SECONDS: String(resyncSeconds),
  },
  stdio: ['ignore', 'pipe', 'inherit'],
});
const pid = operator.pid ?? 0;
let metricsPort = 0;
createInterface({ input: operator.stdout }).on('line', (line) => {
  if (metricsPort === 0) metricsPort = Number(/"port":(\d+)/.exec(line)?.[1] ?? 0);
});

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + READY_WITHIN_MS;
  while (!(await holds())) {
    if (operator.exitCode !== null) throw new Error(`the operator ended with ${operator.exitCode} before ${what}`);
    if (Date.now() > end) throw new Error(`${what} took longer than ${READY_WITHIN_MS / 1000} s`);
    await delay(200);
  }
}

interface Reading {
  readonly at: number;
  readonly metrics: Metrics;
  readonly calls: typeof calls;
  readonly asked: number;
  readonly cpu: number;
}
const read = async (): Promise<Reading> => ({
  at: Date.now(),
  metrics: await scrape(`127.0.0.1:${metricsPort}`),
  calls: { ...calls },
  asked: kubelet.asked,
  cpu: cpuSeconds(pid),
});
const rows: string[][] = [];
const LATENCY = 'aurora_operator_reconcile_seconds';
const ms = (seconds: number): string => (Number.isNaN(seconds) ? '–' : `≤ ${shown(seconds * 1000)}`);

function row(what: string, before: Reading, after: Reading): void {
  const each = (count: number): string => shown(count / clusters, 1);
  const reconciles = moved(before.metrics, after.metrics, `${LATENCY}_count`);
  rows.push([
    what,
    `${shown((after.at - before.at) / 1000)} s`,
    each(reconciles),
    ms(histogramQuantile(before.metrics, after.metrics, LATENCY, 0.5)),
    ms(histogramQuantile(before.metrics, after.metrics, LATENCY, 0.99)),
    each(after.calls.writes - before.calls.writes),
    each(after.calls.reads - before.calls.reads),
    shown(after.calls.watches - before.calls.watches),
    each(after.asked - before.asked),
    shown(after.cpu - before.cpu, 1),
    shown((after.metrics.get('process_resident_memory_bytes') ?? 0) / MIB),
    shown((after.metrics.get('nodejs_heap_size_used_bytes') ?? 0) / MIB),
  ]);
}

try {
  await until('the operator’s start', () => metricsPort !== 0 && calls.watches > 0);
  await delay(2_000);
  const nothing = await read();
  row('no cluster', nothing, nothing);
  for (let number = 1; number <= clusters; number++)
    create(
      { apiVersion: API_GROUP_VERSION, kind: CLUSTER_KIND, metadata: { name: `shop-${number}` }, spec: { storage: { size: '10Gi' } } },
      'default',
    );
  const phaseOf = (object: KubeObject): unknown => (object['status'] as { phase?: unknown } | undefined)?.phase;
  const all = registry.catalog.byKind(API_GROUP_VERSION, CLUSTER_KIND)?.storage ?? '';
  await until('making all clusters', () => registry.store.list(all).every((object) => phaseOf(object) === 'Ready'));
  row(`${clusters} clusters made, all Ready`, nothing, await read());
  await until('coming to rest', () => Date.now() - lastCall > QUIET_MS || Date.now() - lastCall > resyncSeconds * 1000);
  for (const [what, writing] of [
    [`${resyncs} resyncs`, false],
    [`${resyncs} more`, false],
    [`${resyncs} more, clients writing`, true],
  ] as const) {
    kubelet.writing = writing;
    const before = await read();
    await delay(resyncs * resyncSeconds * 1000);
    row(what, before, await read());
  }
  print(`${clusters} clusters, ${clusters * 7} pods; a resync every ${resyncSeconds} s; ${machineLoad()}\n`);
  print(
    markdownTable(
      [
        '',
        'time',
        'reconciles a cluster',
        'p50 ms',
        'p99 ms',
        'writes a cluster',
        'reads a cluster',
        'watches begun, all',
        'status asked a cluster',
        'CPU s',
        'RSS MiB',
        'heap MiB',
      ],
      rows,
    ),
  );
  const errors = (await read()).metrics.get('aurora_operator_reconcile_errors_total') ?? 0;
  print(`\nreconciles that failed and were tried again: ${shown(errors)}`);
} finally {
  operator.kill('SIGTERM');
  kubelet.stop();
  await kube.stop();
  rmSync(home, { recursive: true, force: true });
}
process.exit(0);
