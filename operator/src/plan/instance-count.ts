import type { AuroraCluster, AuroraClusterSpec } from '../api/types.ts';

/**
 * With spec.autoscaling, how many instances there may be. spec.instances is a floor beside minInstances, so that whoever expects a
 * rush raises it beforehand with kubectl scale.
 */
export function instanceBounds({ instances, autoscaling }: AuroraClusterSpec): { readonly min: number; readonly max: number } | undefined {
  if (autoscaling === undefined) return undefined;
  const { minInstances, maxInstances } = autoscaling;
  return { min: Math.min(Math.max(minInstances, instances), maxInstances), max: maxInstances };
}

/** How many instances a cluster is to have: what was last decided, which its status keeps, within what the spec allows. */
export function instanceCount({ spec, status }: AuroraCluster): number {
  const bounds = instanceBounds(spec);
  if (bounds === undefined) return spec.instances;
  return Math.min(Math.max(status?.autoscaling?.desiredInstances ?? spec.instances, bounds.min), bounds.max);
}
