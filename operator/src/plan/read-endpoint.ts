import { durationMs } from '../api/duration.ts';
import { endpointLabel, LABEL } from '../api/names.ts';
import type { EndpointSpec } from '../api/types.ts';
import { isTerminating, type Labels, type Pod } from '../kube/objects.ts';
import { computeState, freshAgent, isCutOff, type Observed } from '../observed/observed.ts';
import { planInstances, readersOf, type Instance } from './plan-instances.ts';

/** Lag up to which a reader serves, in milliseconds. */
function maxLagMs({ cluster }: Observed): number {
  return durationMs(cluster.spec.readers.maxLag) ?? Infinity;
}

/**
 * How old what a reader shows is, in milliseconds: what its agent says, and at least as old as it gets no redo for,
 * since then nothing tells it what it misses. Undefined when its agent cannot be asked.
 */
export function readerLagMs(observed: Observed, pod: Pod | undefined): number | undefined {
  const report = freshAgent(observed, pod);
  if (report?.lagMs === undefined) return undefined;
  return Math.max(report.lagMs, report.cutOffSince === undefined ? 0 : observed.now - report.cutOffSince);
}

/** Milliseconds until a reader that gets no redo is too far behind; undefined when that is not to be waited for. */
export function lagLeftMs(observed: Observed, { pod, role }: Instance): number | undefined {
  const since = role === 'reader' ? freshAgent(observed, pod)?.cutOffSince : undefined;
  const leftMs = since === undefined ? 0 : since + maxLagMs(observed) - observed.now;
  return leftMs > 0 ? leftMs + 1 : undefined;
}

/**
 * Is a reader further behind than it may be? One that left NAME-ro comes back at half of the limit, so that it does not
 * go to and fro at its edge. An agent that cannot be asked says nothing of its lag: readiness alone decides then.
 */
export function isLagging(observed: Observed, { pod, role }: Instance): boolean {
  const lagMs = readerLagMs(observed, pod);
  if (role !== 'reader' || lagMs === undefined) return false;
  const isOut = pod?.metadata.labels?.[LABEL.servesReads] === 'false';
  return lagMs > (isOut ? maxLagMs(observed) / 2 : maxLagMs(observed));
}

/** Takes connections now, and is within its limit of lag. */
export function canBeRead(observed: Observed, reader: Instance): boolean {
  const { pod } = reader;
  return pod !== undefined && !isTerminating(pod) && computeState(observed, pod) === 'available' && !isLagging(observed, reader);
}

/**
 * Are clients that connect anew sent to it? Kubernetes leads them to a node that is lost for most of a minute. An only instance stays
 * where it is: there is no other to send them to.
 */
export function isReached(observed: Observed, { pod }: Instance): boolean {
  return pod === undefined || observed.computePods.length === 1 || !isCutOff(observed, pod);
}

/**
 * Names of the instances whose pods NAME-ro is to select: readers that are reached, within their lag (readiness, which a Service sees
 * by itself, is no part of it), and the writer while no reader can be read. _NAME-ro leads somewhere whenever a writer
 * takes connections._
 */
export function readEndpointMembers(observed: Observed): ReadonlySet<string> {
  const readers = readersOf(observed);
  const isServed = readers.some((reader) => canBeRead(observed, reader));
  return new Set(
    planInstances(observed)
      .filter((instance) => (instance.role === 'writer' ? !isServed : isReached(observed, instance) && !isLagging(observed, instance)))
      .map(({ name }) => name),
  );
}

/** Is an instance in one of spec.endpoints, as far as its number, its role, its lag and whether it is reached go? */
export function isEndpointMember(observed: Observed, endpoint: EndpointSpec, instance: Instance): boolean {
  const { ordinal, role } = instance;
  if (endpoint.instances !== undefined && !endpoint.instances.includes(ordinal)) return false;
  if (endpoint.excludedInstances?.includes(ordinal) === true || !isReached(observed, instance)) return false;
  return endpoint.type === 'Any' || (role === 'reader' && !isLagging(observed, instance));
}

/** Labels that the Services of spec.endpoints select this instance by. */
export function endpointLabels(observed: Observed, instance: Instance): Labels {
  return Object.fromEntries(
    observed.cluster.spec.endpoints.map((endpoint) => [
      endpointLabel(endpoint.name),
      String(isEndpointMember(observed, endpoint, instance)),
    ]),
  );
}
