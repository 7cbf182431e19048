import { formatMs } from '../api/duration.ts';
import { endpointServiceName, LABEL, PORT, selectorLabels } from '../api/names.ts';
import {
  INSTANCE_PHASES,
  type CustomEndpointStatus,
  type AuroraClusterStatus,
  type InstancePhase,
  type InstanceState,
  type InstanceStatus,
} from '../api/status-types.ts';
import { isPodReady, isTerminating, type Pod } from '../kube/objects.ts';
import { computeState, freshAgent, isCutOff, type Observed } from '../observed/observed.ts';
import { cacheClaim } from '../observed/cache-claim.ts';
import { cacheClaimOf } from '../specs/cache-volume.ts';
import { isSilent } from '../observed/reports.ts';
import { planInstances, surplusPods, type Instance } from '../plan/plan-instances.ts';
import type { ClusterPlan } from '../plan/plan.ts';
import { canBeRead, isEndpointMember, isLagging, readEndpointMembers, readerLagMs } from '../plan/read-endpoint.ts';
import { clusterNamespace } from '../specs/metadata.ts';
import { known, present } from './present.ts';
import { podState } from './segments.ts';

/** In one word what a compute pod does: its agent's own when it can be asked. */
function instancePhase(observed: Observed, pod: Pod): InstancePhase {
  if (isTerminating(pod)) return 'stopping';
  const report = observed.agents.get(pod.metadata.name);
  if (!isSilent(report)) return known(INSTANCE_PHASES, report?.phase, 'unknown');
  return pod.status?.phase === 'Running' ? 'Unreachable' : 'Pending';
}

/** Why an instance takes no connections, in Kubernetes' words, or ours where Kubernetes has not noticed. */
export function instanceTrouble(observed: Observed, pod: Pod | undefined): string {
  const isSaidReady = pod !== undefined && !isTerminating(pod) && isPodReady(pod);
  if (
    pod !== undefined &&
    !isSaidReady &&
    !isTerminating(pod) &&
    pod.spec.nodeName === undefined &&
    cacheClaim(observed, pod).kind !== 'there'
  )
    return `waits for its disk (claim ${cacheClaimOf(pod)?.name ?? ''})`;
  if (!isSaidReady || !isCutOff(observed, pod)) return podState(pod);
  return `does not answer, as when its node${pod.spec.nodeName === undefined ? '' : ` ${pod.spec.nodeName}`} is lost`;
}

/**
 * How an instance serves, from how it did before: one that served and does not is lost, unless it is being replaced on
 * purpose.
 */
export function instanceState(observed: Observed, plan: ClusterPlan, instance: Instance): InstanceState {
  const { name, pod } = instance;
  if (pod !== undefined && !isTerminating(pod) && computeState(observed, pod) === 'available')
    return isLagging(observed, instance) ? 'Lagging' : 'Serving';
  // A reader that takes the writer's place is not lost: it answers soon, as the writer.
  if (instance.role === 'reader' && freshAgent(observed, pod)?.role === 'writer') return 'Starting';
  const before = observed.cluster.status?.instances?.find((one) => one.name === name)?.state;
  return before === undefined || before === 'Starting' || plan.outdated.includes(name) ? 'Starting' : 'Lost';
}

/** The instances that have a pod, and those that had one and are to have one again. */
export function instanceStatuses(observed: Observed, plan: ClusterPlan): readonly InstanceStatus[] {
  return planInstances(observed).flatMap((instance) => {
    const { name, role, pod } = instance;
    const before = observed.cluster.status?.instances?.find((one) => one.name === name);
    if (pod === undefined && before === undefined) return [];
    const report = observed.agents.get(name);
    const fresh = freshAgent(observed, pod);
    const state = instanceState(observed, plan, instance);
    const status = present<InstanceStatus>({
      name,
      role,
      state,
      since: before?.state === state ? before.since : new Date(observed.now).toISOString(),
      zone: pod?.metadata.labels?.[LABEL.zone],
      node: pod?.spec.nodeName,
      phase: pod === undefined ? 'Pending' : instancePhase(observed, pod),
      ready: pod !== undefined && isPodReady(pod),
      restarts: pod?.status?.containerStatuses?.[0]?.restartCount ?? 0,
      reason: isSilent(report) ? undefined : report?.reason,
      // An agent that runs has nothing to say of why its pod is not ready.
      message: state === 'Serving' || fresh?.phase === 'running' ? undefined : fresh?.message,
      epoch: role === 'writer' ? report?.epoch : undefined,
      replayLsn: role === 'reader' ? report?.replayLsn : undefined,
      lagMs: role === 'reader' ? readerLagMs(observed, pod) : undefined,
      startedAt: report?.startedAt,
      promotionTier: fresh?.promotionTier ?? before?.promotionTier,
      cacheWarmPercent: role === 'reader' ? fresh?.cacheWarmPercent : undefined,
    });
    return [status];
  });
}

/** The endpoints of the manifest, and where each leads now. */
export function customEndpoints(observed: Observed): readonly CustomEndpointStatus[] {
  const { metadata, spec } = observed.cluster;
  return spec.endpoints.map((endpoint) => ({
    name: endpoint.name,
    address: `${endpointServiceName(metadata.name, endpoint.name)}.${clusterNamespace(observed.cluster)}.svc:${PORT.postgres}`,
    instances: planInstances(observed)
      .filter((instance) => isEndpointMember(observed, endpoint, instance) && computeState(observed, instance.pod) === 'available')
      .map(({ name }) => name),
  }));
}

/** The compute pods together, for columns and the scale subresource. */
export function computeSummary(observed: Observed, instances: readonly InstanceStatus[]): NonNullable<AuroraClusterStatus['compute']> {
  const planned = planInstances(observed);
  const ready = instances.filter(({ state }) => state === 'Serving' || state === 'Lagging').length;
  const lags = instances.flatMap(({ lagMs }) => (lagMs === undefined ? [] : [lagMs]));
  const members = readEndpointMembers(observed);
  const leaving = surplusPods(observed).map(({ metadata }) => metadata.name);
  const isServing = (instance: Instance): boolean =>
    instance.role === 'writer' ? computeState(observed, instance.pod) === 'available' : canBeRead(observed, instance);
  return present<NonNullable<AuroraClusterStatus['compute']>>({
    summary: `${ready}/${planned.length}`,
    pods: planned.filter(({ pod }) => pod !== undefined).length + surplusPods(observed).length,
    ready,
    desired: planned.length,
    selector: Object.entries(selectorLabels(observed.cluster.metadata.name, 'compute'))
      .map(([label, value]) => `${label}=${value}`)
      .join(','),
    lag: lags.length === 0 ? undefined : formatMs(Math.max(...lags)),
    leaving: leaving.length === 0 ? undefined : leaving,
    readOnly: planned.filter((instance) => members.has(instance.name) && isServing(instance)).map(({ name }) => name),
  });
}
