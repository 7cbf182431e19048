/**
 * `npm start`: the whole system on this machine. A control plane, the operator, and a sample cluster; progress while
 * it comes up, then how to connect and what to try. Ctrl-C stops everything and leaves the data.
 */
import { builtPage } from '@kube-aurora/console/build';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { applyFile, clusterStatus, ManifestRefusedError, type ClusterName, type ClusterStatus } from './apply.ts';
import { ChildProgram, endOrphan, type ProgramEnd } from './child-program.ts';
import { answeringConnection } from './cluster-connection.ts';
import { compileAhead } from './compile-ahead.ts';
import { consolePort } from './console-port.ts';
import { HOME, REPOSITORY } from './home.ts';
import { planMonitoring, targetsFile, writeMonitoring } from './monitoring.ts';
import { podTroubles } from './pod-trouble.ts';
import { Progress } from './progress.ts';
import { keepTargets } from './scrape-targets.ts';
import { welcome } from './welcome.ts';

const DASHBOARDS = '--dashboards';
const SAMPLE = process.argv.slice(2).find((word) => word !== DASHBOARDS) ?? path.join(REPOSITORY, 'deploy/samples/demo.yaml');
/** undefined: nobody asked for it. */
const monitoring = process.argv.includes(DASHBOARDS) ? planMonitoring(HOME, process.env) : undefined;
const KUBECONFIG = path.join(HOME, 'kubeconfig');
/** For a psql of the user's own. */
const SERVER_CA = path.join(HOME, 'ca.crt');
const PID_FILE = path.join(HOME, 'start.pid');
const CONTROL_PLANE_TIMEOUT_MS = 30_000;
const STOP_MS = 30_000;
const CLUSTER_TIMEOUT_MS = 180_000;

const API_PORT = 6443;
/** Kubernetes' times are whole seconds. */
const STARTED_AT = new Date(Math.floor(Date.now() / 1000) * 1000);
const LOOK_AT_PODS_MS = 1000;

class StartError extends Error {}

/** The API's address of the last start, as its kubeconfig has it. */
function apiUrl(): string | undefined {
  return existsSync(KUBECONFIG) ? /server:\s*"?(https:\/\/[^\s"]+)/.exec(readFileSync(KUBECONFIG, 'utf8'))?.[1] : undefined;
}

/**
 * The port that kubeconfigs out there know, the usual one, any: two starts on one machine do not get in each other's
 * way.
 */
function portsToTry(): string {
  const before = apiUrl();
  return [...(before === undefined ? [] : [new URL(before).port]), API_PORT, 0].join(',');
}

/** One `npm start` per home: two would fight for the same disks. Throws StartError that names the other one. */
function claimHome(): void {
  mkdirSync(HOME, { recursive: true, mode: 0o711 });
  if (existsSync(PID_FILE)) {
    const pid = Number(readFileSync(PID_FILE, 'utf8'));
    if (isOurs(pid)) {
      throw new StartError(
        `kube-aurora runs already here (process ${pid}). Connect with 'npm run psql', stop it with Ctrl-C there or 'kill ${pid}', ` +
          `or set KUBE_AURORA_HOME to another folder for a second one.`,
      );
    }
  }
  writeFileSync(PID_FILE, String(process.pid), { mode: 0o600 });
}

/** A process id may have been taken by something else since; its command line tells. */
function isOurs(pid: number): boolean {
  try {
    return pid !== process.pid && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('quickstart/src/start');
  } catch {
    return false;
  }
}

async function waitFor<T>(
  what: string,
  timeoutMs: number,
  programs: readonly ChildProgram[],
  probe: () => Promise<T | undefined>,
): Promise<T> {
  const until = performance.now() + timeoutMs;
  for (;;) {
    for (const program of programs) {
      if (!program.running) throw new StartError(`${program.name} stopped:\n${program.lastLines(20)}\nIts log is ${program.logFile}`);
    }
    const result = await probe();
    if (result !== undefined) return result;
    if (performance.now() > until) {
      throw new StartError(
        `${what} took longer than ${timeoutMs / 1000} s. Logs are in ${path.join(HOME, 'logs')}; 'npm run kubectl -- get pods,events' says more.`,
      );
    }
    await delay(100);
  }
}

