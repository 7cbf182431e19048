import { spawn } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { normalised, type Answer } from './normalised.ts';
import type { Step } from './steps.ts';

export const NAMESPACE = 'answers';
const UNTIL_TIMEOUT_MS = 30_000;

interface Output {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Carries out all steps against the server of a kubeconfig; what was answered, without what differs from one run to the
 * next.
 */
export async function play(kubectl: string, kubeconfig: string, steps: readonly Step[]): Promise<{ [step: string]: Answer }> {
  // Not synchronously: the server may be in this very process.
  const run = (args: readonly string[], input = ''): Promise<Output> =>
    new Promise((resolve, reject) => {
      const env = { ...process.env, KUBECONFIG: kubeconfig, HOME: '/nonexistent' };
      const child = spawn(kubectl, args, { env, timeout: 60_000 });
      const output = { stdout: '', stderr: '' };
      for (const name of ['stdout', 'stderr'] as const)
        child[name].setEncoding('utf8').on('data', (chunk: string) => (output[name] += chunk));
      child.on('error', reject);
      child.on('close', (code) => resolve({ code, ...output }));
      child.stdin.end(input);
    });
  await run(['create', 'namespace', NAMESPACE]);
  // A namespace is furnished by a controller; pods want its account.
  await until(
    () => run(['get', 'serviceaccount', 'default', '-n', NAMESPACE]),
    (output) => output.code === 0,
  );
  const answers: { [step: string]: Answer } = {};
  let uid = '';
  for (const step of steps) {
    const own = step.kubectl.some((word) => word.startsWith('--namespace') || word === '--raw');
    const args = [...(own ? [] : ['-n', NAMESPACE]), ...step.kubectl];
    // What begins with a brace is taken for JSON; YAML in one line is not.
    const text = step.input?.replaceAll('$UID', uid);
    const input = text === undefined ? undefined : step.kubectl.includes('--raw') ? text : `---\n${text}`;
    const output = await until(
      () => run(args, input),
      (given) => step.until === undefined || step.until.test(given.stdout + given.stderr),
    );
    if (step.name.startsWith('uid of')) uid = output.stdout;
    if (step.quiet === true) {
      if (output.code !== 0) throw new Error(`'${step.name}' failed: ${output.stderr}`);
      continue;
    }
    // A step may be there twice, before and after something.
    let { name } = step;
    for (let again = 2; answers[name] !== undefined; again += 1) name = `${step.name} (${again})`;
    answers[name] = normalised(output.code, output.stdout, output.stderr);
  }
  return answers;
}

async function until(attempt: () => Promise<Output>, holds: (output: Output) => boolean): Promise<Output> {
  const end = performance.now() + UNTIL_TIMEOUT_MS;
  for (;;) {
    const output = await attempt();
    if (holds(output) || performance.now() > end) return output;
    await delay(100);
  }
}
