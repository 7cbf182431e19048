/** What is done to the cluster on trial, through the API alone but for nodes that are lost. Each says when it has taken effect. */
import { setTimeout as delay } from 'node:timers/promises';
import { shell } from './shell.ts';
import { isReady, type Trial } from './trial.ts';

/** Instances while clients work. */
export const INSTANCES = 3;

export interface NodeCommands {
  /** Shell commands that take a node away and bring it back; its name is in $NODE. */
  readonly cut: string;
  readonly mend: string;
}

export interface Scenario {
  readonly name: string;
  /** Resolves when it has taken effect, and what is to be mended has been. Gives what else there is to say. */
  readonly act: (trial: Trial) => Promise<string | undefined>;
  /** Before the measurement. */
  readonly prepare?: (trial: Trial) => Promise<void>;
  /** A node was away: Kubernetes takes its time to let it back. */
  readonly wholeWithinMs?: number;
}

const COMPUTE = 'kube-aurora.dev/component=compute';

export async function deletePod(trial: Trial, name: string, ...flags: readonly string[]): Promise<void> {
  await trial.kubectl.run(['delete', 'pod', name, ...trial.ref, '--timeout=120s', ...flags]);
}

async function switchOver(trial: Trial, to: string): Promise<void> {
  await trial.kubectl.run(['annotate', 'auroracluster', trial.name, ...trial.ref, `kube-aurora.dev/switchover-to=${to}`]);
  await trial.until(`${to} is the writer`, ({ writer, switchover }) => writer === to && switchover?.state === 'Done', 60_000);
}

/** The writer goes to a node that the client is not on. */
async function writerAwayFromClient(trial: Trial): Promise<void> {
  const writer = await trial.writer();
  if (writer.spec.nodeName !== trial.client.node) return;
  const other = (await trial.pods(COMPUTE)).find(({ spec, ...pod }) => spec.nodeName !== trial.client.node && isReady({ spec, ...pod }));
  if (other === undefined) throw new Error('every instance is on the node of the client: there must be three nodes at least');
  await switchOver(trial, other.metadata.name);
  await trial.untilWhole(INSTANCES);
}

/** The operator that works is to be on a node, or on any other. */
async function leaderOn(trial: Trial, node: string, isToBe: boolean): Promise<void> {
  for (let round = 0; round < 10; round++) {
    const leader = await trial.leader();
    if ((leader.spec.nodeName === node) === isToBe) return;
    await trial.kubectl.run(['delete', 'pod', leader.metadata.name, ...trial.operatorRef]);
    await trial.kubectl.run(['rollout', 'status', 'deployment', ...trial.operatorRef, '--timeout=120s']);
    await delay(5000);
  }
  throw new Error(`the operator that works is ${isToBe ? 'never' : 'always'} on ${node}`);
}

function nodeLost(name: string, commands: NodeCommands, withLeader: boolean): Scenario {
  return {
    name,
    wholeWithinMs: 600_000,
    prepare: async (trial) => {
      await writerAwayFromClient(trial);
      await leaderOn(trial, (await trial.writer()).spec.nodeName ?? '', withLeader);
      await trial.untilWhole(INSTANCES);
    },
    act: async (trial) => {
      const { metadata, spec } = await trial.writer();
      const node = spec.nodeName ?? '';
      shell(commands.cut, { NODE: node });
      try {
        await trial.until('another writer', ({ writer }) => writer !== undefined && writer !== metadata.name, 120_000);
        await trial.client.commits(Date.now());
        // Until Kubernetes itself has noticed, which takes most of a minute.
        await trial.kubectl.run(['wait', `node/${node}`, '--for=condition=Ready=Unknown', '--timeout=180s']);
        await trial.client.commits(Date.now());
      } finally {
        shell(commands.mend, { NODE: node });
      }
      return (await trial.status()).failover?.phases === undefined ? undefined : failoverNote(trial);
    },
  };
}

export async function failoverNote(trial: Trial): Promise<string | undefined> {
  const { failover } = await trial.status();
  return failover === undefined ? undefined : `status.failover: ${failover.reason}, ${failover.tookMs} ms`;
}

async function byName(trial: Trial, name: string): Promise<string | undefined> {
  return (await trial.pods()).find(({ metadata }) => metadata.name === name)?.metadata.uid;
}

/** A segment whose pod and data are gone is there again, under the same name. */
async function rebuilt(trial: Trial, name: string, before: string | undefined): Promise<void> {
  await trial.until(`${name} is another pod`, (_status, pods) =>
    pods.some(({ metadata }) => metadata.name === name && metadata.uid !== before),
  );
}

