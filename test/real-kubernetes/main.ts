/**
 * `npm run test:kubernetes -- --kubeconfig FILE`: a cluster on a real Kubernetes, with clients in a pod of theirs, through what befalls
 * a cluster; prints a table of times. The operator is there already (docs/install.md); nodes carry three zones at least.
 * `npm run test:kubernetes -- --local` does the same on a local-kube of its own.
 *
 *   --operator-namespace NAME   kube-aurora-system
 *   --namespace NAME            kube-aurora-trial; made for it, and removed, unless it is there already
 *   --storage-class NAME        the default one
 *   --pod-cpu QUANTITY          what each pod asks for, in place of the defaults: on nodes that others keep busy
 *   --only 'PART,PART'          scenarios whose names have one of these parts
 *   --cut COMMAND --mend COMMAND   take the node $NODE off the network, and bring it back: without them no node is lost
 *   --api-outage COMMAND        restarts the API server, or cuts what is connected to it: without it that stays as it is
 *   --next-tag TAG              of the images, to go over to: without it no image is replaced
 *   --upgrade COMMAND           installs this release over an earlier one, which runs: without it nothing is upgraded
 *   --audit-log FILE            the API server's (audit.k8s.io/v1, level Metadata): says which of its rights the operator did not use, or lacked
 *   --repeat COUNT              each of them so many times, one after the other
 *   --before COMMAND            shell command that ends when the next one may begin: when a machine is quiet, say
 *   --keep                      leave namespace and cluster behind
 */
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { markdownTable, print, shown } from '../bench/table.ts';
import { ClientPod } from './client-pod.ts';
import { Kubectl } from './kubectl.ts';
import { apiOutages } from './control-plane-scenarios.ts';
import { LocalCluster } from './local-cluster.ts';
import { imagesScenario, ROTATION, upgradeScenario } from './release-scenarios.ts';
import { parseAuditLog, rightsUsed, type PolicyRule } from './rights.ts';
import { INSTANCES, scenarios, type Scenario } from './scenarios.ts';
import { shell } from './shell.ts';
import { Trial, type NodeInfo } from './trial.ts';

const { values } = parseArgs({
  options: {
    kubeconfig: { type: 'string', default: process.env['KUBECONFIG'] ?? '' },
    'operator-namespace': { type: 'string', default: 'kube-aurora-system' },
    namespace: { type: 'string', default: 'kube-aurora-trial' },
    'storage-class': { type: 'string' },
    'pod-cpu': { type: 'string' },
    only: { type: 'string', default: '' },
    local: { type: 'boolean', default: false },
    cut: { type: 'string' },
    mend: { type: 'string' },
    'api-outage': { type: 'string' },
    'next-tag': { type: 'string' },
    upgrade: { type: 'string' },
    'audit-log': { type: 'string' },
    before: { type: 'string' },
    repeat: { type: 'string', default: '1' },
    keep: { type: 'boolean', default: false },
  },
});
if (values.kubeconfig === '' && !values.local) throw new TypeError('--kubeconfig FILE, KUBECONFIG, or --local must say which cluster');
if ((values.cut === undefined) !== (values.mend === undefined)) throw new TypeError('--cut and --mend belong together');
const repeat = Number(values.repeat);
if (!Number.isInteger(repeat) || repeat < 1) throw new TypeError(`--repeat must be a number from 1, and is '${values.repeat}'`);

const ZONE = 'topology.kubernetes.io/zone';
const local = values.local ? await LocalCluster.start() : undefined;
const kubectl = local?.kubectl ?? new Kubectl(values.kubeconfig);
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
    ...trial.operatorDeployment,
  );
  const image = items[0]?.spec.template.spec.containers[0]?.image;
  if (image === undefined)
    throw new Error(`no operator runs in namespace ${values['operator-namespace']}: install it first (docs/install.md)`);
  return image;
}

const seconds = (ms: number): string => `${shown(ms / 1000, 1)} s`;
const gap = (ms: number): string => (ms === 0 ? 'under 0.5 s' : seconds(ms));
const rows: string[][] = [];

function row(name: string, ms: number, cells: readonly string[] = ['', '', '', '']): void {
  rows.push([name, seconds(ms), ...cells]);
  print(`  ${[name, seconds(ms), ...cells].join(' | ')}`);
}

/** One that fails is told of, and the next one is tried all the same. */
async function measure(scenario: Scenario): Promise<void> {
  try {
    await carryOut(scenario);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    process.exitCode = 1;
    rows.push([scenario.name, 'FAILED', '', '', '', error.message]);
    print(`  ${scenario.name} FAILED: ${error.message}`);
  }
}

