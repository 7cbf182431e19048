import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ANNOTATION, LABEL } from '../api/names.ts';
import type { AuroraCluster } from '../api/types.ts';
import type { AuroraClusterStatus } from '../api/status-types.ts';
import type { Pod } from '../kube/objects.ts';
import type { Observed } from '../observed/observed.ts';
import { computeStatus } from '../status/compute-status.ts';
import { agentReport, healthy, makeCluster, NOW, outdatedPod, plan, running, untouched } from '../testing/fixtures.ts';
import { planInstances, writerOf } from './plan-instances.ts';

const observed = healthy();
const of = (instances: number, status?: AuroraClusterStatus) =>
  makeCluster({ spec: { storage: { size: '10Gi' }, instances }, ...(status === undefined ? {} : { status }) });
const three = healthy(of(3));
const stranger = observed.computePods.map((pod) => ({
  ...pod,
  metadata: { ...pod.metadata, name: 'demo-2', labels: { ...pod.metadata.labels, [LABEL.role]: 'reader' } },
}));

const givenUp = (cluster: AuroraCluster): AuroraCluster => ({
  ...cluster,
  metadata: { ...cluster.metadata, annotations: { [ANNOTATION.acceptDataLoss]: 'true' } },
});

/** What agents say, by instance. */
const says = (reports: Readonly<Record<string, Parameters<typeof agentReport>[0]>>) =>
  new Map(Object.entries(reports).map(([name, change]) => [name, agentReport({ uid: `uid-of-${name}`, ...change })]));

describe('the instances of a cluster', () => {
  const cases: readonly (readonly [string, Observed, readonly string[]])[] = [
    ['before anything was made', untouched(), ['demo-1 writer, no pod']],
    ['once it runs', observed, ['demo-1 writer, pod demo-1']],
    ['with a pod that none of them has', { ...observed, computePods: stranger }, ['demo-1 writer, no pod']],
    [
      'with one that none of them has beside theirs',
      { ...observed, computePods: [...stranger, ...observed.computePods] },
      ['demo-1 writer, pod demo-1'],
    ],
    ['with readers', three, ['demo-1 writer, pod demo-1', 'demo-2 reader, pod demo-2', 'demo-3 reader, pod demo-3']],
    ['with readers to come', { ...observed, cluster: of(2) }, ['demo-1 writer, pod demo-1', 'demo-2 reader, no pod']],
    ['with a reader to go', { ...three, cluster: of(2) }, ['demo-1 writer, pod demo-1', 'demo-2 reader, pod demo-2']],
    [
      'when another one writes',
      { ...three, cluster: of(2, { writer: 'demo-3' }) },
      ['demo-1 reader, pod demo-1', 'demo-3 writer, pod demo-3'],
    ],
    ['when the last one writes and is the only one', { ...three, cluster: of(1, { writer: 'demo-3' }) }, ['demo-3 writer, pod demo-3']],
    [
      'when one writes that lost its pod',
      { ...observed, cluster: of(2, { writer: 'demo-2' }) },
      ['demo-1 reader, pod demo-1', 'demo-2 writer, no pod'],
    ],
    [
      'when the status was lost and the pods know',
      { ...three, computePods: three.computePods.map((pod, index) => withRole(pod, index === 1 ? 'writer' : 'reader')) },
      ['demo-1 reader, pod demo-1', 'demo-2 writer, pod demo-2', 'demo-3 reader, pod demo-3'],
    ],
    [
      'when the status names what is no instance',
      { ...three, cluster: of(2, { writer: 'other-2' }) },
      ['demo-1 writer, pod demo-1', 'demo-2 reader, pod demo-2'],
    ],
    [
      'when a reader says that it writes, for a higher epoch',
      {
        ...three,
        cluster: of(3, { writer: 'demo-1', epoch: 3 }),
        agents: says({ 'demo-1': { silentSince: NOW }, 'demo-2': { role: 'writer', epoch: 4 } }),
      },
      ['demo-1 reader, pod demo-1', 'demo-2 writer, pod demo-2', 'demo-3 reader, pod demo-3'],
    ],
    [
      'when one made the volume anew, after its data was given up',
      { ...three, cluster: givenUp(of(3, { writer: 'demo-1', epoch: 9 })), agents: says({ 'demo-2': { role: 'writer', epoch: 1 } }) },
      ['demo-1 reader, pod demo-1', 'demo-2 writer, pod demo-2', 'demo-3 reader, pod demo-3'],
    ],
    [
      'when a reader is about to write',
      {
        ...three,
        cluster: of(3, { writer: 'demo-1', epoch: 3 }),
        agents: says({ 'demo-1': { silentSince: NOW }, 'demo-2': { role: 'writer', epoch: 4, phase: 'opening' } }),
      },
      ['demo-1 writer, pod demo-1', 'demo-2 reader, pod demo-2', 'demo-3 reader, pod demo-3'],
    ],
    [
      'when two say so, the higher epoch',
      {
        ...three,
        cluster: of(3, { writer: 'demo-1', epoch: 3 }),
        agents: says({
          'demo-1': { role: 'writer', epoch: 3 },
          'demo-2': { role: 'writer', epoch: 4 },
          'demo-3': { role: 'writer', epoch: 5 },
        }),
      },
      ['demo-1 reader, pod demo-1', 'demo-2 reader, pod demo-2', 'demo-3 writer, pod demo-3'],
    ],
    [
      'when one that was overtaken says so again, and the writer is silent',
      {
        ...three,
        cluster: of(3, { writer: 'demo-2', epoch: 4 }),
        agents: says({ 'demo-1': { role: 'writer', epoch: 3 }, 'demo-2': { role: 'writer', epoch: 4, silentSince: NOW } }),
      },
      ['demo-1 reader, pod demo-1', 'demo-2 writer, pod demo-2', 'demo-3 reader, pod demo-3'],
    ],
    [
      'when nobody has said what it is since the operator started',
      { ...three, cluster: of(3, { writer: 'demo-2', epoch: 4 }), agents: new Map() },
      ['demo-1 reader, pod demo-1', 'demo-2 writer, pod demo-2', 'demo-3 reader, pod demo-3'],
    ],
    [
      'when the writer reads by now, and nobody has said that it writes',
      { ...three, cluster: of(3, { writer: 'demo-1', epoch: 3 }), agents: says({ 'demo-1': { role: 'reader', epoch: 3 } }) },
      ['demo-1 writer, pod demo-1', 'demo-2 reader, pod demo-2', 'demo-3 reader, pod demo-3'],
    ],
  ];
  test.each(cases)('%s', (_what, seen, expected) => {
    expect(
      planInstances(seen).map(({ name, role, pod }) => `${name} ${role}, ${pod === undefined ? 'no pod' : `pod ${pod.metadata.name}`}`),
    ).toEqual(expected);
    expect(planInstances(seen).filter(({ role }) => role === 'writer')).toEqual([writerOf(seen)]);
  });
});

