import { createHash } from 'node:crypto';
import { durationMs } from '../api/duration.ts';
import { instanceSettings } from '../api/instance-settings.ts';
import { loginAudience, namespaceOf } from '../api/logins.ts';
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
  rules: 'pg_hba.json',
  acceptedRules: 'accepted-pg_hba.json',
  initdb: 'initdb.json',
  failover: 'failover.json',
  logins: 'logins.json',
} as const;

/** The PostgreSQL parameters of the manifest as the agent gets them: those that may be set, by name. */
export function wantedParameters(cluster: AuroraCluster): string {
  return canonicalJson(splitParameters(cluster.spec.postgresql.parameters).accepted);
}

/** In the words of pg_hba.conf; the second is for what the shim refuses anyway, before its password is checked. */
const WITHOUT_TLS = ['hostnossl all all all reject', 'hostnossl replication all all reject'];

/** Who may log in, as the agent gets it: lines of pg_hba.conf that stand before those for everybody. */
export function wantedRules({ spec: { postgresql } }: AuroraCluster): string {
  return JSON.stringify([...(postgresql.requireTLS ? WITHOUT_TLS : []), ...postgresql.pg_hba]);
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

/** Who may log in by a token, as the agent gets it. */
function wantedLogins(cluster: AuroraCluster): string {
  return canonicalJson({
    audience: loginAudience(cluster),
    logins: cluster.spec.postgresql.logins.map((login) => ({
      namespace: namespaceOf(login, cluster),
      serviceAccount: login.serviceAccount,
      role: login.role,
      allowSuperuser: login.allowSuperuser ?? false,
    })),
  });
}

/** How an agent names a set of parameters in its status: 16 hex digits of its text. */
export function settingsFingerprint(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

/** What was seen in force last; the agent's own texts. */
export interface AcceptedSettings {
  readonly parameters: string | undefined;
  readonly rules: string | undefined;
}

/**
 * The ConfigMap that carries PostgreSQL's parameters, and who may log in, into the running pod: a change of them is no change of the pod, so
 * the agent can try them, reload what needs no restart, and keep the old ones where PostgreSQL refuses. `accepted` is
 * what was seen in force last, for a pod that starts anew while what is wanted is refused.
 */
export function settingsMap(cluster: AuroraCluster, accepted: AcceptedSettings): ConfigMap {
  const { name } = cluster.metadata;
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: objectMetadata(cluster, { name: settingsName(name), labels: clusterLabels(name, 'compute') }),
    data: {
      [SETTINGS_KEY.wanted]: wantedParameters(cluster),
      [SETTINGS_KEY.initdb]: initdbOptions(cluster),
      [SETTINGS_KEY.failover]: failoverSettings(cluster),
      [SETTINGS_KEY.rules]: wantedRules(cluster),
      [SETTINGS_KEY.logins]: wantedLogins(cluster),
      ...(accepted.parameters === undefined ? {} : { [SETTINGS_KEY.accepted]: accepted.parameters }),
      ...(accepted.rules === undefined ? {} : { [SETTINGS_KEY.acceptedRules]: accepted.rules }),
    },
  };
}
