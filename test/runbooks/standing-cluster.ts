import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '@kube-aurora/test-ports';
import { parse, stringify } from 'yaml';
import { buildPlugin } from '../../kubectl-aurora/src/build/build.ts';
import {
  findPrometheus,
  HOW_TO_GET_PROMETHEUS,
  prometheusArguments,
  prometheusConfiguration,
} from '../../packages/quickstart/src/prometheus.ts';
import { targetsOf } from '../../packages/quickstart/src/scrape-targets.ts';
import { kubectlPath } from '../../scripts/kubectl.mjs';
import { LocalCluster } from '../real-kubernetes/local-cluster.ts';

const READY_MS = 180_000;
const COMMAND_MS = 60_000;
const SCRAPE_SECONDS = 2;
const MANIFEST = path.join(import.meta.dirname, 'cluster.yaml');
const RULES = path.resolve(import.meta.dirname, '../../deploy/monitoring/alerts.yaml');
const OPERATOR_METRICS = 7000;

export interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

type Pods = Parameters<typeof targetsOf>[0];

/** A cluster with a reader under the operator of deploy/, a shell as its keeper has it, and a Prometheus. */
export class StandingCluster {
  readonly name = 'orders';
  readonly home: string;
  readonly #local: LocalCluster;
  readonly #tools: string;
  readonly #prometheus: string;
  #scraper: ChildProcess | undefined;

  private constructor(local: LocalCluster, prometheus: string) {
    this.#local = local;
    this.home = path.dirname(local.kubeconfig);
    this.#tools = mkdtempSync(path.join(tmpdir(), 'ka-runbooks-'));
    chmodSync(this.#tools, 0o755);
    this.#prometheus = prometheus;
  }

  static async start(): Promise<StandingCluster> {
    const prometheus = findPrometheus(process.env);
    if (prometheus === undefined) throw new Error(HOW_TO_GET_PROMETHEUS);
    const cluster = new StandingCluster(await LocalCluster.start(), `127.0.0.1:${await freePort()}`);
    try {
      await cluster.#setUp(prometheus);
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  async #setUp(prometheus: string): Promise<void> {
    await buildPlugin(this.#tools);
    copyFileSync(kubectlPath({ own: true }), path.join(this.#tools, 'kubectl'));
    await this.#local.kubectl.run(['apply', '-f', MANIFEST]);
    await this.ready();
    const directory = path.join(this.#tools, 'prometheus');
    mkdirSync(directory);
    const [rules, configuration] = [path.join(directory, 'alerts.yaml'), path.join(directory, 'prometheus.yaml')];
    writeFileSync(rules, stringify((parse(readFileSync(RULES, 'utf8')) as { spec: object }).spec));
    const { items } = await this.#local.kubectl.get<{ items: Pods }>('pods', '--namespace', 'kube-aurora-system');
    const operator = `${items[0]?.status?.podIP ?? ''}:${OPERATOR_METRICS}`;
    writeFileSync(
      configuration,
      prometheusConfiguration({ targets: path.join(directory, 'targets.json'), operator, rules, scrapeSeconds: SCRAPE_SECONDS }),
    );
    await this.nameTargets();
    this.#scraper = spawn(prometheus, prometheusArguments(configuration, path.join(directory, 'data'), this.#prometheus), {
      stdio: 'inherit',
    });
  }

  /** Tells Prometheus who is who now. */
  async nameTargets(): Promise<void> {
    const { items } = await this.#local.kubectl.get<{ items: Pods }>('pods', '-l', `kube-aurora.dev/cluster=${this.name}`);
    const file = path.join(this.#tools, 'prometheus', 'targets.json');
    // Prometheus reads it whenever it changes: nobody reads half of one.
    writeFileSync(`${file}.new`, JSON.stringify(targetsOf(items)));
    renameSync(`${file}.new`, file);
  }

  /** Until everything of it serves. */
  async ready(): Promise<void> {
    const until = performance.now() + READY_MS;
    for (;;) {
      const { stdout } = await this.shell(`kubectl get auroracluster ${this.name} -o jsonpath='{.status.phase} {.status.compute.summary}'`);
      if (stdout.startsWith('Ready 2/2')) return;
      if (performance.now() > until) throw new Error(`the cluster is not ready: ${stdout}`);
      await delay(500);
    }
  }

  /** Of its keeper's shell: kubectl, the plugin and where the cluster is. */
  get environment(): NodeJS.ProcessEnv {
    const directories = [this.#tools, path.dirname(process.execPath), process.env['PATH'] ?? ''];
    return { ...process.env, KUBECONFIG: this.#local.kubeconfig, PATH: directories.join(path.delimiter) };
  }

  /** Types a line, to its end. */
  shell(line: string, input = ''): Promise<Ran> {
    const run = spawnSync('bash', ['-c', line], {
      input,
      encoding: 'utf8',
      timeout: COMMAND_MS,
      env: this.environment,
    });
    return Promise.resolve({ status: run.status, stdout: run.stdout, stderr: run.stderr });
  }

  /** How many series an expression gives. Throws with Prometheus' words when it is none. */
  async ask(expr: string): Promise<number> {
    const response = await fetch(`http://${this.#prometheus}/api/v1/query?query=${encodeURIComponent(expr)}`);
    const { status, error, data } = (await response.json()) as { status: string; error?: string; data?: { result: readonly unknown[] } };
    if (status !== 'success') throw new Error(error ?? 'Prometheus does not say why');
    return data?.result.length ?? 0;
  }

  async stop(): Promise<void> {
    this.#scraper?.kill('SIGTERM');
    await this.#local.stop();
    rmSync(this.#tools, { recursive: true, force: true });
  }
}
