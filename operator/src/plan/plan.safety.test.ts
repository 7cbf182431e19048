import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ANNOTATION, LABEL, storageName } from '../api/names.ts';
import { groupPeers, segmentIds, SegmentMap, type SegmentId } from '../api/segment-id.ts';
import { READ_QUORUM } from '@kube-aurora/volume';
import { isPodReady, type Pod, type VolumeClaim } from '../kube/objects.ts';
import { daemonReport, healthy, makeCluster, makeNode, NOW, outdatedPod, plan, readerReport, running } from '../testing/fixtures.ts';
import { planInstances, surplusPods } from './plan-instances.ts';
import { holdsData, isSegmentUp, type Observed } from '../observed/observed.ts';

/** Any mixture of troubles: what a plan must never do, whatever is seen. */
const podState = fc.constantFrom(
  'fine',
  'fine',
  'fine',
  'absent',
  'not ready',
  'outdated',
  'outdated, not ready',
  'failed',
  'unknown',
  'terminating',
);
const claimState = fc.constantFrom('fine', 'fine', 'fine', 'fine', 'absent', 'empty', 'terminating', 'lost');
const daemonState = fc.constantFrom('READY', 'READY', 'READY', 'EMPTY', 'DAMAGED', 'UNKNOWN');

const picture = fc
  .record({
    segments: fc.array(fc.record({ pod: podState, claim: claimState, daemon: daemonState }), { minLength: 6, maxLength: 6 }),
    compute: podState,
    nodesReady: fc.array(fc.boolean(), { minLength: 3, maxLength: 3 }),
  })
  .map(({ segments, compute, nodesReady }): Observed => {
    const base = healthy();
    const pods: [SegmentId, Pod][] = [];
    const claims: [SegmentId, VolumeClaim][] = [];
    const daemons = new Map(base.daemons);
    for (const segment of segmentIds) {
      const state = segments[segment.index];
      const pod = base.storagePods.get(segment);
      const claim = base.claims.get(segment);
      if (state === undefined || pod === undefined || claim === undefined) continue;
      const changed = bend(pod, state.pod);
      if (changed !== undefined) pods.push([segment, changed]);
      if (state.claim !== 'absent') claims.push([segment, bendClaim(claim, state.claim)]);
      daemons.set(storageName('demo', segment), daemonReport(segment.index, { state: state.daemon }));
    }
    const writer = base.computePods.flatMap((pod) => bend(pod, compute) ?? []);
    const nodes = ['zone-a', 'zone-b', 'zone-c'].map((zone, index) => makeNode(zone, nodesReady[index] === true));
    return { ...base, storagePods: new SegmentMap(pods), claims: new SegmentMap(claims), daemons, computePods: writer, nodes };
  });

function bend(pod: Pod, state: string): Pod | undefined {
  if (state === 'absent') return undefined;
  if (state === 'not ready') return running(pod, { ready: false });
  if (state === 'outdated') return outdatedPod(pod);
  if (state === 'outdated, not ready') return outdatedPod(running(pod, { ready: false }));
  if (state === 'failed') return running(pod, { ready: false, phase: 'Failed' });
  if (state === 'unknown') return running(pod, { ready: false, phase: 'Unknown' });
  if (state === 'terminating') return { ...pod, metadata: { ...pod.metadata, deletionTimestamp: new Date(NOW).toISOString() } };
  return pod;
}

function bendClaim(claim: VolumeClaim, state: string): VolumeClaim {
  const { metadata } = claim;
  if (state === 'empty')
    return {
      ...claim,
      metadata: { ...metadata, annotations: { [ANNOTATION.volumeId]: metadata.annotations?.[ANNOTATION.volumeId] ?? '' } },
    };
  if (state === 'terminating') return { ...claim, metadata: { ...metadata, deletionTimestamp: new Date(NOW).toISOString() } };
  return state === 'lost' ? { ...claim, status: { phase: 'Lost' } } : claim;
}

