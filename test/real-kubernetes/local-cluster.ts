/**
 * local-kube in a process of its own with the operator of deploy/, for the trial to run against as against any cluster. Its pods are processes of this
 * machine, and to cut a node off is to kill what runs there.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { kubectlPath } from '../../scripts/kubectl.mjs';
import { Kubectl } from './kubectl.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const MANIFESTS = ['crd', 'namespace', 'rbac', 'operator', 'deletion-protection'];
const OPERATOR = ['deployment/kube-aurora-operator', '--namespace', 'kube-aurora-system'];
const KUBECTL = kubectlPath({ own: true });
const UP_MS = 60_000;
const OUTAGE = 'local-kube.kube-aurora.dev/outage';
/** As long as an API server takes to start again. */
const API_AWAY_S = 5;

export class LocalCluster {
  readonly kubeconfig: string;
  /** Of a release that local-kube answers. */
  readonly kubectl: Kubectl;
  readonly #home: string;
  readonly #child: ChildProcess;

  private constructor(home: string, child: ChildProcess) {
    this.#home = home;
    this.#child = child;
    this.kubeconfig = path.join(home, 'kubeconfig');
    this.kubectl = new Kubectl(this.kubeconfig, KUBECTL);
  }

  static async start(): Promise<LocalCluster> {
    const home = mkdtempSync(path.join(tmpdir(), 'ka-trial-'));
    // PostgreSQL runs as another account where we are root.
    chmodSync(home, 0o711);
    const child = spawn(process.execPath, ['local-kube/src/main.ts', '--data-dir', home, '--port', '0'], {
      cwd: ROOT,
      env: { ...process.env, PATH: `${path.dirname(process.execPath)}:${process.env['PATH'] ?? ''}`, NODE_NO_WARNINGS: '1' },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const cluster = new LocalCluster(home, child);
    try {
      await cluster.#install();
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  async #install(): Promise<void> {
    const until = Date.now() + UP_MS;
    while (!existsSync(this.kubeconfig)) {
      if (this.#child.exitCode !== null || Date.now() > until) throw new Error('local-kube did not come up');
      await delay(100);
    }
    const { kubectl } = this;
    for (const name of MANIFESTS) await kubectl.run(['apply', '--server-side', '-f', path.join(ROOT, 'deploy', `${name}.yaml`)]);
    // What changes in a Secret is in every pod at once here.
    await kubectl.run(['set', 'env', ...OPERATOR, 'CERTIFICATE_SPREAD_SECONDS=20']);
    await kubectl.run(['rollout', 'status', ...OPERATOR, '--timeout=300s']);
  }

  /** Shell commands that do to it what those on the command line do to another cluster. */
  get commands(): { readonly cut: string; readonly mend: string; readonly apiOutage: string } {
    const annotate = `KUBECONFIG='${this.kubeconfig}' '${KUBECTL}' annotate --overwrite node "$NODE" ${OUTAGE}`;
    return {
      cut: `${annotate}=fail`,
      mend: `${annotate}-`,
      apiOutage: `kill -STOP ${this.#child.pid ?? 0}; sleep ${API_AWAY_S}; kill -CONT ${this.#child.pid ?? 0}`,
    };
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode === null) {
      const exited = new Promise((resolve) => this.#child.once('exit', resolve));
      this.#child.kill('SIGTERM');
      await exited;
    }
    rmSync(this.#home, { recursive: true, force: true, maxRetries: 5 });
  }
}
