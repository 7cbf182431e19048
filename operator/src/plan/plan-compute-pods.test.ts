import { describe, expect, test } from 'vitest';
import { ANNOTATION, LABEL } from '../api/names.ts';
import {
  agentReport,
  healthy,
  makeCluster,
  makeNode,
  NOW,
  outdatedPod,
  plan,
  running,
  segmentAt,
  inWords,
  withSegment,
} from '../testing/fixtures.ts';
import type { Observed } from '../observed/observed.ts';

describe('the compute pod', () => {
  const withCompute = (
    change: (pod: Observed['computePods'][number]) => Observed['computePods'][number],
    more: Partial<Observed> = {},
  ): Observed => {
    const observed = healthy();
    return { ...observed, computePods: observed.computePods.map(change), ...more };
  };
  const silentAgent = agentReport({ silentSince: NOW - 5_000 });

  test('fenced: removed and made anew', () => {
    expect(inWords({ ...healthy(), agents: new Map([['demo-1', agentReport({ phase: 'fenced' })]]) })).toEqual([
      'delete pod demo-1: fenced',
    ]);
  });

  test('fenced right after its start: a rival is restarting too, so wait', () => {
    const made = plan({
      ...healthy(),
      agents: new Map([['demo-1', agentReport({ phase: 'fenced', startedAt: new Date(NOW - 4_000).toISOString() })]]),
    });
    expect(made).toMatchObject({ actions: [], againInMs: 6_000 });
  });

  test('its node is down and it is silent: by force, elsewhere', () => {
    const observed = withCompute((pod) => pod, {
      nodes: [makeNode('zone-a', false), makeNode('zone-b'), makeNode('zone-c')],
      agents: new Map([['demo-1', silentAgent]]),
    });
    expect(inWords(observed)).toEqual(['force-delete pod demo-1: its node is down']);
    const next = plan({ ...observed, computePods: [], avoidZones: new Map([['demo-1', 'zone-a']]) }).actions[0];
    expect(next).toMatchObject({ kind: 'create-pod', pod: { metadata: { labels: { [LABEL.zone]: 'zone-b' } } } });
  });

  test('its node is said to be down and it answers: it stays', () => {
    expect(inWords(withCompute((pod) => pod, { nodes: [makeNode('zone-a', false), makeNode('zone-b')] }))).toEqual([]);
  });

  test('silent on a healthy node: its kubelet decides', () => {
    expect(inWords(withCompute((pod) => pod, { agents: new Map([['demo-1', silentAgent]]) }))).toEqual([]);
  });

  test('terminating for too long: by force', () => {
    const late = withCompute((pod) => ({ ...pod, metadata: { ...pod.metadata, deletionTimestamp: new Date(NOW - 6_000).toISOString() } }));
    expect(inWords(late)).toEqual(['force-delete pod demo-1: it should be gone by now']);
    const early = withCompute((pod) => ({
      ...pod,
      metadata: { ...pod.metadata, deletionTimestamp: new Date(NOW + 10_000).toISOString() },
    }));
    expect(plan(early)).toMatchObject({ actions: [], againInMs: 15_000 });
  });

  test('outdated: replaced after storage', () => {
    expect(inWords(withCompute(outdatedPod))).toEqual(['delete pod demo-1: its spec changed']);
    const observed = withCompute(outdatedPod);
    expect(
      inWords({ ...observed, storagePods: withSegment(observed.storagePods, 5, outdatedPod(segmentAt(observed.storagePods, 5))) }),
    ).toEqual(['delete pod demo-storage-5: its spec changed']);
  });

  test('gets the role that the Service selects by', () => {
    const observed = withCompute((pod) => ({
      ...pod,
      metadata: { ...pod.metadata, labels: { ...pod.metadata.labels, [LABEL.role]: 'none' } },
    }));
    expect(inWords(observed)).toEqual(['mark pod demo-1']);
  });

  test('is told once its volume holds a database, and made anew when the loss of that was accepted', () => {
    const bootstrapping = withCompute((pod) => ({
      ...pod,
      metadata: { ...pod.metadata, annotations: { ...pod.metadata.annotations, [ANNOTATION.volumeExists]: 'false' } },
    }));
    expect(plan(bootstrapping).actions).toMatchObject([{ kind: 'mark-pod', annotations: { [ANNOTATION.volumeExists]: 'true' } }]);
    const accepting = makeCluster({ annotations: { [ANNOTATION.acceptDataLoss]: 'true' } });
    const refusing = { ...withCompute((pod) => running(pod, { ready: false })), cluster: accepting };
    expect(inWords(refusing)).toEqual(['delete pod demo-1: the loss of its data was accepted: the next one may make a new database']);
    expect(plan({ ...refusing, computePods: [] }).actions).toMatchObject([
      { kind: 'create-pod', pod: { metadata: { annotations: { [ANNOTATION.volumeExists]: 'false' } } } },
    ]);
    expect(inWords({ ...healthy(), cluster: accepting })).toEqual(['mark pod demo-1']);
  });
});
