import { CONNECTIONS_TARGET_MAX, CPU_TARGET_MAX } from './autoscaling-schema.ts';
import { COOLDOWN_MAX } from './defaults.ts';
import { durationMs } from './duration.ts';
import { INSTANCES_MAX, type AuroraClusterSpec } from './types.ts';

const isWholeWithin = (value: number, min: number, max: number): boolean => Number.isInteger(value) && value >= min && value <= max;

/** What is wrong with spec.autoscaling, by field, and what would be right: as the schema says it, for an API server that had an older one. */
export function* autoscalingProblems({ autoscaling, instances }: AuroraClusterSpec): Generator<readonly [string, string]> {
  if (autoscaling === undefined) return;
  const { minInstances, maxInstances, target } = autoscaling;
  for (const [name, value] of Object.entries({ minInstances, maxInstances })) {
    if (!isWholeWithin(value, 2, INSTANCES_MAX))
      yield [
        `spec.autoscaling.${name}`,
        `${value} cannot be: what is measured are readers; use 2, a writer and a reader, to ${INSTANCES_MAX}`,
      ];
  }
  if (minInstances > maxInstances)
    yield ['spec.autoscaling.minInstances', `${minInstances} is above maxInstances ${maxInstances}; lower it, or raise that`];
  if (instances > maxInstances)
    yield ['spec.instances', `${instances} is above spec.autoscaling.maxInstances ${maxInstances}; lower it, or raise that`];
  const { connections, cpuUtilization } = target;
  if (connections === undefined && cpuUtilization === undefined)
    yield ['spec.autoscaling.target', 'names nothing that readers are to have; use connections, cpuUtilization, or both'];
  if (connections !== undefined && !isWholeWithin(connections, 1, CONNECTIONS_TARGET_MAX))
    yield ['spec.autoscaling.target.connections', `${connections} is no target; use a number from 1 to ${CONNECTIONS_TARGET_MAX}`];
  if (cpuUtilization !== undefined && !isWholeWithin(cpuUtilization, 1, CPU_TARGET_MAX))
    yield ['spec.autoscaling.target.cpuUtilization', `${cpuUtilization} is no percentage; use a number from 1 to ${CPU_TARGET_MAX}`];
  const { scaleOutCooldown, scaleInCooldown } = autoscaling;
  for (const [name, value] of Object.entries({ scaleOutCooldown, scaleInCooldown })) {
    if (durationMs(value) === undefined) yield [`spec.autoscaling.${name}`, `'${value}' is not a duration; use for example 60s or 5m`];
    else if ((durationMs(value) ?? 0) > (durationMs(COOLDOWN_MAX) ?? 0))
      yield [`spec.autoscaling.${name}`, `'${value}' is too long: nothing would be scaled for all that time; use at most ${COOLDOWN_MAX}`];
  }
}
