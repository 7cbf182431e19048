import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { silentLogger } from '@kube-aurora/process';
import { kubectlPath } from '../../../scripts/kubectl.mjs';
import { parseImageMap } from '../kubelet/image-map.ts';
import { startLocalKube, type LocalKube, type LocalKubeOptions } from '../local-kube.ts';

/** A small web server that tells what it knows of its environment; `/dns/NAME` looks a name up, `/crash` ends it. */
const WEB = `
const http = require('node:http'), dns = require('node:dns'), fs = require('node:fs');
console.log('started', process.env.POD_NAME);
const data = process.env.DATA_DIR;
if (data) fs.appendFileSync(data + '/starts', 'x');
http.createServer(async (request, response) => {
  if (request.url === '/crash') process.exit(3);
  if (request.url === '/starts') return response.end(fs.readFileSync(data + '/starts', 'utf8'));
  if (request.url.startsWith('/dns/')) return dns.promises.lookup(request.url.slice(5), { all: true }).then((all) => response.end(all.map((one) => one.address).join()), (error) => response.end(error.code));
  response.end(JSON.stringify({ name: process.env.POD_NAME, password: process.env.PASSWORD_FILE && fs.readFileSync(process.env.PASSWORD_FILE, 'utf8') }));
}).listen(8080, process.env.POD_IP);
process.on('SIGTERM', () => { console.log('ending'); process.exit(0); });
`;

const IMAGES = parseImageMap(
  {
    'test/web': { command: [process.execPath, '-e', WEB] },
    // Listens on every address, as programs in containers do.
    'test/anywhere': { command: [process.execPath, '-e', WEB] },
    'test/fails': { command: ['/bin/sh', '-c', 'echo about to fail; exit 3'] },
    'test/job': { command: ['/bin/sh', '-c', 'echo done'] },
  },
  'test images',
);

export interface TestCluster {
  readonly kube: LocalKube;
  readonly directory: string;
  /**
   * Runs kubectl; resolves with what it printed, rejects with its standard error. `input` goes to its standard input.
   */
  kubectl(args: string, input?: string): Promise<string>;
  /** The same of one that goes on for a while. */
  begin(args: string): RunningKubectl;
  /** Stops it and starts it again on the same data and port. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** A local-kube of its own on a free port, with kubectl pointed at it. */
export async function startTestCluster(options: Partial<LocalKubeOptions> = {}): Promise<TestCluster> {
  const directory = mkdtempSync(path.join(tmpdir(), 'local-kube-test-'));
  const start = (port = 0): Promise<LocalKube> =>
    startLocalKube({
      dataDirectory: directory,
      port,
      images: IMAGES,
      zones: ['zone-a', 'zone-b', 'zone-c'],
      logger: silentLogger(),
      ...options,
    });
  let kube = await start();
  return {
    get kube() {
      return kube;
    },
    directory,
    kubectl: (args, input) => runKubectl(args.split(' '), kube.kubeconfig, input),
    begin: (args) => beginKubectl(args.split(' '), kube.kubeconfig, undefined),
    restart: async () => {
      const { port } = kube;
      await kube.stop();
      kube = await start(port);
    },
    stop: async () => {
      await kube.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

export interface RunningKubectl {
  /** What it has printed so far. */
  printed(): string;
  /** All that it printed; rejects with its standard error. */
  readonly ended: Promise<string>;
}

/** Resolves with what kubectl printed; rejects with its standard error. */
export function runKubectl(args: string[], kubeconfig: string, input: string | undefined): Promise<string> {
  return beginKubectl(args, kubeconfig, input).ended;
}

function beginKubectl(args: string[], kubeconfig: string, input: string | undefined): RunningKubectl {
  let out = '';
  const ended = new Promise<string>((resolve, reject) => {
    const child = spawn(kubectlPath(), args, { env: { ...process.env, KUBECONFIG: kubeconfig }, timeout: 60_000 });
    let problem = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (out += chunk));
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (problem += chunk));
    child.on('error', reject);
    child.on('close', (code) =>
      code === 0 ? resolve(out) : reject(new Error(`kubectl ${args.join(' ')} exited ${String(code)}: ${problem}${out}`)),
    );
    // kubectl takes what begins with a brace for JSON; flow-style YAML is not.
    child.stdin.end(input === undefined ? '' : `---\n${input}`);
  });
  return { printed: () => out, ended };
}

/** Tries until it holds; rejects with the last failure when it takes too long. */
export async function eventually<T>(attempt: () => Promise<T> | T, timeoutMs = 45_000): Promise<T> {
  const limit = Date.now() + timeoutMs;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (Date.now() > limit) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
