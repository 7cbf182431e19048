/** `npm run zone -- fail|restore ZONE [--pause]`: hands over to local-kube's own command with our home. */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { HOME, REPOSITORY } from './home.ts';

const run = spawnSync(process.execPath, [path.join(REPOSITORY, 'local-kube/src/cli.ts'), 'zone', ...process.argv.slice(2)], {
  stdio: 'inherit',
  env: { ...process.env, LOCAL_KUBE_DATA_DIR: path.join(HOME, 'local-kube'), KUBECONFIG: path.join(HOME, 'kubeconfig') },
});
process.exitCode = run.status ?? 1;
