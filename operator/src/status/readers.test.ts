import { describe, expect, test } from 'vitest';
import type { AuroraClusterStatus } from '../api/status-types.ts';
import type { Observed } from '../observed/observed.ts';
import { readAgentStatus } from '../observed/reports.ts';
import { healthy, makeCluster, mapSegments, NOW, plan, readerReport, running, withEntry } from '../testing/fixtures.ts';
import { computeStatus } from './compute-status.ts';
import { noticesOf } from './transitions.ts';

const spec = (instances: number) => ({ storage: { size: '10Gi' }, instances, readers: { maxLag: '10s' } });
const statusOf = (observed: Observed): AuroraClusterStatus => computeStatus(observed, plan(observed));
const RAN = statusOf(healthy(makeCluster({ spec: spec(3) })));
const seen = (instances = 3, status: AuroraClusterStatus = RAN): Observed => healthy(makeCluster({ spec: spec(instances), status }));
const lagging = (observed: Observed, name: string, lagMs: number): Observed => ({
  ...observed,
  agents: withEntry(observed.agents, name, readerReport(name, { lagMs })),
});
const unready = (observed: Observed, ...names: readonly string[]): Observed => ({
  ...observed,
  computePods: observed.computePods.map((pod) => (names.includes(pod.metadata.name) ? running(pod, { ready: false }) : pod)),
});
const conditionOf = (status: AuroraClusterStatus) => {
  const found = status.conditions?.find(({ type }) => type === 'ReadersAvailable');
  return `${found?.status} ${found?.reason}: ${found?.message}`;
};
const events = (before: AuroraClusterStatus, after: AuroraClusterStatus) =>
  noticesOf(before, after, NOW).map(({ type, reason, message }) => `${type} ${reason}: ${message}`);

test('a cluster with readers, all well', () => {
  const status = statusOf(lagging(seen(), 'demo-3', 12));
  expect(status.phase).toBe('Ready');
  expect(status.compute).toEqual({
    summary: '3/3',
    pods: 3,
    ready: 3,
    desired: 3,
    selector: 'kube-aurora.dev/cluster=demo,kube-aurora.dev/component=compute',
    lag: '12 ms',
    readOnly: ['demo-2', 'demo-3'],
  });
  expect(status.instances?.map(({ name, role, state, lagMs }) => ({ name, role, state, lagMs }))).toEqual([
    { name: 'demo-1', role: 'writer', state: 'Serving', lagMs: undefined },
    { name: 'demo-2', role: 'reader', state: 'Serving', lagMs: 0 },
    { name: 'demo-3', role: 'reader', state: 'Serving', lagMs: 12 },
  ]);
  expect(conditionOf(status)).toBe('True AllGood: 2 of 2 readers serve reads');
  expect(status.endpoints).toMatchObject({ readOnly: 'demo-ro.default.svc:5432', read: 'demo-r.default.svc:5432' });
  expect(events(RAN, status)).toEqual([]);
});

test('of the reader that would be the next writer, how warm its cache is, as its agent says', () => {
  const observed = seen();
  const told = (name: string, warmth: unknown) =>
    readAgentStatus({ phase: 'running', role: 'reader', replayLsn: '0/2000', warmth }, `uid-of-${name}`, NOW);
  const agents = withEntry(observed.agents, 'demo-2', told('demo-2', { share: 0.999, pagesBehind: 1 }));
  const status = statusOf({ ...observed, agents });
  expect(status.instances?.map(({ cacheWarmPercent }) => cacheWarmPercent)).toEqual([undefined, 99, undefined]);
  for (const share of ['1', 1.1, -1, Number.NaN, undefined]) expect(told('demo-2', { share }).cacheWarmPercent).toBeUndefined();
});

test('without readers nothing is missing', () => {
  const status = statusOf(seen(1));
  expect(status.phase).toBe('Ready');
  expect(status.compute).toMatchObject({ summary: '1/1', readOnly: ['demo-1'] });
  expect(conditionOf(status)).toBe('True AllGood: no readers are asked for (spec.instances is 1); demo-ro leads to the writer');
});

