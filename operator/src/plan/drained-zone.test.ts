/** A node is drained that a copy cannot leave: the budget lets both copies of that zone go, and never one of the four others. */
import { expect, test } from 'vitest';
import { LABEL, storageName } from '../api/names.ts';
import { segmentIds, SegmentMap, type SegmentId } from '../api/segment-id.ts';
import type { DisruptionBudget, Pod } from '../kube/objects.ts';
import type { Observed } from '../observed/observed.ts';
import { daemonReport, healthy, plan, running, withEntry } from '../testing/fixtures.ts';
import { drainedZone } from './drained-zone.ts';

const base = healthy();
const ZONE = 'zone-b';
const inZone = (zone: string) => segmentIds.filter((segment) => base.storagePods.get(segment)?.metadata.labels?.[LABEL.zone] === zone);
const [FIRST, SECOND] = pair(ZONE);
const [OTHER] = pair('zone-a');

function pair(zone: string): readonly [SegmentId, SegmentId] {
  const [first, second] = inZone(zone);
  if (first === undefined || second === undefined) throw new Error(`${zone} has not two copies`);
  return [first, second];
}

const cordoned = (observed: Observed, ...zones: readonly string[]): Observed => ({
  ...observed,
  nodes: observed.nodes.map((node) =>
    zones.includes(node.metadata.labels?.['topology.kubernetes.io/zone'] ?? '') ? { ...node, spec: { unschedulable: true } } : node,
  ),
});
/** Evicted and made anew, it waits for a node. */
const homeless = (pod: Pod): Pod => {
  const { nodeName: _left, ...spec } = running(pod).spec;
  return {
    ...running(pod, { ready: false, phase: 'Pending' }),
    spec,
    status: { phase: 'Pending', conditions: [{ type: 'PodScheduled', status: 'False', message: '0/3 nodes are available' }] },
  };
};
function changed(observed: Observed, segment: SegmentId, change: (pod: Pod) => Pod): Observed {
  const pods = [...observed.storagePods].map(([id, pod]) => [id, id === segment ? change(pod) : pod] as const);
  return { ...observed, storagePods: new SegmentMap(pods) };
}
const budget = (observed: Observed): DisruptionBudget['spec'] | undefined =>
  plan(observed).actions.flatMap((action) =>
    action.kind === 'apply' && action.object.kind === 'PodDisruptionBudget' ? [(action.object as DisruptionBudget).spec] : [],
  )[0];
const drained = changed(cordoned(base, ZONE), FIRST, homeless);

test('the zone of a cordoned node that a copy has left and cannot come back to', () => {
  expect(drainedZone(drained)).toBe(ZONE);
  expect(drainedZone(changed(drained, SECOND, homeless))).toBe(ZONE);
});

test('none while nothing was evicted, or where the copy has another place', () => {
  expect(drainedZone(base)).toBeUndefined();
  expect(drainedZone(cordoned(base, ZONE))).toBeUndefined();
  expect(drainedZone(changed(cordoned(base, ZONE), FIRST, (pod) => running(pod, { ready: false })))).toBeUndefined();
});

test('none while the other copy of the zone is on a node that stays', () => {
  expect(drainedZone(changed(base, FIRST, homeless))).toBeUndefined();
});

test('none while a copy elsewhere is away or behind: it would be fewer than a write quorum', () => {
  expect(drainedZone(changed(drained, OTHER, (pod) => running(pod, { ready: false })))).toBeUndefined();
  const name = storageName('demo', OTHER);
  const behind = { ...daemonReport(0), uid: `uid-of-${name}`, scl: '0/100' };
  expect(drainedZone({ ...drained, daemons: withEntry(drained.daemons, name, behind) })).toBeUndefined();
});

test('one zone at a time', () => {
  expect(drainedZone(changed(cordoned(drained, ZONE, 'zone-a', 'zone-c'), OTHER, homeless))).toBeUndefined();
});

test('its budget counts the four others, all of which must stay, and is as ever again afterwards', () => {
  const loosened = budget(drained);
  expect(loosened).toMatchObject({
    minAvailable: 4,
    selector: { matchExpressions: [{ key: LABEL.zone, operator: 'NotIn', values: [ZONE] }] },
  });
  const [live] = base.budgets.values();
  if (live === undefined || loosened === undefined) throw new Error('there is no budget');
  const during = { ...drained, budgets: new Map([[live.metadata.name, { ...live, spec: loosened }]]) };
  expect(budget(during)).toBeUndefined();
  expect(budget({ ...base, budgets: during.budgets })).toEqual(live.spec);
});

test('the status says what the copy waits for', () => {
  expect(plan(drained).obstacles.map(({ message }) => message)).toEqual([
    `${storageName('demo', FIRST)} finds no node: node-${ZONE} is cordoned, and ${ZONE} has no other node; it starts when one takes pods again (kubectl uncordon)`,
  ]);
});
