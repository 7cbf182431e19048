import { instanceSettings } from '../api/instance-settings.ts';
import { ANNOTATION, computeName, computeOrdinal, LABEL } from '../api/names.ts';
import { INSTANCES_MAX } from '../api/types.ts';
import type { InstanceRole } from '../api/status-types.ts';
import { isTerminating, timeMs, type Pod } from '../kube/objects.ts';
import { freshAgent, type Observed } from '../observed/observed.ts';
import { isOwnedBy } from '../specs/metadata.ts';
import { instanceCount } from './instance-count.ts';

/** A PostgreSQL of the cluster that there is to be. Pods, Services and the status are made from a list of these. */
export interface Instance {
  /** Its pod's name, for as long as the cluster lives. */
  readonly name: string;
  /** Counts from 1. */
  readonly ordinal: number;
  readonly role: InstanceRole;
  /** What was last seen of it. */
  readonly pod: Pod | undefined;
}

/**
 * Which instance writes, or wrote last: the computes decide it through storage, and the operator believes whoever says that it
 * opened the volume for the highest epoch. Before any says so, the one that the status names; should that be lost, the one whose
 * pod is labelled so; the first of a new cluster. Any can be the writer, whatever its number.
 *
 * Invariant: it changes only for a higher epoch than that of the last one. So a writer that was overtaken, and has not
 * heard of it yet, gets nobody's connections back, and neither a silent agent nor a pod that is gone moves anything.
 */
function writerOrdinal({ cluster, computePods, agents }: Observed): number {
  const { metadata, status } = cluster;
  const ordinalOf = (name: string | undefined): number | undefined => computeOrdinal(metadata.name, name ?? '');
  const owned = computePods.filter((pod) => isOwnedBy(pod, cluster));
  const labelled = owned.find((pod) => pod.metadata.labels?.[LABEL.role] === 'writer');
  let ordinal = ordinalOf(status?.writer) ?? ordinalOf(labelled?.metadata.name) ?? 1;
  // A volume that is made anew, its data given up, counts from one again.
  let epoch = metadata.annotations?.[ANNOTATION.acceptDataLoss] === 'true' ? 0 : (status?.epoch ?? 0);
  for (const pod of owned) {
    const report = agents.get(pod.metadata.name);
    // Nobody is sent to one that has yet to become the writer: it may answer readers meanwhile.
    if (report?.role !== 'writer' || report.phase !== 'running' || report.epoch === undefined || report.epoch <= epoch) continue;
    const said = ordinalOf(pod.metadata.name);
    if (said === undefined) continue;
    epoch = report.epoch;
    ordinal = said;
  }
  return ordinal;
}

/**
 * Does an instance that is taken for the writer say itself that it reads? Then another computes' writer has overtaken it,
 * which the operator has not heard of, or which is none of this cluster's.
 */
export function isDeposed(observed: Observed, pod: Pod | undefined): boolean {
  const report = freshAgent(observed, pod);
  return report?.phase === 'running' && report.role === 'reader';
}

/**
 * Numbers of the instances that there were to be so far: those of the status, and of pods that stay. A reader that is on its way out
 * is none of them: what is decided while it goes does not bring it back.
 */
function presentOrdinals({ cluster, computePods }: Observed): ReadonlySet<number> {
  const stay = computePods.filter((pod) => isOwnedBy(pod, cluster) && !isTerminating(pod) && leavingSinceMs(pod) === undefined);
  const names = [...(cluster.status?.instances ?? []).map(({ name }) => name), ...stay.map(({ metadata }) => metadata.name)];
  return new Set(names.flatMap((name) => computeOrdinal(cluster.metadata.name, name) ?? []));
}

/** Since when a reader is on its way out, in milliseconds since 1970; undefined of one that stays. */
export function leavingSinceMs(pod: Pod): number | undefined {
  return timeMs(pod.metadata.annotations?.[ANNOTATION.leavingSince]);
}

/**
 * The instances that a cluster is to have, by ordinal, and the pod of each where there is one: the writer, and readers. _The writer
 * is among them however few there are to be._ With fewer instances readers go: those of the highest promotion tier first, so that
 * whoever is to take the writer's place goes last, and of those the highest numbers. More of them get the lowest numbers that are free.
 */
export function planInstances(observed: Observed): readonly Instance[] {
  const { cluster, computePods } = observed;
  const writer = writerOrdinal(observed);
  const tier = (ordinal: number): number => instanceSettings(cluster.spec, ordinal).promotionTier;
  const present = presentOrdinals(observed);
  const stay = [...present].sort((a, b) => tier(a) - tier(b) || a - b);
  const free = Array.from({ length: INSTANCES_MAX }, (_, index) => index + 1).filter((ordinal) => !present.has(ordinal));
  const candidates = [...stay, ...free].filter((ordinal) => ordinal !== writer);
  return [writer, ...candidates.slice(0, instanceCount(cluster) - 1)]
    .sort((a, b) => a - b)
    .map((ordinal) => {
      const name = computeName(cluster.metadata.name, ordinal);
      const pod = computePods.find(({ metadata }) => metadata.name === name);
      return { name, ordinal, role: ordinal === writer ? 'writer' : 'reader', pod };
    });
}

/** The one instance that writes. */
export function writerOf(observed: Observed): Instance {
  const writer = planInstances(observed).find(({ role }) => role === 'writer');
  if (writer === undefined) throw new TypeError('a cluster without a writer was planned');
  return writer;
}

/** The instances that read. */
export function readersOf(observed: Observed): readonly Instance[] {
  return planInstances(observed).filter(({ role }) => role === 'reader');
}

/** Pods of ours that no planned instance has: readers that are too many, on their way out, the highest number first. */
export function surplusPods(observed: Observed): readonly Pod[] {
  const { cluster, computePods } = observed;
  const { name } = cluster.metadata;
  const planned = new Set(planInstances(observed).map((instance) => instance.name));
  const ordinal = (pod: Pod): number => computeOrdinal(name, pod.metadata.name) ?? 0;
  return computePods
    .filter((pod) => isOwnedBy(pod, cluster) && ordinal(pod) > 0 && !planned.has(pod.metadata.name))
    .sort((a, b) => ordinal(b) - ordinal(a));
}
