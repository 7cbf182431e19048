import { describe, expect, test } from 'vitest';
import { ANNOTATION, LABEL } from '../api/names.ts';
import type { InstanceOverride } from '../api/types.ts';
import type { AuroraClusterStatus, AutoscalingStatus } from '../api/status-types.ts';
import { validateCluster } from '../api/validate.ts';
import { withDefaults } from '../api/defaults.ts';
import type { Observed } from '../observed/observed.ts';
import type { ReportedLoad } from '../observed/reports.ts';
import { readAgentStatus } from '../observed/reports.ts';
import { computeStatus } from '../status/compute-status.ts';
import { noticesOf } from '../status/transitions.ts';
import { healthy, inWords, makeCluster, NOW, plan, readerReport, withEntry } from '../testing/fixtures.ts';
import { planInstances } from './plan-instances.ts';

const ago = (ms: number): string => new Date(NOW - ms).toISOString();
const RAN: AuroraClusterStatus = { firstReadyAt: ago(600_000), writer: 'demo-1' };
const AUTOSCALING = { minInstances: 2, maxInstances: 4, target: { connections: 10 }, scaleOutCooldown: '60s', scaleInCooldown: '60s' };

interface Given {
  readonly pods: number;
  readonly instances?: number;
  readonly status?: Partial<AutoscalingStatus>;
  readonly overrides?: readonly InstanceOverride[];
  readonly autoscaling?: Partial<typeof AUTOSCALING> | { target: { cpuUtilization: number } };
  readonly cpu?: string;
}

/** So many instances are there, of which all that read have this to do. */
function seen({ pods, instances = 1, status, overrides = [], autoscaling = {}, cpu }: Given, load?: Partial<ReportedLoad>): Observed {
  const spec = {
    storage: { size: '10Gi' },
    instanceOverrides: overrides,
    ...(cpu === undefined ? {} : { compute: { resources: { requests: { cpu } } } }),
  };
  const there = healthy(makeCluster({ spec: { ...spec, instances: pods }, status: RAN }));
  const known = {
    desiredInstances: pods,
    minInstances: 2,
    maxInstances: 4,
    state: 'Steady',
    since: ago(0),
    message: '',
    ...status,
  } as const;
  const cluster = makeCluster({
    spec: { ...spec, instances, autoscaling: { ...AUTOSCALING, ...autoscaling } },
    status: { ...RAN, autoscaling: known },
  });
  const agents = there.computePods.slice(1).reduce((all, { metadata: { name } }) => {
    return withEntry(
      all,
      name,
      readerReport(name, load === undefined ? {} : { load: { connections: 0, cpuMillicores: 0, cpus: 4, ...load } }),
    );
  }, there.agents);
  return { ...there, cluster, agents };
}
const scaled = (observed: Observed) => plan(observed).autoscaling;

