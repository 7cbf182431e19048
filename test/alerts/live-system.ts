import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import path from 'node:path';
import { Client } from 'pg';
import { parse } from 'yaml';
import { Quickstart } from '../e2e/quickstart-harness.ts';
import { environmentOf, programsOf, type PodProgram } from './pod-programs.ts';

const UP_WITHIN_MS = 300_000;

/** A series as Prometheus answers to query_range: seconds, and values as texts. */
export interface RangeSeries {
  readonly metric: Readonly<Record<string, string>>;
  readonly values: readonly (readonly [number, string])[];
}

/** A system of `npm start -- --dashboards`, and hands to do it harm with. */
export class LiveSystem {
  readonly quickstart = new Quickstart();
  /** Disks that faults have put in the place of others. */
  readonly mounted: string[] = [];
  readonly #prometheus: string;
  #password = '';

  constructor(prometheus: string) {
    this.#prometheus = prometheus;
  }

  /** @param manifest of a cluster named demo, in place of the sample's */
  async start(manifest?: string): Promise<void> {
    await this.quickstart.start(undefined, {
      arguments: ['--dashboards', ...(manifest === undefined ? [] : [manifest])],
      env: { PROMETHEUS_LISTEN: this.#prometheus },
      withinMs: UP_WITHIN_MS,
    });
    const secret = this.quickstart.run('kubectl', 'get', 'secret', 'demo-superuser', '-o', 'jsonpath={.data.password}');
    this.#password = Buffer.from(secret.output.trim(), 'base64').toString();
  }

  /** A session of the superuser's, on the writer, or where a Service leads to. */
  async session(database = 'app', service?: string): Promise<Client> {
    const [, writer = ''] = /@(127[\d.]+):5432/.exec(this.quickstart.printed) ?? [];
    const host = service === undefined ? writer : this.kubectl('get', 'service', service, '-o', 'jsonpath={.spec.clusterIP}');
    const client = new Client({ host, user: 'postgres', password: this.#password, database, ssl: { rejectUnauthorized: false } });
    client.on('error', () => undefined);
    await client.connect();
    return client;
  }

  async sql(statement: string): Promise<readonly Record<string, unknown>[]> {
    const client = await this.session();
    try {
      return (await client.query<Record<string, unknown>>(statement)).rows;
    } finally {
      await client.end();
    }
  }

  kubectl(...words: string[]): string {
    const { status, output } = this.quickstart.run('kubectl', ...words);
    if (status !== 0) throw new Error(`kubectl ${words.join(' ')}: ${output}`);
    return output.trim();
  }

  /** Annotates the AuroraCluster within milliseconds, where a kubectl takes its time to begin. */
  annotate(annotations: Readonly<Record<string, string>>): Promise<void> {
    const { clusters, users } = parse(readFileSync(path.join(this.quickstart.home, 'kubeconfig'), 'utf8')) as {
      clusters: readonly [{ cluster: { server: string; 'certificate-authority-data': string } }];
      users: readonly [{ user: { token: string } }];
    };
    const { server, 'certificate-authority-data': ca } = clusters[0].cluster;
    const headers = { authorization: `Bearer ${users[0].user.token}`, 'content-type': 'application/merge-patch+json' };
    const url = `${server}/apis/kube-aurora.dev/v1alpha1/namespaces/default/auroraclusters/demo`;
    return new Promise((resolve, reject) => {
      const asked = request(url, { method: 'PATCH', ca: Buffer.from(ca, 'base64'), headers }, (response) => {
        response.resume();
        if (response.statusCode === 200) resolve();
        else reject(new Error(`PATCH ${url}: ${response.statusCode ?? 'no code'}`));
      });
      asked.on('error', reject);
      asked.end(JSON.stringify({ metadata: { annotations } }));
    });
  }

  /** Name of the pod that writes, or reads. */
  pod(role: 'writer' | 'reader'): string {
    return this.kubectl('get', 'pods', '-l', `kube-aurora.dev/role=${role}`, '-o', 'jsonpath={.items[0].metadata.name}');
  }

  /** Processes of a pod's program. */
  programs(pod: string): PodProgram[] {
    return programsOf(this.quickstart.home, pod);
  }

  /** Of `npm start`'s own programs. */
  pidOf(program: 'operator' | 'prometheus'): number {
    return (JSON.parse(readFileSync(path.join(this.quickstart.home, 'run', `${program}.json`), 'utf8')) as { pid: number }).pid;
  }

  /** Stops them where they stand; what is given back lets them go on. */
  stopped(pids: readonly number[]): () => void {
    for (const pid of pids) process.kill(pid, 'SIGSTOP');
    return () => {
      for (const pid of pids) if (environmentOf(pid) !== undefined) process.kill(pid, 'SIGCONT');
    };
  }

  /** What Prometheus answers to an expression. */
  async ask(
    expr: string,
  ): Promise<readonly { readonly metric: Readonly<Record<string, string>>; readonly value: readonly [number, string] }[]> {
    const response = await fetch(`http://${this.#prometheus}/api/v1/query?query=${encodeURIComponent(expr)}`);
    const answer = (await response.json()) as { status: string; error?: string; data: { resultType: string; result: never } };
    if (answer.status !== 'success') throw new Error(`${expr}: ${answer.error ?? 'Prometheus does not say why'}`);
    const { resultType, result } = answer.data;
    return resultType === 'vector' ? result : [{ metric: {}, value: result }];
  }

  /** What it answers to an expression of a dashboard over a time. */
  async askRange(
    expr: string,
    { fromMs, toMs, stepMs }: { readonly fromMs: number; readonly toMs: number; readonly stepMs: number },
    rateInterval: string,
  ): Promise<readonly RangeSeries[]> {
    const asked = ofDemo(expr, rateInterval, `${Math.round((toMs - fromMs) / 1000)}s`);
    const range = `start=${fromMs / 1000}&end=${toMs / 1000}&step=${stepMs / 1000}`;
    const response = await fetch(`http://${this.#prometheus}/api/v1/query_range?query=${encodeURIComponent(asked)}&${range}`);
    const { status, error, data } = (await response.json()) as { status: string; error?: string; data: { result: readonly RangeSeries[] } };
    if (status !== 'success') throw new Error(`${asked}: ${error ?? 'Prometheus does not say why'}`);
    return data.result;
  }

  async isFiring(alert: string): Promise<boolean> {
    return (await this.ask(`ALERTS{alertname="${alert}",alertstate="firing"}`)).length > 0;
  }

  async stop(): Promise<void> {
    await this.quickstart.stop();
    for (const directory of this.mounted) spawnSync('umount', [directory]);
    await this.quickstart.destroy();
  }
}

/** With the variables of a dashboard as they are for the one cluster that there is, and what Grafana puts for `range`, what is looked at as a whole. */
export function ofDemo(expr: string, rateInterval: string, range = '5m'): string {
  return expr
    .replaceAll('$namespace', 'default')
    .replaceAll('$cluster', 'demo')
    .replaceAll('$__rate_interval', rateInterval)
    .replaceAll('$__range', range);
}
