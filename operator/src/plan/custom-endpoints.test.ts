import { describe, expect, test } from 'vitest';
import { endpointLabel } from '../api/names.ts';
import type { EndpointSpec } from '../api/types.ts';
import { validateCluster } from '../api/validate.ts';
import type { Observed } from '../observed/observed.ts';
import { covers } from '../specs/metadata.ts';
import { clientServices } from '../specs/services.ts';
import { computeStatus } from '../status/compute-status.ts';
import { healthy, inWords, makeCluster, plan, readerReport, withEntry } from '../testing/fixtures.ts';
import { isEndpointMember } from './read-endpoint.ts';
import { planInstances } from './plan-instances.ts';

const cluster = (...endpoints: readonly EndpointSpec[]) => makeCluster({ spec: { storage: { size: '10Gi' }, instances: 4, endpoints } });
const members = (endpoint: EndpointSpec, change: (observed: Observed) => Observed = (observed) => observed) => {
  const observed = change(healthy(cluster(endpoint)));
  return planInstances(observed)
    .filter((instance) => isEndpointMember(observed, endpoint, instance))
    .map(({ ordinal }) => ordinal);
};

test.each<readonly [string, EndpointSpec, readonly number[]]>([
  ['all readers', { name: 'reports', type: 'Reader' }, [2, 3, 4]],
  ['all instances', { name: 'reports', type: 'Any' }, [1, 2, 3, 4]],
  ['some', { name: 'reports', type: 'Reader', instances: [3, 4] }, [3, 4]],
  ['some of which one writes', { name: 'reports', type: 'Reader', instances: [1, 4] }, [4]],
  ['some, whatever they do', { name: 'reports', type: 'Any', instances: [1, 4] }, [1, 4]],
  ['one that there is not', { name: 'reports', type: 'Any', instances: [9] }, []],
  ['all but some', { name: 'reports', type: 'Reader', excludedInstances: [2] }, [3, 4]],
])('an endpoint of %s', (_what, endpoint, expected) => expect(members(endpoint)).toEqual(expected));

test('a reader that is too far behind is in no endpoint of readers', () => {
  const behind = (observed: Observed): Observed => ({
    ...observed,
    agents: withEntry(observed.agents, 'demo-3', readerReport('demo-3', { lagMs: 31_000 })),
  });
  expect(members({ name: 'reports', type: 'Reader' }, behind)).toEqual([2, 4]);
  expect(members({ name: 'reports', type: 'Any' }, behind)).toEqual([1, 2, 3, 4]);
});

describe('its Service', () => {
  const reports: EndpointSpec = { name: 'reports', type: 'Reader', instances: [3, 4] };
  const observed = healthy(cluster(reports));

  test('selects its instances by a label, which pods are given while they run', () => {
    expect(inWords(observed)).toEqual(['mark pod demo-1', 'mark pod demo-2', 'mark pod demo-3', 'mark pod demo-4']);
    const selector = clientServices(observed.cluster).find(({ metadata }) => metadata.name === 'demo-reports')?.spec.selector;
    expect(selector).toBeDefined();
    const selected = plan(observed).actions.flatMap((action) =>
      action.kind === 'mark-pod' && covers({ ...action.pod.metadata.labels, ...action.labels }, selector) ? [action.pod.metadata.name] : [],
    );
    expect(selected).toEqual(['demo-3', 'demo-4']);
    expect(computeStatus(observed, plan(observed)).endpoints?.custom).toEqual([
      { name: 'reports', address: 'demo-reports.default.svc:5432', instances: ['demo-3', 'demo-4'] },
    ]);
  });

  test('goes with it, and no other Service does', () => {
    expect(inWords({ ...observed, cluster: cluster() })).toEqual(['delete Service demo-reports']);
    const services = new Map(
      [...observed.services].map(([name, service]) => [name, { ...service, metadata: { ...service.metadata, ownerReferences: [] } }]),
    );
    expect(inWords({ ...observed, services, cluster: cluster() }).filter((action) => action.startsWith('delete'))).toEqual([]);
  });

  test('cannot have a name that is taken', () => {
    const fields = (...names: readonly string[]) =>
      validateCluster(cluster(...names.map((name) => ({ name, type: 'Any' as const })))).map(({ field }) => field);
    expect(fields('reports', 'olap')).toEqual([]);
    for (const name of ['rw', 'ro', 'r', 'instances', 'storage']) expect(fields(name)).toEqual(['spec.endpoints[0].name']);
    expect(fields('reports', 'reports')).toEqual(['spec.endpoints[1].name']);
  });
});

test('labels of endpoints are of a domain of their own', () => expect(endpointLabel('reports')).toBe('endpoint.kube-aurora.dev/reports'));