describe('what is decided', () => {
  test('more connections than the target: more readers, told by an Event, and made at the next look', () => {
    const observed = seen({ pods: 2 }, { connections: 25 });
    expect(scaled(observed)).toMatchObject({
      desiredInstances: 4,
      state: 'ScalingOut',
      connections: 25,
      lastScaleOutAt: ago(0),
      message: '2 instances become 4: a reader has 25 connections on average, and 10 are the target',
    });
    expect(plan(observed).againInMs).toBe(0);
    const status = computeStatus(observed, plan(observed));
    expect(noticesOf(observed.cluster.status, status, NOW).map(({ reason }) => reason)).toContain('ScaledOut');
    const next = { ...observed, cluster: { ...observed.cluster, status } };
    expect(inWords(next)).toEqual(['create pod demo-3', 'create pod demo-4']);
    expect(scaled(next)).toMatchObject({ desiredInstances: 4, state: 'FiguresMissing' });
  });

  test('CPU counts by what a reader requests, or by the cores of its node', () => {
    const autoscaling = { target: { cpuUtilization: 50 } };
    expect(scaled(seen({ pods: 2, autoscaling, cpu: '500m' }, { cpuMillicores: 400 }))).toMatchObject({
      cpuUtilization: 80,
      desiredInstances: 3,
    });
    // Unless the manifest says otherwise that is 250m.
    expect(scaled(seen({ pods: 2, autoscaling }, { cpuMillicores: 100 }))).toMatchObject({ cpuUtilization: 40, desiredInstances: 2 });
    expect(scaled(seen({ pods: 2, autoscaling, cpu: '0' }, { cpuMillicores: 400 }))).toMatchObject({
      cpuUtilization: 10,
      desiredInstances: 2,
    });
  });

  test('spec.instances is a floor, so that kubectl scale prepares for a rush, and what was decided stays when it falls', () => {
    const raised = seen({ pods: 2, instances: 3 }, { connections: 1 });
    expect(inWords(raised)).toEqual(['create pod demo-3']);
    expect(scaled(raised)).toMatchObject({ desiredInstances: 3, minInstances: 3 });
    const kept = scaled(seen({ pods: 3, instances: 3 }, { connections: 1 }))?.message;
    expect(kept).toContain('3 instances are the least (spec.instances)');
    const lowered = seen({ pods: 3, instances: 1 }, { connections: 1 });
    expect(inWords(lowered)).toEqual([]);
    expect(scaled(lowered)).toMatchObject({ desiredInstances: 3, state: 'WaitingToScaleIn', lowSince: ago(0) });
  });

  test('a reader that says nothing keeps all, and is named', () => {
    const low = seen({ pods: 3, status: { lowSince: ago(120_000) } }, { connections: 1 });
    expect(scaled(low)).toMatchObject({ desiredInstances: 2, state: 'ScalingIn', lastScaleInAt: ago(0) });
    const silent = { ...low, agents: withEntry(low.agents, 'demo-3', readerReport('demo-3', { silentSince: NOW - 100 })) };
    expect(scaled(silent)).toMatchObject({ desiredInstances: 3, state: 'FiguresMissing' });
    expect(scaled(silent)?.message).toContain('demo-3 does not say');
  });

  test('without spec.autoscaling nothing is said of it, and spec.instances alone counts', () => {
    const { cluster, ...rest } = seen({ pods: 3, instances: 3 });
    const { autoscaling: _gone, ...spec } = cluster.spec;
    const observed = { ...rest, cluster: { ...cluster, spec } };
    expect(scaled(observed)).toBeUndefined();
    expect(computeStatus(observed, plan(observed)).autoscaling).toBeUndefined();
    expect(inWords(observed)).toEqual([]);
  });
});

