import { DEFAULTS } from './defaults.ts';
import type { AuroraClusterSpec, Resources } from './types.ts';

/** What the spec comes to for one instance. */
export interface InstanceSettings {
  readonly resources: Resources | undefined;
  readonly promotionTier: number;
}

/** What spec.instanceOverrides says of the instance of this number, and what holds for all where that says nothing. */
export function instanceSettings(spec: AuroraClusterSpec, ordinal: number): InstanceSettings {
  const own = spec.instanceOverrides.find(({ instance }) => instance === ordinal);
  return {
    resources: own?.resources ?? spec.compute.resources,
    promotionTier: own?.promotionTier ?? DEFAULTS.promotionTier,
  };
}
