import { spawnSync } from 'node:child_process';

/** Runs a command of who started the trial to its end. Throws with what it printed when it fails. */
export function shell(command: string, environment: Readonly<Record<string, string>> = {}): void {
  const { status, stdout, stderr } = spawnSync('sh', ['-c', command], { encoding: 'utf8', env: { ...process.env, ...environment } });
  if (status !== 0) throw new Error(`${command}: ${stdout}${stderr}`);
}