describe('a reader that is to be no more', () => {
  const fewer = (change: Given): Observed => seen({ status: { desiredInstances: change.pods - 1 }, ...change }, { connections: 3 });
  const mark = (observed: Observed) => plan(observed).actions.flatMap((action) => (action.kind === 'mark-pod' ? [action] : []))[0];
  /** As it is after it was marked, so long ago. */
  const leaving = (observed: Observed, forMs: number, connections: number): Observed => {
    const done = mark(observed);
    const marked = observed.computePods.map((pod) =>
      pod !== done?.pod
        ? pod
        : {
            ...pod,
            metadata: {
              ...pod.metadata,
              labels: { ...pod.metadata.labels, ...done.labels },
              annotations: { ...pod.metadata.annotations, [ANNOTATION.leavingSince]: ago(forMs) },
            },
          },
    );
    const name = done?.pod.metadata.name ?? '';
    const report = readerReport(name, { load: { connections, cpuMillicores: 0, cpus: 4 } });
    return { ...observed, computePods: marked, agents: withEntry(observed.agents, name, report) };
  };

  test('leaves the endpoints first', () => {
    const observed = fewer({ pods: 3 });
    expect(inWords(observed)).toEqual(['mark pod demo-3']);
    expect(mark(observed)).toMatchObject({
      labels: { [LABEL.serves]: 'false', [LABEL.servesReads]: 'false' },
      annotations: { [ANNOTATION.leavingSince]: ago(0) },
      notice: { reason: 'ReaderLeaving' },
    });
  });

  test('goes once its clients have gone, or have had their time', () => {
    const observed = fewer({ pods: 3 });
    expect(inWords(leaving(observed, 1_000, 0))).toEqual([]);
    expect(inWords(leaving(observed, 3_000, 0))).toEqual(['delete pod demo-3: there are to be fewer instances']);
    expect(inWords(leaving(observed, 59_000, 1))).toEqual([]);
    expect(plan(leaving(observed, 59_000, 1)).againInMs).toBe(1_000);
    expect(inWords(leaving(observed, 60_000, 1))).toEqual(['delete pod demo-3: there are to be fewer instances']);
    expect(computeStatus(leaving(observed, 10_000, 1), plan(observed)).compute?.leaving).toEqual(['demo-3']);
  });

  test('stays when it is needed after all', () => {
    const gone = leaving(fewer({ pods: 3 }), 10_000, 1);
    const status = {
      ...gone.cluster.status,
      autoscaling: { ...(gone.cluster.status?.autoscaling as AutoscalingStatus), desiredInstances: 3 },
    };
    expect(mark({ ...gone, cluster: { ...gone.cluster, status } })).toMatchObject({
      labels: { [LABEL.serves]: 'true', [LABEL.servesReads]: 'true' },
      annotations: { [ANNOTATION.leavingSince]: '' },
    });
  });

  test('is of the highest promotion tier: who is to take the writer’s place goes last', () => {
    const overrides = [{ instance: 3, promotionTier: 0 }];
    const observed = fewer({ pods: 3, overrides });
    expect(inWords(observed)).toEqual(['mark pod demo-2']);
    const names = (one: Observed) => planInstances(one).map(({ name }) => name);
    expect(names(observed)).toEqual(['demo-1', 'demo-3']);
    // And so it stays when the other is gone, or its own pod is away for a moment.
    const instances = names(observed).map((name) => ({ name })) as unknown as NonNullable<AuroraClusterStatus['instances']>;
    const after = { ...observed, cluster: { ...observed.cluster, status: { ...observed.cluster.status, instances } }, computePods: [] };
    expect(names(after)).toEqual(['demo-1', 'demo-3']);
  });
});

test('an agent says what it has to do; half of it is nothing', () => {
  const read = (load: unknown) => readAgentStatus({ phase: 'running', load }, 'uid', NOW).load;
  expect(read({ connections: 3, cpuMillicores: 40, cpus: 2 })).toEqual({ connections: 3, cpuMillicores: 40, cpus: 2 });
  for (const bad of [
    undefined,
    {},
    { connections: 3, cpus: 2 },
    { connections: -1, cpuMillicores: 4, cpus: 2 },
    { connections: 1, cpuMillicores: 4, cpus: 0 },
  ])
    expect(read(bad)).toBeUndefined();
});

test.each([
  [{ maxInstances: 1 }, 'spec.autoscaling.maxInstances'],
  [{ minInstances: 1 }, 'spec.autoscaling.minInstances'],
  [{ minInstances: 4, maxInstances: 3 }, 'spec.autoscaling.minInstances'],
  [{ target: {} }, 'spec.autoscaling.target'],
  [{ target: { connections: 0 } }, 'spec.autoscaling.target.connections'],
  [{ target: { cpuUtilization: 101 } }, 'spec.autoscaling.target.cpuUtilization'],
  [{ scaleInCooldown: '5' }, 'spec.autoscaling.scaleInCooldown'],
] as const)('%j is refused by its field', (autoscaling, field) => {
  const cluster = makeCluster({
    spec: withDefaults({ storage: { size: '10Gi' }, autoscaling: { ...AUTOSCALING, ...autoscaling } as never }),
  });
  expect(validateCluster(cluster).map((problem) => problem.field)).toContain(field);
});

test('more instances than autoscaling allows are refused', () => {
  const cluster = makeCluster({ spec: { storage: { size: '10Gi' }, instances: 5, autoscaling: AUTOSCALING } });
  expect(validateCluster(cluster)).toEqual([
    { field: 'spec.instances', message: '5 is above spec.autoscaling.maxInstances 4; lower it, or raise that', fatal: true },
  ]);
});
