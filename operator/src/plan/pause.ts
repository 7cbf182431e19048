import { ANNOTATION } from '../api/names.ts';
import type { AuroraCluster } from '../api/types.ts';
import type { ClusterPlan } from './plan.ts';

/** A person has the operator change nothing of this cluster. */
export function isPaused({ metadata }: AuroraCluster): boolean {
  return metadata.annotations?.[ANNOTATION.paused] === 'true';
}

/**
 * What is left of a plan while the operator rests: what it found, and nothing to do. Decisions that are carried out by doing something
 * later, a switchover's next step and a new number of instances, are not taken either: the status keeps what was decided before.
 */
export function atRest({ actions: _actions, switchover: _switchover, autoscaling: _autoscaling, ...found }: ClusterPlan): ClusterPlan {
  return { ...found, actions: [] };
}
