import { describe, expect, test } from 'vitest';
import { LABEL } from '../api/names.ts';
import type { AuroraClusterStatus } from '../api/status-types.ts';
import type { Pod } from '../kube/objects.ts';
import { readAgentStatus, withCutOff, type AgentReport } from '../observed/reports.ts';
import type { Observed } from '../observed/observed.ts';
import { healthy, inWords, makeCluster, NOW, outdatedPod, plan, readerReport, running, untouched, withEntry } from '../testing/fixtures.ts';

const RAN: AuroraClusterStatus = { firstReadyAt: new Date(NOW - 600_000).toISOString(), writer: 'demo-1' };
const cluster = (instances: number, maxLag = '10s') =>
  makeCluster({ spec: { storage: { size: '10Gi' }, instances, readers: { maxLag } }, status: RAN });
const three = healthy(cluster(3));

/** With one pod changed; undefined takes it away. */
function withPod(observed: Observed, name: string, change: (pod: Pod) => Pod | undefined): Observed {
  return { ...observed, computePods: observed.computePods.flatMap((pod) => (pod.metadata.name === name ? (change(pod) ?? []) : [pod])) };
}
const withReport = (observed: Observed, name: string, change: Partial<AgentReport>): Observed => ({
  ...observed,
  agents: withEntry(observed.agents, name, readerReport(name, change)),
});
const labelled = (pod: Pod, labels: Record<string, string>): Pod => ({
  ...pod,
  metadata: { ...pod.metadata, labels: { ...pod.metadata.labels, ...labels } },
});
const made = (observed: Observed): readonly Pod[] =>
  plan(observed).actions.flatMap((action) => (action.kind === 'create-pod' ? [action.pod] : []));

describe('adding and removing readers', () => {
  test('nothing is to be done where all is well', () => expect(inWords(three)).toEqual([]));

  test('new ones stand in zones of their own, and say that they are readers', () => {
    const one = { ...healthy(cluster(1)), cluster: cluster(4) };
    const pods = made(one);
    expect(pods.map(({ metadata }) => [metadata.name, metadata.labels?.[LABEL.role], metadata.labels?.[LABEL.zone]])).toEqual([
      ['demo-2', 'reader', 'zone-b'],
      ['demo-3', 'reader', 'zone-c'],
      ['demo-4', 'reader', 'zone-a'],
    ]);
  });

  test('there are none before there is a database to read', () => {
    const pods = made(untouched(makeCluster({ spec: { storage: { size: '10Gi' }, instances: 3 } }))).map(({ metadata }) => metadata.name);
    expect(pods.filter((name) => !name.includes('storage'))).toEqual(['demo-1']);
  });

  test('fewer instances: the highest numbers go, in order, whoever writes; those that serve are led nobody to first', () => {
    const leaving = (observed: Observed) =>
      plan(observed).actions.flatMap((action) =>
        action.kind === 'mark-pod' && action.labels[LABEL.serves] === 'false' ? [action.pod.metadata.name] : [],
      );
    const one = { ...three, cluster: cluster(1) };
    expect(leaving(one)).toEqual(['demo-3', 'demo-2']);
    expect(leaving({ ...three, cluster: { ...cluster(2), status: { ...RAN, writer: 'demo-3' } } })).toEqual(['demo-2']);
    expect(inWords(withPod(one, 'demo-3', (pod) => running(pod, { ready: false })))).toContain(
      'delete pod demo-3: there are to be fewer instances',
    );
  });

  test("somebody else's pod of such a name is left alone", () => {
    const foreign = withPod({ ...three, cluster: cluster(2) }, 'demo-3', (pod) => ({
      ...pod,
      metadata: { ...pod.metadata, ownerReferences: [] },
    }));
    expect(inWords(foreign)).toEqual([]);
  });

  test('a reader whose node is down is made anew elsewhere; its writer stays', () => {
    const dead = { ...three, nodes: three.nodes.map((node) => (node.metadata.name === 'node-zone-b' ? { ...node, status: {} } : node)) };
    const silent = withReport(dead, 'demo-2', { silentSince: NOW - 5_000 });
    expect(inWords(silent).filter((action) => action.includes('pod demo-') && !action.includes('storage'))).toEqual([
      'force-delete pod demo-2: its node is down',
    ]);
  });
});