async function carryOut({ name, prepare, act, wholeWithinMs }: Scenario): Promise<void> {
  if (values.before !== undefined) shell(values.before);
  await prepare?.(trial);
  const { client } = trial;
  await client.commits(Date.now());
  const since = Date.now();
  const note = await act(trial);
  await trial.untilWhole(INSTANCES, wholeWithinMs);
  const whole = Date.now() - since;
  await client.commits(Date.now());
  const failed = String(client.count('failed', since));
  row(name, whole, [gap(client.longestGap('new', since)), gap(client.longestGap('held', since)), failed, note ?? '']);
  for (const [text, count] of client.errors(since)) print(`      ${count} x ${text}`);
}

/** What the operator's ClusterRoles and Roles let it do, beside what it did. */
async function printRights(auditLog: string): Promise<void> {
  const { items: operators } = await kubectl.get<{ items: readonly { spec: { template: { spec: { serviceAccountName: string } } } }[] }>(
    ...trial.operatorDeployment,
  );
  const account = operators[0]?.spec.template.spec.serviceAccountName ?? '';
  interface Bound {
    readonly subjects?: readonly { readonly kind: string; readonly name: string }[];
    readonly roleRef: { readonly kind: string; readonly name: string };
  }
  const bindings = [
    ...(await kubectl.get<{ items: readonly Bound[] }>('clusterrolebindings')).items,
    ...(await kubectl.get<{ items: readonly Bound[] }>('rolebindings', ...trial.operatorRef)).items,
  ].filter(({ subjects = [] }) => subjects.some(({ kind, name }) => kind === 'ServiceAccount' && name === account));
  const roles = await Promise.all(
    bindings.map(({ roleRef: { kind, name } }) => kubectl.get<{ rules: readonly PolicyRule[] }>(kind, name, ...trial.operatorRef)),
  );
  const user = `system:serviceaccount:${values['operator-namespace']}:${account}`;
  const log = parseAuditLog(await readFile(auditLog, 'utf8'));
  const { unused, refused, used } = rightsUsed(
    roles.flatMap(({ rules }) => rules),
    log,
    user,
  );
  print(
    `${used.length} rights of the operator were used; not used: ${unused.join(', ') || 'none'}; refused: ${refused.join(', ') || 'none'}`,
  );
}

const only = values.only.split(',').filter((part) => part !== '');

function chosenScenarios(): readonly Scenario[] {
  const given = local?.commands ?? values;
  const { cut, mend } = given;
  const apiOutage = local?.commands.apiOutage ?? values['api-outage'];
  const tag = values['next-tag'] ?? (local === undefined ? undefined : 'next');
  const all = [
    ...(values.upgrade === undefined ? [] : [upgradeScenario(values.upgrade)]),
    ...scenarios(cut === undefined || mend === undefined ? undefined : { cut, mend }),
    ...(apiOutage === undefined ? [] : apiOutages(apiOutage)),
    ...(tag === undefined ? [] : [imagesScenario(tag)]),
    ROTATION,
  ];
  const chosen = all.filter(({ name }) => only.length === 0 || only.some((part) => name.includes(part)));
  return chosen.flatMap((scenario) => Array.from({ length: repeat }, () => scenario));
}

let client: ClientPod | undefined;
let madeNamespace = false;
try {
  const image = await operatorImage();
  madeNamespace = await trial.makeNamespace();
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
  const loaded = Date.now();
  for (const scenario of chosenScenarios()) await measure(scenario);

  const plain = client.count('plain', loaded);
  const verdict = await client.stop();
  print('');
  print(
    markdownTable(['', 'whole again after', 'no commit on a new connection for', 'nor on a held one for', 'failed transactions', ''], rows),
  );
  print('');
  print(`${verdict.acknowledged} commits acknowledged, ${verdict.unknown} of unknown outcome, ${verdict.seen} seen by the auditor`);
  print(plain === 0 ? 'every connection was in TLS, the server proven by name' : `${plain} connections were in plain text`);
  for (const violation of verdict.violations) print(`VIOLATION: ${violation}`);
  if (verdict.violations.length === 0) print('the ledger adds up; every acknowledged commit is there');
  else process.exitCode = 1;
  if (values['audit-log'] !== undefined) await printRights(values['audit-log']);
} finally {
  if (!values.keep) {
    await trial.remove();
    if (madeNamespace) await kubectl.run(['delete', 'namespace', values.namespace, '--timeout=180s']);
    else await client?.remove();
  }
  await local?.stop();
}
