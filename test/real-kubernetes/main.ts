/**
 * `npm run test:kubernetes -- --kubeconfig FILE`: a cluster on a real Kubernetes, with clients in a pod of theirs, through what befalls
 * a cluster; prints a table of times. The operator is there already (docs/install.md); nodes carry three zones at least.
 *
 *   --operator-namespace NAME   kube-aurora-system
 *   --namespace NAME            made for it, and removed: kube-aurora-trial
 *   --storage-class NAME        the default one
 *   --pod-cpu QUANTITY          what each pod asks for, in place of the defaults: on nodes that others keep busy
 *   --only 'PART,PART'          scenarios whose names have one of these parts
 *   --cut COMMAND --mend COMMAND   take the node $NODE off the network, and bring it back: without them no node is lost
 *   --keep                      leave namespace and cluster behind
 */
import { parseArgs } from 'node:util';
import { markdownTable, print, shown } from '../bench/table.ts';
import { ClientPod } from './client-pod.ts';
import { Kubectl } from './kubectl.ts';
import { INSTANCES, scenarios, type Scenario } from './scenarios.ts';
import { Trial, type NodeInfo } from './trial.ts';

const { values } = parseArgs({
  options: {
    kubeconfig: { type: 'string', default: process.env['KUBECONFIG'] ?? '' },
    'operator-namespace': { type: 'string', default: 'kube-aurora-system' },
    namespace: { type: 'string', default: 'kube-aurora-trial' },
    'storage-class': { type: 'string' },
    'pod-cpu': { type: 'string' },
    only: { type: 'string', default: '' },
    cut: { type: 'string' },
    mend: { type: 'string' },
    keep: { type: 'boolean', default: false },
  },
});
if (values.kubeconfig === '') throw new TypeError('--kubeconfig FILE, or KUBECONFIG, must say which cluster');
if ((values.cut === undefined) !== (values.mend === undefined)) throw new TypeError('--cut and --mend belong together');

const ZONE = 'topology.kubernetes.io/zone';
const kubectl = new Kubectl(values.kubeconfig);
const { items: nodes } = await kubectl.get<{ items: readonly NodeInfo[] }>('nodes');
const zones = [...new Set(nodes.flatMap(({ metadata }) => metadata.labels?.[ZONE] ?? []))].toSorted().slice(0, 3);
if (zones.length < 3) throw new Error(`nodes must have the label ${ZONE} with three values; there are: ${zones.join(', ') || 'none'}`);

const trial = new Trial({
  kubectl,
  namespace: values.namespace,
  operatorNamespace: values['operator-namespace'],
  zones,
  storageClass: values['storage-class'],
  podCpu: values['pod-cpu'],
});

/** The image whose Node runs the client. */
async function operatorImage(): Promise<string> {
  const { items } = await kubectl.get<{ items: readonly { spec: { template: { spec: { containers: readonly { image: string }[] } } } }[] }>(
    'deployments',
    ...trial.operatorRef,
  );
  const image = items[0]?.spec.template.spec.containers[0]?.image;
  if (image === undefined)
    throw new Error(`no operator runs in namespace ${values['operator-namespace']}: install it first (docs/install.md)`);
  return image;
}

const seconds = (ms: number): string => `${shown(ms / 1000, 1)} s`;
const gap = (ms: number): string => (ms === 0 ? 'under 0.5 s' : seconds(ms));
const rows: string[][] = [];

function row(name: string, ms: number, cells: readonly string[] = ['', '', '']): void {
  rows.push([name, seconds(ms), ...cells]);
  print(`  ${[name, seconds(ms), ...cells].join(' | ')}`);
}

async function measure({ name, prepare, act, wholeWithinMs }: Scenario): Promise<void> {
  await prepare?.(trial);
  const { client } = trial;
  await client.commits(Date.now());
  const since = Date.now();
  const note = await act(trial);
  await trial.untilWhole(INSTANCES, wholeWithinMs);
  const whole = Date.now() - since;
  await client.commits(Date.now());
  row(name, whole, [gap(client.longestGap('new', since)), gap(client.longestGap('held', since)), note ?? '']);
  for (const [text, count] of client.errors(since)) print(`      ${count} x ${text}`);
}

const only = values.only.split(',').filter((part) => part !== '');
const chosen = scenarios(values.cut === undefined || values.mend === undefined ? undefined : { cut: values.cut, mend: values.mend }).filter(
  ({ name }) => only.length === 0 || only.some((part) => name.includes(part)),
);

let client: ClientPod | undefined;
try {
  const image = await operatorImage();
  await trial.makeNamespace();
  const began = Date.now();
  await trial.create(1);
  await trial.untilWhole(1);
  row('created, until it takes connections', Date.now() - began);
  const scaled = Date.now();
  await kubectl.run(['scale', 'auroracluster', trial.name, ...trial.ref, `--replicas=${INSTANCES}`]);
  await trial.untilWhole(INSTANCES);
  row('two readers added', Date.now() - scaled);

  // On a node of the last zone: the writer begins in the first.
  const place = nodes.find(({ metadata }) => metadata.labels?.[ZONE] === zones[2]);
  client = new ClientPod(kubectl, { namespace: values.namespace, cluster: trial.name, image, node: place?.metadata.name ?? '' });
  trial.client = client;
  await client.start();
  for (const scenario of chosen) await measure(scenario);

  const verdict = await client.stop();
  print('');
  print(markdownTable(['', 'whole again after', 'no commit on a new connection for', 'nor on a held one for', ''], rows));
  print('');
  print(`${verdict.acknowledged} commits acknowledged, ${verdict.unknown} of unknown outcome, ${verdict.seen} seen by the auditor`);
  for (const violation of verdict.violations) print(`VIOLATION: ${violation}`);
  if (verdict.violations.length === 0) print('the ledger adds up; every acknowledged commit is there');
  else process.exitCode = 1;
} finally {
  if (!values.keep) {
    await trial.remove();
    await kubectl.run(['delete', 'namespace', values.namespace, '--timeout=180s']);
  }
}
