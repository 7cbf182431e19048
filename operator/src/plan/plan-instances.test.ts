import { describe, expect, test } from 'vitest';
import { ANNOTATION, LABEL } from '../api/names.ts';
import type { Observed } from '../observed/observed.ts';
import { computeStatus } from '../status/compute-status.ts';
import { agentReport, healthy, NOW, outdatedPod, plan, running, untouched } from '../testing/fixtures.ts';
import { planInstances, writerOf } from './plan-instances.ts';

const observed = healthy();
const stranger = observed.computePods.map((pod) => ({ ...pod, metadata: { ...pod.metadata, name: 'demo-2' } }));

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
  ];
  test.each(cases)('%s', (_what, seen, expected) => {
    expect(
      planInstances(seen).map(({ name, role, pod }) => `${name} ${role}, ${pod === undefined ? 'no pod' : `pod ${pod.metadata.name}`}`),
    ).toEqual(expected);
    expect(planInstances(seen).filter(({ role }) => role === 'writer')).toEqual([writerOf(seen)]);
  });
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
    ['gone', { ...observed, cluster: ran, computePods: [] }, 'WriterCreated', 'Made writer demo-1 anew'],
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