function describe(status: ClusterStatus): string {
  const parts = [`storage ${status.storageReady}/6`];
  if (status.ready) parts.push('waiting for PostgreSQL to answer');
  // What follows the first clause is for `kubectl describe`: who is missing, what to do.
  else parts.push(...[status.phase, status.message.split('; ')[0] ?? ''].filter((part) => part !== ''));
  return parts.join(' · ');
}

/** What ended is started again by itself; people are told, with the reason that its own last run gave. */
function tellEnd({ program, how, againInMs }: ProgramEnd): void {
  if (againInMs === undefined) return;
  const reason = program.lastLines(1);
  progress.note(`${program.name} ${how}; it is started again${reason === '' ? '' : `. The last line of its log: ${reason}`}`);
}

/**
 * An `npm start` that was killed leaves its programs running: they are ended, the operator first, and then started by
 * us.
 */
async function endOrphans(): Promise<void> {
  for (const name of ['console', 'prometheus', 'operator', 'local-kube']) {
    const pid = await endOrphan(name, STOP_MS);
    if (pid !== undefined) progress.done('left over', `${name} (process ${pid}) of an npm start that was killed has been stopped`);
  }
}

const programs: ChildProgram[] = [];
/** What nothing else needs: everything goes on when one of them ends. */
const asides: ChildProgram[] = [];
let stopping = false;

/** The operator first, so that it does not heal what we take down; the control plane then stops the pods it runs. */
async function stopAll(): Promise<void> {
  for (const program of [...programs, ...asides].toReversed()) await program.stop(STOP_MS);
  rmSync(PID_FILE, { force: true });
}

/** Says, once for each cause, which pods do not stay up, while there is still hope that they will. */
function troubleTeller(cluster: { readonly name: string; readonly namespace: string }): () => Promise<void> {
  const told = new Map<string, string>();
  let lastLook = 0;
  return async () => {
    if (performance.now() - lastLook < LOOK_AT_PODS_MS) return;
    lastLook = performance.now();
    for (const { pod, cause, sentence } of await podTroubles(cluster, STARTED_AT)) {
      if (told.get(pod) === cause) continue;
      told.set(pod, cause);
      progress.note(sentence);
    }
  };
}

/**
 * A cluster that people have changed since (a volume that grew, say) may not go back to the sample: it goes on as it
 * is.
 */
async function applySample(): Promise<ClusterName> {
  const sample = path.relative(REPOSITORY, SAMPLE);
  try {
    const cluster = await applyFile(SAMPLE);
    progress.done('manifest', `${sample} applied (AuroraCluster ${cluster.namespace}/${cluster.name})`);
    return cluster;
  } catch (error) {
    if (!(error instanceof ManifestRefusedError)) throw error;
    const { cluster, message } = error;
    if ((await clusterStatus(cluster)) === undefined) throw new StartError(`${sample} is refused: ${message}`);
    progress.note(`${sample} is not applied, and AuroraCluster ${cluster.namespace}/${cluster.name} goes on as it is: ${message}`);
    return cluster;
  }
}

/** The page to look at, for this machine alone. Nothing needs it: it starts beside what is waited for. */
async function startConsole(): Promise<string> {
  const port = await consolePort();
  const CONSOLE_LISTEN = `127.0.0.1:${port}`;
  asides.push(
    new ChildProgram(
      'console',
      'console/src/main.ts',
      { KUBECONFIG, CONSOLE_LISTEN, CONSOLE_ACCESS: 'open', CONSOLE_PAGE_DIR: await builtPage() },
      tellEnd,
    ),
  );
  return `http://${CONSOLE_LISTEN}/`;
}

