/**
 * `npm run kubectl -- ARGS`: a real kubectl, the machine's own or the one in our packages, pointed at the local control
 * plane.
 */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { kubectlPath } from '../../../scripts/kubectl.mjs';
import { HOME } from './home.ts';

const run = spawnSync(kubectlPath(), process.argv.slice(2), {
  stdio: 'inherit',
  env: { ...process.env, KUBECONFIG: process.env['KUBECONFIG'] || path.join(HOME, 'kubeconfig') },
});
if (run.error !== undefined) process.stderr.write(`kubectl could not be run: ${run.error.message}\n`);
process.exitCode = run.status ?? 1;
