/** kubectl, pointed at one cluster: the trial does what a person at a terminal can do, and nothing else. */
import { spawn } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { kubectlPath } from '../../scripts/kubectl.mjs';

export class Kubectl {
  readonly #environment: NodeJS.ProcessEnv;
  readonly #program: string;

  /** @param program path of the kubectl; without it the one of this machine, which goes with its clusters */
  constructor(kubeconfig: string, program = kubectlPath()) {
    this.#program = program;
    this.#environment = { ...process.env, KUBECONFIG: kubeconfig };
  }

  /** Runs it to its end and gives what it printed. Throws with its own words when it fails. */
  async run(args: readonly string[], input = ''): Promise<string> {
    const child = spawn(this.#program, args, { env: this.#environment, stdio: 'pipe' });
    const printed = { stdout: '', stderr: '' };
    child.stdout.on('data', (chunk: Buffer) => (printed.stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (printed.stderr += chunk.toString()));
    child.stdin.end(input);
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${printed.stderr}${printed.stdout}`);
    return printed.stdout;
  }

  async get<T>(...args: readonly string[]): Promise<T> {
    return JSON.parse(await this.run(['get', ...args, '-o', 'json'])) as T;
  }

  /** They are as is said here, whoever else has said something of them since: `kubectl scale`, in a trial before this one. */
  async apply(...objects: readonly object[]): Promise<void> {
    await this.run(['apply', '--server-side', '--force-conflicts', '-f', '-'], objects.map((object) => JSON.stringify(object)).join('\n'));
  }

  /**
   * Follows a pod's log to its end, line by line; takes it up again when the connection breaks, without saying anything
   * twice. `ended` is asked whether an end is to be believed.
   */
  async followLog(namespace: string, pod: string, onLine: (line: string) => void, ended: () => boolean): Promise<void> {
    let known = 0;
    while (!ended()) {
      let line = 0;
      const child = spawn(this.#program, ['logs', '--follow', '--namespace', namespace, pod], {
        env: this.#environment,
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      let rest = '';
      child.stdout.on('data', (chunk: Buffer) => {
        const lines = (rest + chunk.toString()).split('\n');
        rest = lines.pop() ?? '';
        for (const text of lines) {
          line += 1;
          if (line <= known) continue;
          known = line;
          onLine(text);
        }
      });
      await new Promise((resolve) => child.once('close', resolve));
      await delay(500);
    }
  }
}
