import { createHash } from 'node:crypto';
import { durationMs } from '../api/duration.ts';
import { instanceSettings } from '../api/instance-settings.ts';
import { clusterLabels, computeName, settingsName } from '../api/names.ts';
import { splitParameters } from '../api/parameters.ts';
import { INSTANCES_MAX, type AuroraCluster } from '../api/types.ts';
import type { ConfigMap } from '../kube/objects.ts';
import { initdbOptions } from './initdb-options.ts';
import { canonicalJson, objectMetadata } from './metadata.ts';

/** Keys of the ConfigMap, which are the files that the compute agent reads (its settings/settings-files.ts). */
export const SETTINGS_KEY = {
  wanted: 'parameters.json',
  accepted: 'accepted.json',
  initdb: 'initdb.json',
  failover: 'failover.json',
} as const;

/** The PostgreSQL parameters of the manifest as the agent gets them: those that may be set, by name. */
export function wantedParameters(cluster: AuroraCluster): string {
  return canonicalJson(splitParameters(cluster.spec.postgresql.parameters).accepted);
}

/** When each instance takes a lost writer's place, what is done for that before, and how it takes it from one that lives; agents that run look at it. */
function failoverSettings({ metadata, spec }: AuroraCluster): string {
  const ordinals = Array.from({ length: INSTANCES_MAX }, (_, index) => index + 1);
  const tiers = Object.fromEntries(
    ordinals.map((ordinal) => [computeName(metadata.name, ordinal), instanceSettings(spec, ordinal).promotionTier] as const),
  );
  const { after, switchoverDrain, warmCache } = spec.failover;
  return canonicalJson({
    afterMs: durationMs(after),
    drainMs: durationMs(switchoverDrain),
    tiers,
    warmPagesPerSecond: warmCache.enabled ? warmCache.pagesPerSecond : 0,
  });
}

/** How an agent names a set of parameters in its status: 16 hex digits of its text. */
export function settingsFingerprint(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

/**
 * The ConfigMap that carries PostgreSQL's parameters into the running pod: a change of them is no change of the pod, so
 * the agent can try them, reload what needs no restart, and keep the old ones where PostgreSQL refuses. `accepted` is
 * the last set that was seen running, for a pod that starts anew while the wanted one is refused.
 */
export function settingsMap(cluster: AuroraCluster, accepted: string | undefined): ConfigMap {
  const { name } = cluster.metadata;
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: objectMetadata(cluster, { name: settingsName(name), labels: clusterLabels(name, 'compute') }),
    data: {
      [SETTINGS_KEY.wanted]: wantedParameters(cluster),
      [SETTINGS_KEY.initdb]: initdbOptions(cluster),
      [SETTINGS_KEY.failover]: failoverSettings(cluster),
      ...(accepted === undefined ? {} : { [SETTINGS_KEY.accepted]: accepted }),
    },
  };
}
