/**
 * `node test/bench/token-relay.ts --seconds 8 --rounds 3 --clients 8`: what a session at the token port costs beside one at PostgreSQL's own port,
 * of the same compute: pgbench's lookups by primary key (`-S`), all in memory, over TLS both times, in turns. Tokens are issued and reviewed by local-kube. CPU is
 * microseconds a lookup, of the agent's process (its threads together) and of all of PostgreSQL's.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { parse as parseYaml } from 'yaml';
import { startTestCluster } from '../../local-kube/src/testing/cluster.ts';
import { testPki } from '../../compute-node/src/tls/fixture-pki.ts';
import { Cluster } from '../e2e/cluster-harness.ts';
import { clusterTarget, initialise, requirePgbench, runFor, type BenchTarget } from './pgbench.ts';
import { cpuSeconds, machineLoad, treeCpuSeconds } from './process-usage.ts';
import { markdownTable, print, quantile, shown } from './table.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '8' },
    rounds: { type: 'string', default: '3' },
    clients: { type: 'string', default: '8' },
    scale: { type: 'string', default: '1' },
  },
});
const AUDIENCE = 'kube-aurora/default/bench';
const TOKEN_PORT = 5433;

interface Figures {
  readonly tps: number;
  readonly agentUs: number;
  readonly postgresUs: number;
}

print(await requirePgbench());
const home = mkdtempSync(join(tmpdir(), 'ka-relay-'));
const kube = await startTestCluster({ runPods: false });
const cluster = await Cluster.start({
  idle: true,
  env: {
    AURORA_TOKEN_PORT: String(TOKEN_PORT),
    AURORA_TOKEN_REVIEW_DIR: join(home, 'review'),
    AURORA_TLS_DIR: join(home, 'tls'),
  },
});
try {
  for (const name of ['review', 'tls']) mkdirSync(join(home, name));
  for (const name of ['reviewer', 'pgbench']) await kube.kubectl(`create serviceaccount ${name}`);
  const config = parseYaml(readFileSync(kube.kube.kubeconfig, 'utf8')) as { clusters: { cluster: Record<string, string> }[] };
  const api = config.clusters[0]?.cluster ?? {};
  writeFileSync(join(home, 'review', 'server'), api['server'] ?? '');
  writeFileSync(join(home, 'review', 'ca.crt'), Buffer.from(api['certificate-authority-data'] ?? '', 'base64'));
  writeFileSync(join(home, 'review', 'token'), await kube.kubectl('create token reviewer'));
  const { pair } = await testPki([cluster.writer.host]);
  writeFileSync(join(home, 'tls', 'tls.crt'), pair.certificate);
  writeFileSync(join(home, 'tls', 'tls.key'), pair.key);
  const login = { namespace: 'default', serviceAccount: 'pgbench', role: 'app', allowSuperuser: false };
  writeFileSync(join(cluster.settingsDir, 'logins.json'), JSON.stringify({ audience: AUDIENCE, logins: [login] }));
  await cluster.startAll(120_000);
  // Of pgbench; the harness's own driver would want to check the certificate.
  process.env['PGSSLMODE'] = 'require';

  const direct = clusterTarget(cluster);
  await initialise(direct, Number(values.scale));
  const token = (await kube.kubectl(`create token pgbench --audience ${AUDIENCE} --duration 15m`)).trim();
  const targets: readonly BenchTarget[] = [direct, { ...direct, name: 'at the token port', port: TOKEN_PORT, password: token }];
  const measured = new Map<string, Figures[]>(targets.map(({ name }) => [name, []]));
  for (const target of targets) await runFor(target, 'select', Number(values.clients), 3);
  for (let round = 0; round < Number(values.rounds); round++)
    for (const target of targets) {
      const agent = cluster.writer.pid ?? 0;
      const [own, all] = [cpuSeconds(agent), treeCpuSeconds(agent)];
      const { tps, transactions } = await runFor(target, 'select', Number(values.clients), Number(values.seconds));
      const agentS = cpuSeconds(agent) - own;
      const us = (seconds: number): number => (seconds / transactions) * 1e6;
      measured.get(target.name)?.push({ tps, agentUs: us(agentS), postgresUs: us(treeCpuSeconds(agent) - all - agentS) });
    }
  const medians = [...measured].map(([name, figures]) => {
    const median = (of: (one: Figures) => number): number => quantile(figures.map(of), 0.5);
    return {
      name,
      tps: median(({ tps }) => tps),
      agent: median(({ agentUs }) => agentUs),
      postgres: median(({ postgresUs }) => postgresUs),
    };
  });
  const base = medians[0]?.tps ?? 1;
  print(
    markdownTable(
      ['', 'lookups/s', 'beside direct', 'agent, µs of CPU', 'PostgreSQL, µs of CPU'],
      medians.map(({ name, tps, agent, postgres }) => [
        name === direct.name ? 'direct' : name,
        shown(tps),
        (tps / base).toFixed(2),
        shown(agent),
        shown(postgres),
      ]),
    ),
  );
  print(`${values.clients} clients, medians of ${values.rounds} rounds; load of the machine ${machineLoad()}`);
} finally {
  await cluster.destroy();
  await kube.stop();
  rmSync(home, { recursive: true, force: true });
}
