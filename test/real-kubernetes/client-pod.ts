/** The client's pod: its program in a ConfigMap, run by the Node of the operator's image, and what it has seen so far. */
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import type { LedgerReport } from '../faults/ledger.ts';
import type { Kubectl } from './kubectl.ts';
import { readObservation, type Observed } from './observation.ts';

const NAME = 'client';
const PROGRAM = '/etc/client';
const AUTHORITY = '/etc/authority';
const CPU = '500m';

async function program(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL('client.ts', import.meta.url))],
    bundle: true,
    write: false,
    minify: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    external: ['pg-native'],
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
  });
  return outputFiles[0]?.text ?? '';
}

export interface ClientPlace {
  readonly namespace: string;
  readonly cluster: string;
  readonly image: string;
  readonly node: string;
}

export class ClientPod {
  readonly #kubectl: Kubectl;
  readonly #place: ClientPlace;
  readonly #seen: Observed[] = [];
  #following: Promise<void> | undefined;
  #isOver = false;

  constructor(kubectl: Kubectl, place: ClientPlace) {
    this.#kubectl = kubectl;
    this.#place = place;
  }

  get node(): string {
    return this.#place.node;
  }

  /** Resolves once it commits. */
  async start(): Promise<void> {
    const { namespace, cluster, image, node } = this.#place;
    // One that a trial has left that did not come to its end is of another program.
    await this.remove();
    const secret = (name: string, key: string) => ({ name, valueFrom: { secretKeyRef: { name: `${cluster}-app`, key } } });
    await this.#kubectl.apply(
      {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: NAME, namespace },
        data: { 'client.mjs': await program() },
      },
      {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: NAME, namespace },
        spec: {
          restartPolicy: 'Never',
          automountServiceAccountToken: false,
          enableServiceLinks: false,
          terminationGracePeriodSeconds: 120,
          nodeName: node,
          // It is to stay through what is done to nodes.
          tolerations: [{ operator: 'Exists' }],
          securityContext: { runAsNonRoot: true, runAsUser: 10001, runAsGroup: 10001, seccompProfile: { type: 'RuntimeDefault' } },
          containers: [
            {
              name: NAME,
              image,
              imagePullPolicy: 'IfNotPresent',
              command: ['node', `${PROGRAM}/client.mjs`],
              env: [
                { name: 'PGHOST', value: `${cluster}-rw.${namespace}.svc` },
                { name: 'PGPORT', value: '5432' },
                { name: 'PGSSLROOTCERT', value: `${AUTHORITY}/ca.crt` },
                secret('PGUSER', 'username'),
                secret('PGPASSWORD', 'password'),
                secret('PGDATABASE', 'dbname'),
              ],
              // Without it it is the first to wait on a busy node, and its waits would be told as the cluster's.
              resources: { requests: { cpu: CPU, memory: '128Mi' } },
              securityContext: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
              volumeMounts: [
                { name: 'program', mountPath: PROGRAM, readOnly: true },
                { name: 'authority', mountPath: AUTHORITY, readOnly: true },
              ],
            },
          ],
          volumes: [
            { name: 'program', configMap: { name: NAME } },
            // An earlier release has none: it is spoken to in plain text, until there is one.
            { name: 'authority', secret: { secretName: `${cluster}-app`, items: [{ key: 'ca.crt', path: 'ca.crt' }], optional: true } },
          ],
        },
      },
    );
    await this.#kubectl.run(['wait', '--namespace', namespace, `pod/${NAME}`, '--for=condition=Ready', '--timeout=120s']);
    this.#following = this.#kubectl.followLog(
      namespace,
      NAME,
      (line) => {
        const observed = readObservation(line);
        if (observed !== undefined) this.#seen.push(observed);
      },
      () => this.#isOver || this.#seen.some(({ kind }) => kind === 'verdict'),
    );
    await this.commits(Date.now());
  }

  /** Resolves once both kinds of commits go on after `since` (milliseconds since 1970). */
  async commits(since: number, withinMs = 120_000): Promise<void> {
    const until = Date.now() + withinMs;
    for (;;) {
      const seconds = this.#seen.filter((one) => one.kind === 'second' && one.at > since + 2000);
      // A commit in each of the last two seconds that it told of: a gap would have been told by now.
      const last = seconds.slice(-2);
      if (last.length === 2 && last.every((one) => one.kind === 'second' && one.new > 0 && one.held > 0)) return;
      if (Date.now() > until)
        throw new Error(`the client has no commits again after ${withinMs / 1000} s: ${JSON.stringify(this.#seen.slice(-3))}`);
      await delay(200);
    }
  }

  /** The longest time without a commit that touches what is after `since`, in milliseconds; 0: none that is worth telling. */
  longestGap(of: 'new' | 'held', since: number): number {
    const gaps = this.#seen.flatMap((one) => (one.kind === 'gap' && one.of === of && one.to > since ? [one.to - one.from] : []));
    return Math.max(0, ...gaps);
  }

  /** What new connections were refused with after `since`, and how often. */
  errors(since: number): ReadonlyMap<string, number> {
    const all = new Map<string, number>();
    for (const one of this.#seen) {
      if (one.kind !== 'second' || one.at < since) continue;
      for (const [text, count] of Object.entries(one.errors)) all.set(text, (all.get(text) ?? 0) + count);
    }
    return all;
  }

  /** Transactions that failed after they had begun, and connections in plain text, after `since`. */
  count(of: 'failed' | 'plain', since: number): number {
    return this.#seen.reduce((sum, one) => (one.kind === 'second' && one.at >= since ? sum + one[of] : sum), 0);
  }

  /** Ends it, and gives what it found when it read everything back. */
  async stop(): Promise<LedgerReport> {
    const { namespace } = this.#place;
    await this.#kubectl.run(['delete', 'pod', NAME, '--namespace', namespace, '--timeout=150s']);
    this.#isOver = true;
    await this.#following;
    const verdict = this.#seen.find((one) => one.kind === 'verdict');
    if (verdict === undefined) throw new Error('the client ended without a word on what it found');
    return verdict;
  }

  /** What is left of it. */
  async remove(): Promise<void> {
    await this.#kubectl.run(['delete', `pod/${NAME}`, `configmap/${NAME}`, '--namespace', this.#place.namespace, '--ignore-not-found']);
  }
}