function withRole(pod: Pod, role: string): Pod {
  return { ...pod, metadata: { ...pod.metadata, labels: { ...pod.metadata.labels, [LABEL.role]: role } } };
}

test('whatever was seen, there are as many as asked for, one writes, and it is the one that the status names', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 16 }), fc.integer({ min: 1, max: 20 }), (instances, writer) => {
      const planned = planInstances({ ...observed, cluster: of(instances, { writer: `demo-${writer}` }) });
      expect(planned).toHaveLength(instances);
      expect(new Set(planned.map(({ ordinal }) => ordinal)).size).toBe(instances);
      expect(planned.filter(({ role }) => role === 'writer').map(({ ordinal }) => ordinal)).toEqual([writer]);
    }),
  );
});

test('whatever number writes, and however few instances there are to be, the plan takes no writer away', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 6 }),
      fc.integer({ min: 1, max: 6 }),
      fc.integer({ min: 1, max: 6 }),
      (pods, instances, number) => {
        const writer = `demo-${Math.min(number, pods)}`;
        const cluster = { ...of(instances), status: { firstReadyAt: new Date(NOW - 600_000).toISOString(), writer } };
        const { actions } = plan({ ...healthy(of(pods)), cluster });
        const taken = actions.flatMap((action) => {
          const isTaken = action.kind === 'delete-pod' || (action.kind === 'mark-pod' && action.labels[LABEL.serves] === 'false');
          return isTaken ? [action.pod.metadata.name] : [];
        });
        expect(taken).not.toContain(writer);
        expect(taken.length).toBeGreaterThanOrEqual(Math.max(0, pods - instances));
      },
    ),
  );
});