describe('a reader', () => {
  test('that is new is starting, and then ready', () => {
    const before = statusOf(seen(2));
    const added = seen(3, before);
    const coming = statusOf(unready(added, 'demo-3'));
    expect(coming.phase).toBe('Updating');
    expect(coming.message).toContain('demo-3');
    expect(coming.compute?.summary).toBe('2/3');
    expect(conditionOf(coming)).toMatch(/^False ReadersStarting: 1 of 2 readers serve reads: demo-3 .*; demo-ro leads to demo-2$/);
    expect(events(before, coming)).toEqual([]);
    expect(events(coming, statusOf(seen(3, coming)))).toEqual(['Normal ReaderReady: Reader demo-3 in zone-c serves reads after 0 ms']);
  });

  test('that served and does not is lost, says since when, and comes back', () => {
    const lost = statusOf(unready(seen(), 'demo-2'));
    expect(lost.phase).toBe('Degraded');
    expect(lost.compute).toMatchObject({ summary: '2/3', readOnly: ['demo-3'] });
    expect(conditionOf(lost)).toBe(
      'False ReaderLost: 1 of 2 readers serve reads: demo-2 runs and is not ready; it comes back by itself; demo-ro leads to demo-3',
    );
    expect(events(RAN, lost)).toEqual(['Warning ReaderUnavailable: Reader demo-2 serves no reads']);
    const later = { ...unready(seen(3, lost), 'demo-2'), now: NOW + 5_000 };
    expect(statusOf(later).instances?.[1]?.since).toBe(lost.instances?.[1]?.since);
    expect(events(lost, statusOf(seen(3, lost)))).toEqual(['Normal ReaderRecovered: Reader demo-2 serves reads again after 0 ms']);
  });

  test('that no scheduler has given a node does not come back by itself', () => {
    const observed = unready(seen(), 'demo-2');
    const pods = observed.computePods.map((pod) => {
      const { nodeName: _nowhere, ...spec } = pod.spec;
      return pod.metadata.name === 'demo-2' ? { ...pod, spec, status: { phase: 'Pending' as const } } : pod;
    });
    expect(conditionOf(statusOf({ ...observed, computePods: pods }))).toBe(
      'False ReaderLost: 1 of 2 readers serve reads: demo-2 waits for the scheduler to give it a node; demo-ro leads to demo-3',
    );
  });

  test('that is the last one leaves reads to the writer, and that is told', () => {
    const lost = statusOf(unready(seen(), 'demo-2', 'demo-3'));
    expect(lost.compute?.readOnly).toEqual(['demo-1']);
    expect(conditionOf(lost)).toMatch(/demo-ro leads to the writer$/);
    expect(events(RAN, lost)).toContain(
      'Warning ReadsOnWriter: No reader can be read: demo-ro.default.svc:5432 leads to the writer until one can',
    );
  });

  test('that is too far behind is out until it has caught up', () => {
    const behind = statusOf(lagging(seen(), 'demo-2', 34_000));
    expect(behind.phase).toBe('Degraded');
    expect(behind.compute).toMatchObject({ summary: '3/3', lag: '34 s', readOnly: ['demo-3'] });
    expect(conditionOf(behind)).toBe(
      'False ReadersLagging: 1 of 2 readers serve reads: demo-2 is 34 s behind, more than spec.readers.maxLag (10s); demo-ro leads to demo-3',
    );
    expect(events(RAN, behind)).toEqual([
      'Warning ReaderLagging: Reader demo-2 is behind by 34 s, more than it may be: it gets no new reads until it has caught up',
    ]);
    expect(events(behind, statusOf(seen(3, behind)))).toEqual([
      'Normal ReaderCaughtUp: Reader demo-2 has caught up after 0 ms and serves reads again',
    ]);
  });
});

test('an agent says why its reader does not serve, unless it runs', () => {
  const saying = (phase: string, message: string) => {
    const observed = unready(seen(), 'demo-2');
    return statusOf({ ...observed, agents: withEntry(observed.agents, 'demo-2', readerReport('demo-2', { phase, message })) });
  };
  const opening = saying('opening', 'waiting for storage');
  expect(opening.instances?.[1]?.message).toBe('waiting for storage');
  expect(conditionOf(opening)).toContain('demo-2 is opening: waiting for storage');
  const ran = saying('running', 'running');
  expect(ran.instances?.[1]?.message).toBeUndefined();
  expect(conditionOf(ran)).toContain('demo-2 runs and is not ready');
});

test('a missing reader and a missing segment are told together, and events of segments are not held back by it', () => {
  const observed = unready(seen(), 'demo-2');
  const down = {
    ...observed,
    storagePods: mapSegments(observed.storagePods, (pod, index) => (index === 0 ? running(pod, { ready: false }) : pod)),
  };
  expect(statusOf(down).message).toMatch(/^5 of 6 segments are up; .*demo-2 .*; reads and writes go on$/);
  const coming = statusOf(unready(seen(3, statusOf(seen(2))), 'demo-3'));
  expect(coming.phase).toBe('Updating');
  expect(events(coming, statusOf({ ...down, cluster: { ...down.cluster, status: coming } })).join()).toContain(
    'SegmentDown: demo-storage-0',
  );
});