async function start(progress: Progress): Promise<void> {
  process.stdout.write('\nkube-aurora: a PostgreSQL that survives the loss of a zone and one disk more\n\n');
  if (monitoring?.problem !== undefined) throw new StartError(monitoring.problem);
  claimHome();
  await endOrphans();
  void compileAhead(process.env['NODE_COMPILE_CACHE']);
  programs.push(
    new ChildProgram(
      'local-kube',
      'local-kube/src/main.ts',
      {
        LOCAL_KUBE_DATA_DIR: path.join(HOME, 'local-kube'),
        LOCAL_KUBE_KUBECONFIG: KUBECONFIG,
        LOCAL_KUBE_PORT: process.env['LOCAL_KUBE_PORT'] ?? portsToTry(),
        KUBECONFIG: '',
      },
      tellEnd,
    ),
  );
  process.env['KUBECONFIG'] = KUBECONFIG;
  progress.waiting('control plane', 'local-kube is starting');
  await waitFor('the control plane', CONTROL_PLANE_TIMEOUT_MS, programs, async () => {
    if (!existsSync(KUBECONFIG)) return undefined;
    return applyFile(path.join(REPOSITORY, 'deploy/crd.yaml'))
      .then(() => applyFile(path.join(REPOSITORY, 'deploy/deletion-protection.yaml')))
      .then(() => applyFile(path.join(REPOSITORY, 'packages/quickstart/token-review.yaml')))
      .then(
        () => true,
        () => undefined,
      );
  });
  progress.done('control plane', `local-kube at ${apiUrl() ?? KUBECONFIG}, three pretend nodes in zone-a, zone-b, zone-c`);
  programs.push(
    new ChildProgram(
      'operator',
      'operator/src/main.ts',
      {
        KUBECONFIG,
        LEADER_ELECTION: 'off',
        METRICS_LISTEN: monitoring?.operator ?? '127.0.0.1:0',
        TOKEN_REVIEWER: 'kube-aurora-token-review',
      },
      tellEnd,
    ),
  );
  if (monitoring !== undefined) {
    writeMonitoring(monitoring);
    keepTargets(targetsFile(monitoring.directory));
    programs.push(new ChildProgram('prometheus', { command: monitoring.command }, {}, tellEnd));
    progress.done('prometheus', `http://${monitoring.listen}, with the alerts of deploy/monitoring/alerts.yaml`);
  }
  const consoleUrl = await startConsole();
  const cluster = await applySample();
  const tellTroubles = troubleTeller(cluster);
  const connection = await waitFor('the cluster', CLUSTER_TIMEOUT_MS, programs, async () => {
    const status = await clusterStatus(cluster);
    if (status === undefined) return undefined;
    // After a second start the status is still the last one of the first; only an answered query counts.
    const connection = status.ready ? await answeringConnection(cluster) : undefined;
    if (connection === undefined) {
      await tellTroubles();
      progress.waiting('cluster', describe(status));
    }
    return connection;
  });
  progress.done('cluster', 'PostgreSQL 18 on six storage daemons, two in each zone');
  const ca = connection.ssl?.ca;
  if (typeof ca === 'string') writeFileSync(SERVER_CA, ca);
  process.stdout.write(
    welcome(cluster.name, connection, { kubeconfig: KUBECONFIG, serverCa: ca === undefined ? undefined : SERVER_CA, consoleUrl }),
  );
}

function onSignal(): void {
  if (stopping) process.exit(130);
  stopping = true;
  process.stdout.write('\nStopping; the data stays. Once more to force.\n');
  void stopAll().then(() => {
    process.stdout.write(`Stopped. 'npm start' finds everything again.\n`);
    process.exit(0);
  });
}

process.on('SIGINT', onSignal);
process.on('SIGTERM', onSignal);
process.on('SIGHUP', onSignal);
const progress = new Progress(process.stdout);
try {
  await start(progress);
  await Promise.race(programs.map((program) => program.exited));
  if (!stopping) {
    const gone = programs.find((program) => !program.running);
    throw new StartError(`${gone?.name ?? 'a program'} stopped:\n${gone?.lastLines(20) ?? ''}`);
  }
} catch (error) {
  if (!stopping) {
    progress.interrupt();
    process.stderr.write(
      `\nkube-aurora: ${error instanceof StartError ? error.message : error instanceof Error ? error.stack : String(error)}\n`,
    );
    stopping = true;
    await stopAll();
    process.exit(1);
  }
}
