import { agentReport, healthy, makeCluster, NOW, readerReport, running, without } from '../../../operator/src/testing/fixtures.ts';
import { down, faulty, gone, ran, statusOf } from '../../../operator/src/testing/statuses.ts';
import type { AuroraClusterStatus } from '../../../operator/src/api/status-types.ts';
import type { Observed } from '../../../operator/src/observed/observed.ts';
import { noticesOf } from '../../../operator/src/status/transitions.ts';
import type { Cluster, ClusterEvent, ClusterView, Pod } from '@kube-aurora/cluster-view';

/** Clusters in several states, with the statuses and events that the operator itself makes of what it observes. */

const MINUTE = 60_000;
const at = (ms: number): string => new Date(ms).toISOString();

/** As the API server gives it: times are texts there. */
const onTheWire = <T>(object: object): T => JSON.parse(JSON.stringify(object)) as T;

/** The same some time earlier: its conditions and states began then. */
function earlier(observed: Observed, ms: number): Observed {
  return { ...observed, now: observed.now - ms };
}

function withStatus(observed: Observed, status: AuroraClusterStatus, now = observed.now): Observed {
  return { ...observed, cluster: { ...observed.cluster, status }, now };
}

/** What one sees a while after `change` befell a cluster that had been well for three hours. */
function after(
  change: (observed: Observed) => Observed,
  forMs: number,
  spec: Parameters<typeof makeCluster>[0] = { spec: { instances: 3 } },
): ClusterView {
  const whole = healthy(makeCluster({ ...spec, status: ran({ writer: 'demo-1' }) }));
  const before = statusOf(earlier(whole, 3 * 60 * MINUTE));
  const begun = change(withStatus(whole, before, NOW - forMs));
  const first = statusOf(begun);
  const now = statusOf(withStatus(begun, first, NOW));
  const events = noticesOf(before, first, begun.now).map(({ type, reason, message }, index): ClusterEvent => ({
    metadata: { name: `demo.${index}`, namespace: 'default' },
    involvedObject: { kind: 'AuroraCluster', name: 'demo' },
    type,
    reason,
    message,
    count: 1,
    lastTimestamp: at(begun.now),
  }));
  const pods = [...begun.computePods, ...begun.storagePods.values()].map((pod) => onTheWire<Pod>(pod));
  return { cluster: onTheWire<Cluster>({ ...begun.cluster, status: now }), pods, events, now: NOW };
}

const writerGone = (observed: Observed): Observed => ({
  ...observed,
  computePods: observed.computePods.filter(({ metadata }) => metadata.name !== 'demo-1'),
  agents: without(observed.agents, 'demo-1'),
});

/** demo-2 was elected, and opens the volume. */
const failoverGoingOn = (observed: Observed): Observed => {
  const lost = writerGone(observed);
  return {
    ...lost,
    computePods: lost.computePods.map((pod) => (pod.metadata.name === 'demo-2' ? running(pod, { ready: false }) : pod)),
    agents: new Map([
      ...lost.agents,
      [
        'demo-2',
        agentReport({
          uid: 'uid-of-demo-2',
          role: 'writer',
          phase: 'opening',
          reason: 'takingOver',
          message: 'asking storage for the volume (step 3 of 7)',
        }),
      ],
    ]),
  };
};

const failedOver = (observed: Observed): Observed => ({
  ...observed,
  agents: new Map([
    ...observed.agents,
    ['demo-1', readerReport('demo-1', { role: 'reader' })],
    [
      'demo-2',
      agentReport({
        uid: 'uid-of-demo-2',
        role: 'writer',
        epoch: 4,
        failover: {
          reason: 'silent',
          from: 'demo-1',
          at: at(NOW - 5 * MINUTE),
          inPlace: true,
          phases: { detectedMs: 2060, openedMs: 41, fedMs: 12, promotedMs: 180, readyMs: 116 },
        },
      }),
    ],
  ]),
});

const full = { kind: 'DISK_FULL', freeBytes: 12 * 2 ** 20, neededBytes: 64 * 2 ** 20 } as const;
const damaged = { kind: 'DAMAGED_DATA', part: 'log' } as const;

export const VIEWS = {
  healthy: after((observed) => observed, 0),
  'after a failover': after(failedOver, 5 * MINUTE),
  'failover going on': after(failoverGoingOn, 2_000),
  'lost zone': after((observed) => gone(observed, 0, 3), 4 * MINUTE),
  'disk full': after((observed) => faulty(observed, full, 1), 25 * MINUTE),
  'all disks full': after((observed) => faulty(observed, full, 0, 1, 2, 3, 4, 5), 25 * MINUTE),
  'one copy damaged': after((observed) => faulty(observed, damaged, 2), 90_000),
  'quorum lost': after((observed) => gone(observed, 0, 1, 3, 4), 40_000),
  'one copy down, no readers': after((observed) => down(observed, 5), 30_000, {}),
} as const satisfies Readonly<Record<string, ClusterView>>;