export function scenarios(nodes: NodeCommands | undefined): readonly Scenario[] {
  return [
    {
      name: "the writer's pod deleted",
      act: async (trial) => {
        await deletePod(trial, (await trial.writer()).metadata.name);
        return failoverNote(trial);
      },
    },
    {
      name: 'the same, by force',
      act: async (trial) => {
        await deletePod(trial, (await trial.writer()).metadata.name, '--force', '--grace-period=0');
        return failoverNote(trial);
      },
    },
    {
      name: 'switchover by annotation',
      act: async (trial) => {
        const reader = (await trial.pods(`${COMPUTE},kube-aurora.dev/role=reader`))[0];
        await switchOver(trial, reader?.metadata.name ?? '');
        return undefined;
      },
    },
    {
      name: 'a storage pod and its claim deleted',
      act: async (trial) => {
        const name = `${trial.name}-storage-4`;
        const before = await byName(trial, name);
        await trial.kubectl.run(['delete', 'persistentvolumeclaim', name, ...trial.ref, '--wait=false']);
        // The operator sees a claim that goes, and may have been quicker.
        await deletePod(trial, name, '--ignore-not-found');
        await rebuilt(trial, name, before);
        return undefined;
      },
    },
    {
      name: "a storage pod's claim alone deleted",
      act: async (trial) => {
        const name = `${trial.name}-storage-1`;
        const before = await byName(trial, name);
        await trial.kubectl.run(['delete', 'persistentvolumeclaim', name, ...trial.ref, '--timeout=120s']);
        await rebuilt(trial, name, before);
        return undefined;
      },
    },
    {
      name: 'the operator restarted',
      act: async (trial) => {
        await trial.kubectl.run(['rollout', 'restart', 'deployment', ...trial.operatorRef]);
        await trial.kubectl.run(['rollout', 'status', 'deployment', ...trial.operatorRef, '--timeout=180s']);
        return undefined;
      },
    },
    {
      name: 'its leader killed, then the writer, while nobody leads',
      act: async (trial) => {
        const [leader, writer] = await Promise.all([trial.leader(), trial.writer()]);
        await trial.kubectl.run(['delete', 'pod', leader.metadata.name, ...trial.operatorRef, '--force', '--grace-period=0']);
        await deletePod(trial, writer.metadata.name);
        await trial.until('another writer', (status) => status.writer !== writer.metadata.name);
        return failoverNote(trial);
      },
    },
    {
      name: 'all pods replaced in order (restartedAt)',
      wholeWithinMs: 900_000,
      act: async (trial) => {
        const before = new Set((await trial.pods()).map(({ metadata }) => metadata.uid));
        const mark = `kube-aurora.dev/restartedAt=${new Date().toISOString()}`;
        await trial.kubectl.run(['annotate', 'auroracluster', trial.name, ...trial.ref, '--overwrite', mark]);
        await trial.until('no pod of before', (_status, pods) => !pods.some(({ metadata }) => before.has(metadata.uid)), 900_000);
        return undefined;
      },
    },
    {
      name: "the writer's node drained, and back",
      wholeWithinMs: 600_000,
      prepare: writerAwayFromClient,
      act: async (trial) => {
        const node = (await trial.writer()).spec.nodeName ?? '';
        const selector = `--pod-selector=kube-aurora.dev/cluster=${trial.name}`;
        try {
          await trial.kubectl.run(['drain', node, '--delete-emptydir-data', selector, '--timeout=240s']);
        } finally {
          await trial.kubectl.run(['uncordon', node]);
        }
        return undefined;
      },
    },
    {
      name: 'a reader more, and gone again',
      act: async (trial) => {
        const scale = (count: number) => trial.kubectl.run(['scale', 'auroracluster', trial.name, ...trial.ref, `--replicas=${count}`]);
        await scale(INSTANCES + 1);
        await trial.untilWhole(INSTANCES + 1);
        await scale(INSTANCES);
        await trial.until(
          'it is gone',
          (_status, pods) => pods.filter(({ metadata }) => /-\d+$/.test(metadata.name)).length === 6 + INSTANCES,
        );
        return undefined;
      },
    },
    ...(nodes === undefined
      ? []
      : [
          nodeLost("the writer's node cut off, until Kubernetes calls it lost", nodes, false),
          nodeLost("the same, with the operator's leader on it", nodes, true),
        ]),
  ];
}