test('each has a pod of its name that carries its role', () => {
  const made = plan(untouched()).actions.flatMap((action) => (action.kind === 'create-pod' ? [action.pod.metadata] : []));
  for (const { name, role } of planInstances(untouched())) expect(made.find((pod) => pod.name === name)?.labels?.[LABEL.role]).toBe(role);
});

test('the status lists those that have one, with their roles', () => {
  const listed = (seen: Observed) => computeStatus(seen, plan(seen)).instances?.map(({ name, role }) => ({ name, role }));
  expect(listed(observed)).toEqual([{ name: 'demo-1', role: 'writer' }]);
  expect(listed({ ...observed, computePods: [...stranger, ...observed.computePods] })).toEqual([{ name: 'demo-1', role: 'writer' }]);
  expect(listed(untouched())).toEqual([]);
});

describe('events name the role of the instance that they are about', () => {
  const agent = (change: Parameters<typeof agentReport>[0]) => new Map([['demo-1', agentReport(change)]]);
  const ran = { ...observed.cluster, status: { firstReadyAt: new Date(NOW - 60_000).toISOString() } };
  const cases: readonly (readonly [string, Observed, string, string])[] = [
    [
      'over',
      { ...observed, computePods: observed.computePods.map((pod) => running(pod, { phase: 'Failed', ready: false })) },
      'WriterLost',
      'Writer demo-1 is over',
    ],
    ['fenced', { ...observed, agents: agent({ phase: 'fenced' }) }, 'WriterFenced', 'Writer demo-1 was fenced'],
    ['outdated', { ...observed, computePods: observed.computePods.map(outdatedPod) }, 'ReplacingWriter', 'Replacing demo-1'],
    ['gone', { ...observed, cluster: ran, computePods: [] }, 'WriterCreated', 'Made demo-1 anew'],
  ];
  test.each(cases)('%s', (_what, seen, reason, message) => {
    const notices = plan(seen).actions.flatMap((action) => ('notice' in action && action.notice !== undefined ? [action.notice] : []));
    expect(notices).toEqual([{ type: expect.any(String), reason, message: expect.stringContaining(message) }]);
  });
});

test('an instance avoids the zone where its own last pod found no place, and no other', () => {
  const zoneWith = (avoid: readonly (readonly [string, string])[]) =>
    plan({ ...observed, computePods: [], avoidZones: new Map(avoid) }).actions.flatMap((action) =>
      action.kind === 'create-pod' ? [action.pod.metadata.labels?.[LABEL.zone]] : [],
    );
  expect(zoneWith([])).toEqual(['zone-a']);
  expect(zoneWith([['demo-1', 'zone-a']])).toEqual(['zone-b']);
  expect(zoneWith([['demo-2', 'zone-a']])).toEqual(['zone-a']);
});

test('a pod whose role differs from its instance is given it, so that Services follow', () => {
  const demoted = observed.computePods.map((pod) => ({
    ...pod,
    metadata: { ...pod.metadata, labels: { ...pod.metadata.labels, [LABEL.role]: 'reader' } },
  }));
  expect(plan({ ...observed, computePods: demoted }).actions).toMatchObject([
    { kind: 'mark-pod', labels: { [LABEL.role]: 'writer' }, annotations: { [ANNOTATION.volumeExists]: 'true' } },
  ]);
});

describe('a writer that says that it reads', () => {
  const deposed: Observed = {
    ...three,
    cluster: of(3, { writer: 'demo-1', epoch: 3, firstReadyAt: new Date(NOW - 60_000).toISOString() }),
    agents: says({ 'demo-1': { role: 'reader', epoch: 3 } }),
  };
  test('is not where clients that write are sent', () => {
    expect(plan(deposed).actions).toMatchObject([
      { kind: 'mark-pod', pod: { metadata: { name: 'demo-1' } }, labels: { [LABEL.role]: 'reader' } },
    ]);
  });
  test('is no writer in the status, which keeps the epoch of the last one', () => {
    const { epoch, conditions } = computeStatus({ ...deposed, agents: says({ 'demo-1': { role: 'reader', epoch: 2 } }) }, plan(deposed));
    expect(epoch).toBe(3);
    expect(conditions?.find(({ type }) => type === 'WriterAvailable')).toMatchObject({
      status: 'False',
      reason: 'WriterLost',
      message: expect.stringContaining('demo-1, which wrote last, reads now'),
    });
  });
});