describe('a new spec', () => {
  const outdated = { ...three, computePods: three.computePods.map(outdatedPod) };
  const deleted = (observed: Observed) => inWords(observed).filter((action) => action.startsWith('delete'));

  test('reaches readers first, one at a time', () => {
    expect(deleted(outdated)).toEqual(['delete pod demo-3: its spec changed']);
    const third = three.computePods.find(({ metadata }) => metadata.name === 'demo-3');
    const next = withPod(outdated, 'demo-3', () => third);
    expect(deleted(next)).toEqual(['delete pod demo-2: its spec changed']);
  });

  test('waits for a reader that is on its way, for a minute, and not for the writer', () => {
    expect(deleted(withPod(outdated, 'demo-3', () => undefined))).toEqual([]);
    const young = (createdMs: number) =>
      withPod(outdated, 'demo-3', () => {
        const pod = running(three.computePods[2] as Pod, { ready: false });
        return { ...pod, metadata: { ...pod.metadata, creationTimestamp: new Date(createdMs).toISOString() } };
      });
    expect(deleted(young(NOW - 10_000))).toEqual([]);
    expect(deleted(young(NOW - 70_000))).toEqual(['delete pod demo-2: its spec changed']);
  });

  test('reaches at once those that serve nobody', () => {
    const idle = withPod(outdated, 'demo-2', (pod) => running(pod, { ready: false }));
    expect(deleted(idle)).toEqual(['delete pod demo-2: its spec changed']);
  });
});

describe('NAME-ro leads to', () => {
  const members = (observed: Observed): Record<string, string | undefined> => {
    const marks = new Map(
      plan(observed).actions.flatMap((action) =>
        action.kind === 'mark-pod' ? [[action.pod.metadata.name, action.labels[LABEL.servesReads]]] : [],
      ),
    );
    return Object.fromEntries(
      observed.computePods.map(({ metadata: { name, labels } }) => [name, marks.get(name) ?? labels?.[LABEL.servesReads]]),
    );
  };
  const unready = (observed: Observed, name: string) => withPod(observed, name, (pod) => running(pod, { ready: false }));

  test.each<readonly [string, Observed, Record<string, string>]>([
    ['the writer, where there is no reader', healthy(cluster(1)), { 'demo-1': 'true' }],
    ['readers, where they are', three, { 'demo-1': 'false', 'demo-2': 'true', 'demo-3': 'true' }],
    ['those that are left', unready(three, 'demo-2'), { 'demo-1': 'false', 'demo-2': 'true', 'demo-3': 'true' }],
    [
      'the writer too, while no reader is ready',
      unready(unready(three, 'demo-2'), 'demo-3'),
      { 'demo-1': 'true', 'demo-2': 'true', 'demo-3': 'true' },
    ],
    [
      'no reader that is too far behind',
      withReport(three, 'demo-2', { lagMs: 10_001 }),
      { 'demo-1': 'false', 'demo-2': 'false', 'demo-3': 'true' },
    ],
    [
      'a reader that is behind as far as it may',
      withReport(three, 'demo-2', { lagMs: 10_000 }),
      { 'demo-1': 'false', 'demo-2': 'true', 'demo-3': 'true' },
    ],
    [
      'the writer, when all are too far behind',
      withReport(withReport(three, 'demo-2', { lagMs: 11_000 }), 'demo-3', { lagMs: 60_000 }),
      { 'demo-1': 'true', 'demo-2': 'false', 'demo-3': 'false' },
    ],
    [
      'no reader that has caught up by half only',
      withReport(
        withPod(three, 'demo-2', (pod) => labelled(pod, { [LABEL.servesReads]: 'false' })),
        'demo-2',
        { lagMs: 5_001 },
      ),
      { 'demo-1': 'false', 'demo-2': 'false', 'demo-3': 'true' },
    ],
    [
      'a reader that has caught up',
      withReport(
        withPod(three, 'demo-2', (pod) => labelled(pod, { [LABEL.servesReads]: 'false' })),
        'demo-2',
        { lagMs: 5_000 },
      ),
      { 'demo-1': 'false', 'demo-2': 'true', 'demo-3': 'true' },
    ],
    [
      'no reader that gets no redo for longer, whatever lag it tells',
      withReport(three, 'demo-2', { cutOffSince: NOW - 10_001 }),
      { 'demo-1': 'false', 'demo-2': 'false', 'demo-3': 'true' },
    ],
  ])('%s', (_what, observed, expected) => expect(members(observed)).toEqual(expected));

  test('a reader that gets no redo is looked at again when it is too far behind', () => {
    const cutOff = withReport(three, 'demo-2', { cutOffSince: NOW - 9_000 });
    expect([inWords(cutOff), plan(cutOff).againInMs]).toEqual([[], 1_001]);
    expect(inWords({ ...cutOff, now: NOW + 1_001 })).toEqual(['mark pod demo-2']);
  });

  test('since when a reader gets no redo is kept from one answer to the next, and ends with it', () => {
    const at = (now: number, previous: AgentReport, source?: string) =>
      withCutOff(readAgentStatus({ phase: 'running', replayLsn: '0/2000', lagMs: 0, source }, 'u', now), previous, now);
    const first = at(1_000, readerReport('demo-2'));
    expect([first.cutOffSince, at(2_000, first).cutOffSince, at(3_000, first, 'demo-storage-1').cutOffSince]).toEqual([
      1_000,
      1_000,
      undefined,
    ]);
  });
});
