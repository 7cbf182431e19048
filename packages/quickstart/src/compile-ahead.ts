import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { DAEMON_MEMORY_ENVIRONMENT, MEMORY_ENVIRONMENT } from '@kube-aurora/process';
import { REPOSITORY } from './home.ts';

const PROGRAMS = [
  { main: 'storage-daemon/src/main.ts', environment: DAEMON_MEMORY_ENVIRONMENT },
  { main: 'compute-node/src/main.ts', environment: MEMORY_ENVIRONMENT },
] as const;

/**
 * Before the first pods: compiles what they run while the control plane comes up, so that not seven of them do it at
 * the same time. Does nothing when earlier pods left their code. That it fails costs time only.
 */
export async function compileAhead(cache: string | undefined): Promise<void> {
  if (cache === undefined || existsSync(path.join(cache, 'pods'))) return;
  for (const { main, environment } of PROGRAMS) {
    // V8 takes code of a process with the same flags only.
    const env = { ...process.env, ...environment, NODE_NO_WARNINGS: '1', NODE_COMPILE_CACHE: path.join(cache, 'pods') };
    await new Promise<void>((resolve) => {
      const child = spawn(process.execPath, [path.join(REPOSITORY, main), '--help'], { env, stdio: 'ignore' });
      child.once('exit', () => resolve());
      child.once('error', () => resolve());
    });
  }
}
