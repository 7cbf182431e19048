/** Scenarios in which what runs is replaced by something else: other images, another release, other certificates. */
import type { Scenario } from './scenarios.ts';
import { shell } from './shell.ts';
import type { Trial } from './trial.ts';

const REPLACED_MS = 900_000;
/** Three steps, each as long as CERTIFICATE_SPREAD_SECONDS of the operator, which is 300 unless it was told otherwise. */
const ROTATED_MS = 20 * 60_000;

/** `registry:5000/team/operator:0.1.0` with another tag. A digest goes. */
export function withTag(image: string, tag: string): string {
  return `${(image.split('@')[0] ?? image).replace(/:[^/:]+$/, '')}:${tag}`;
}

interface OperatorDeployment {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly template: {
      readonly spec: {
        readonly containers: readonly {
          readonly name: string;
          readonly image: string;
          readonly env?: readonly { readonly name: string; readonly value?: string }[];
        }[];
      };
    };
  };
}

/** The operator and what it makes pods of go over to another tag of their images, as an upgrade of the chart does. */
async function otherTag(trial: Trial, tag: string): Promise<void> {
  const { items } = await trial.kubectl.get<{ items: readonly OperatorDeployment[] }>(...trial.operatorDeployment);
  const [operator] = items;
  const container = operator?.spec.template.spec.containers[0];
  if (operator === undefined || container === undefined) throw new Error('there is no operator');
  const images = (container.env ?? []).flatMap(({ name, value }) =>
    name.endsWith('_IMAGE') && value !== undefined ? [{ name, value: withTag(value, tag) }] : [],
  );
  const changed = { name: container.name, image: withTag(container.image, tag), env: images };
  const patch = JSON.stringify({ spec: { template: { spec: { containers: [changed] } } } });
  await trial.kubectl.run(['patch', 'deployment', operator.metadata.name, ...trial.operatorRef, '--type=strategic', '-p', patch]);
  await trial.kubectl.run(['rollout', 'status', 'deployment', ...trial.operatorRef, '--timeout=180s']);
}

async function allReplaced(trial: Trial, change: () => Promise<void>): Promise<void> {
  const before = new Set((await trial.pods()).map(({ metadata }) => metadata.uid));
  await change();
  await trial.until('no pod of before', (_status, pods) => !pods.some(({ metadata }) => before.has(metadata.uid)), REPLACED_MS);
}

/** @param upgrade shell command that installs the release to go to, over another one that runs */
export function upgradeScenario(upgrade: string): Scenario {
  return {
    name: 'upgraded from another release, until TLS is required',
    wholeWithinMs: REPLACED_MS,
    act: async (trial) => {
      const from = (await trial.status()).certificates?.mode ?? 'plain text';
      const began = Date.now();
      await allReplaced(trial, async () => shell(upgrade));
      const replacedMs = Date.now() - began;
      const failed = trial.client.count('failed', began);
      const since = Date.now();
      await trial.until('TLS is required', ({ certificates }) => certificates?.mode === 'require', ROTATED_MS);
      await trial.client.commits(Date.now());
      return `from ${from}; all pods replaced after ${Math.round(replacedMs / 1000)} s with ${failed} failed transactions, ${trial.client.count('failed', since)} since`;
    },
  };
}

/** @param tag under which the nodes have the same images, or others, as well */
export function imagesScenario(tag: string): Scenario {
  return {
    name: 'all images replaced, the operator’s too',
    wholeWithinMs: REPLACED_MS,
    act: async (trial) => {
      await allReplaced(trial, () => otherTag(trial, tag));
      return undefined;
    },
  };
}

export const ROTATION: Scenario = {
  name: 'certificates and their authority replaced',
  act: async (trial) => {
    const before = (await trial.status()).certificates?.authority.renewedAt;
    const mark = `kube-aurora.dev/rotate-certificates=${new Date().toISOString()}`;
    await trial.kubectl.run(['annotate', 'auroracluster', trial.name, ...trial.ref, '--overwrite', mark]);
    await trial.until(
      'another authority, and nothing on the way',
      ({ certificates }) =>
        certificates !== undefined && certificates.rotation === undefined && certificates.authority.renewedAt !== before,
      ROTATED_MS,
    );
    return undefined;
  },
};