test('whatever is seen of its instances, the writer stays, and updates take away one that serves at a time', () => {
  const instances = fc.record({
    pods: fc.array(podState, { minLength: 4, maxLength: 4 }),
    wanted: fc.integer({ min: 1, max: 5 }),
    writer: fc.integer({ min: 1, max: 5 }),
    lags: fc.array(fc.integer({ min: 0, max: 100_000 }), { minLength: 4, maxLength: 4 }),
  });
  fc.assert(
    fc.property(instances, ({ pods, wanted, writer, lags }) => {
      const of = (count: number) => ({ storage: { size: '10Gi' }, instances: count });
      const status = { writer: `demo-${writer}`, firstReadyAt: new Date(NOW - 600_000).toISOString() };
      const base = healthy(makeCluster({ spec: of(4) }));
      const observed: Observed = {
        ...base,
        cluster: makeCluster({ spec: of(wanted), status }),
        computePods: base.computePods.flatMap((pod, index) => bend(pod, pods[index] ?? 'fine') ?? []),
        agents: new Map(
          lags.map((lagMs, index) => [`demo-${index + 1}`, readerReport(`demo-${index + 1}`, index + 1 === writer ? {} : { lagMs })]),
        ),
      };
      const { actions } = plan(observed);
      const deletes = actions.flatMap((action) => (action.kind === 'delete-pod' ? [action] : []));
      // Too many instances are never a reason to take the writer.
      for (const { pod, why } of deletes) if (why === 'there are to be fewer instances') expect(pod.metadata.name).not.toBe(status.writer);
      const updated = deletes.filter(({ pod, why }) => why === 'its spec changed' && isPodReady(pod)).map(({ pod }) => pod.metadata.name);
      expect(updated.length).toBeLessThanOrEqual(1);
      // The writer goes last: then every reader that serves is as it should be.
      if (updated[0] === status.writer)
        expect(
          observed.computePods.filter((pod) => pod.metadata.annotations?.[ANNOTATION.specHash] === 'old' && isPodReady(pod)).length,
        ).toBe(
          1 + surplusPods(observed).filter((pod) => pod.metadata.annotations?.[ANNOTATION.specHash] === 'old' && isPodReady(pod)).length,
        );
      // No pod is made that is there, and none that nobody asked for.
      for (const action of actions) {
        if (action.kind !== 'create-pod') continue;
        expect(observed.computePods.map(({ metadata }) => metadata.name)).not.toContain(action.pod.metadata.name);
        expect(planInstances(observed).map(({ name }) => name)).toContain(action.pod.metadata.name);
      }
      // One pod at most is labelled writer once the plan is done.
      const roles = new Map(observed.computePods.map((pod) => [pod.metadata.name, pod.metadata.labels?.[LABEL.role]]));
      for (const action of actions) if (action.kind === 'mark-pod') roles.set(action.pod.metadata.name, action.labels[LABEL.role]);
      const marked = planInstances(observed).filter(({ name }) => deletes.every(({ pod }) => pod.metadata.name !== name));
      const untouchable = (name: string): boolean =>
        observed.computePods.find(({ metadata }) => metadata.name === name)?.metadata.deletionTimestamp !== undefined;
      for (const { name, role } of marked) if (roles.has(name) && !untouchable(name)) expect([name, roles.get(name)]).toEqual([name, role]);
    }),
    { numRuns: 500 },
  );
});

test('whatever is seen, no plan endangers the quorum or the data', () => {
  fc.assert(
    fc.property(picture, (observed) => {
      const made = plan(observed);
      const storageDeletes = made.actions.flatMap((action) =>
        action.kind === 'delete-pod' && action.pod.metadata.name.includes('-storage-') ? [action] : [],
      );
      const takenDown = storageDeletes.filter(({ pod }) => isPodReady(pod));
      // We take at most one ready segment away, and only from a volume whose five others are up.
      expect(takenDown.length).toBeLessThanOrEqual(1);
      for (const { pod } of takenDown) {
        const segment = segmentIds.find((candidate) => storageName('demo', candidate) === pod.metadata.name);
        expect(segment).toBeDefined();
        expect(segment !== undefined && groupPeers(segment).every((peer) => isSegmentUp(observed, peer))).toBe(true);
      }
      // Two daemons never share a disk: no storage pod is removed by force.
      expect(storageDeletes.every(({ gracePeriodSeconds }) => gracePeriodSeconds === undefined)).toBe(true);
      // New claims only where a read quorum of copies is left to fill them from.
      const kept = [...observed.claims.values()].filter(
        (claim) => holdsData(claim) && claim.metadata.deletionTimestamp === undefined && claim.status?.phase !== 'Lost',
      );
      const newClaims = made.actions.filter(
        (action) => action.kind === 'apply' && action.object.kind === 'PersistentVolumeClaim' && action.live === undefined,
      );
      const droppedClaims = made.actions.filter((action) => action.kind === 'delete-claim');
      const everInitialized = [...observed.claims.values()].some(holdsData);
      if (everInitialized && kept.length < READ_QUORUM) expect([...newClaims, ...droppedClaims]).toEqual([]);
      // A claim that is there and well is never deleted.
      for (const action of droppedClaims) if (action.kind === 'delete-claim') expect(action.claim.status?.phase).toBe('Lost');
      // Never two pods of one name, and never one made while its claim is going.
      for (const action of made.actions) {
        if (action.kind !== 'create-pod') continue;
        const segment = segmentIds.find((candidate) => storageName('demo', candidate) === action.pod.metadata.name);
        if (segment === undefined) continue;
        expect(observed.storagePods.has(segment)).toBe(false);
        expect(observed.claims.get(segment)?.metadata.deletionTimestamp).toBeUndefined();
      }
    }),
    { numRuns: 500 },
  );
});
