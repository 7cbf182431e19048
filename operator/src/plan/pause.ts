import { ANNOTATION } from '../api/names.ts';
import type { AuroraCluster } from '../api/types.ts';
import type { Plan } from './actions.ts';

/** A person has the operator change nothing of this cluster. */
export function isPaused({ metadata }: AuroraCluster): boolean {
  return metadata.annotations?.[ANNOTATION.paused] === 'true';
}

/**
 * What is left of a plan while the operator rests: what it found, and nothing to do. Decisions that are carried out by doing something
 * later, a switchover's next step and a new number of instances, are not taken either: the status keeps what was decided before.
 */
export function atRest<P extends Plan & { readonly switchover?: unknown; readonly autoscaling?: unknown }>(
  plan: P,
): Omit<P, 'switchover' | 'autoscaling'> {
  const { switchover: _switchover, autoscaling: _autoscaling, ...found } = plan;
  return { ...found, actions: [] };
}
