/**
 * `npm run kubectl -- ARGS`: a real kubectl, the machine's own or the one in our packages, pointed at the local control
 * plane. `npm run kubectl -- aurora …` is our plugin for it.
 */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { kubectlPath } from '../../../scripts/kubectl.mjs';
import { HOME, REPOSITORY } from './home.ts';

const words = process.argv.slice(2);

/** Where the plugin is, and the Node that it runs on; the plugin is bundled when its sources are newer. */
function pluginPath(): string {
  const build = path.join(REPOSITORY, 'kubectl-aurora/src/build/main.ts');
  const { status } = spawnSync(process.execPath, [build, '--if-older'], { stdio: ['ignore', 'ignore', 'inherit'] });
  if (status !== 0) process.stderr.write('kubectl aurora could not be bundled\n');
  return [path.join(REPOSITORY, 'dist/kubectl-aurora'), path.dirname(process.execPath)].join(path.delimiter);
}

const plugin = words.includes('aurora') || words[0] === 'plugin' ? `${pluginPath()}${path.delimiter}` : '';
const run = spawnSync(kubectlPath(), words, {
  stdio: 'inherit',
  env: {
    ...process.env,
    PATH: `${plugin}${process.env['PATH'] ?? ''}`,
    KUBECONFIG: process.env['KUBECONFIG'] || path.join(HOME, 'kubeconfig'),
  },
});
if (run.error !== undefined) process.stderr.write(`kubectl could not be run: ${run.error.message}\n`);
process.exitCode = run.status ?? 1;
