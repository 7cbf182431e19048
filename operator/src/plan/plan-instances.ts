import { computeName } from '../api/names.ts';
import type { InstanceRole } from '../api/types.ts';
import type { Pod } from '../kube/objects.ts';
import type { Observed } from '../observed/observed.ts';

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

/** What spec.replicas allows in this release: one instance, which writes. */
const WANTED: readonly Pick<Instance, 'ordinal' | 'role'>[] = [{ ordinal: 1, role: 'writer' }];

/** The instances that a cluster is to have, and the pod of each where there is one. */
export function planInstances({ cluster, computePods }: Observed): readonly Instance[] {
  return WANTED.map(({ ordinal, role }) => {
    const name = computeName(cluster.metadata.name, ordinal);
    return { name, ordinal, role, pod: computePods.find(({ metadata }) => metadata.name === name) };
  });
}

/** The one instance that writes. */
export function writerOf(observed: Observed): Instance {
  const writer = planInstances(observed).find(({ role }) => role === 'writer');
  if (writer === undefined) throw new TypeError('a cluster without a writer was planned');
  return writer;
}
