/**
 * Records how a real Kubernetes answers: `node test/kubernetes-answers/record.ts KUBECONFIG`, against a cluster that is
 * there for that alone (objects of its whole are made too), of which the API server, the controllers and the scheduler
 * are enough: no node is needed. The answers go into answers.json; local-kube is compared with them.
 */
import { writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { kubectlPath } from '../../scripts/kubectl.mjs';
import { play } from './play.ts';
import { STEPS } from './steps.ts';

const kubeconfig = process.argv[2];
if (kubeconfig === undefined) {
  process.stderr.write('usage: node test/kubernetes-answers/record.ts KUBECONFIG\n');
  process.exit(64);
}
const kubectl = kubectlPath({ own: true });
const version = spawnSync(kubectl, ['version', '-o', 'json'], { encoding: 'utf8', env: { ...process.env, KUBECONFIG: kubeconfig } });
const { serverVersion, clientVersion } = JSON.parse(version.stdout) as {
  serverVersion: { gitVersion: string };
  clientVersion: { gitVersion: string };
};
const answers = await play(kubectl, kubeconfig, STEPS);
const file = fileURLToPath(new URL('answers.json', import.meta.url));
writeFileSync(file, `${JSON.stringify({ server: serverVersion.gitVersion, kubectl: clientVersion.gitVersion, answers }, null, 2)}\n`);
process.stdout.write(`${Object.keys(answers).length} answers of Kubernetes ${serverVersion.gitVersion} are in ${file}\n`);
