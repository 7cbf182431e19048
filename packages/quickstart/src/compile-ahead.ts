import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { MEMORY_ENVIRONMENT } from '@kube-aurora/process';
import { REPOSITORY } from './home.ts';

const PROGRAMS = ['storage-daemon/src/main.ts', 'compute-node/src/main.ts'];

/**
 * Before the first pods: compiles what they run while the control plane comes up, so that not seven of them do it at
 * the same time. Does nothing when earlier pods left their code. That it fails costs time only.
 */
export async function compileAhead(cache: string | undefined): Promise<void> {
  if (cache === undefined || existsSync(path.join(cache, 'pods'))) return;
  // V8 takes code of a process with the same flags only.
  const env = { ...process.env, ...MEMORY_ENVIRONMENT, NODE_NO_WARNINGS: '1', NODE_COMPILE_CACHE: path.join(cache, 'pods') };
  for (const program of PROGRAMS) {
    await new Promise<void>((resolve) => {
      const child = spawn(process.execPath, [path.join(REPOSITORY, program), '--help'], { env, stdio: 'ignore' });
      child.once('exit', () => resolve());
      child.once('error', () => resolve());
    });
  }
}
