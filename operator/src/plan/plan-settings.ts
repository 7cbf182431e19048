import { tlsSecretName, settingsName, tokenReviewSecretName } from '../api/names.ts';
import type { SpecProblem } from '../api/validate.ts';
import { isTerminating, type ConfigMap } from '../kube/objects.ts';
import { RESOURCE } from '../kube/resources.ts';
import { freshAgent, type Observed } from '../observed/observed.ts';
import { covers, fingerprint, hasMetadata } from '../specs/metadata.ts';
import { appCredentials, superuserCredentials } from '../specs/secrets.ts';
import {
  SETTINGS_KEY,
  settingsFingerprint,
  settingsMap,
  wantedParameters,
  wantedRules,
  type AcceptedSettings,
} from '../specs/settings-map.ts';
import { EMPTY_PLAN, type Plan } from './actions.ts';
import { writerOf } from './plan-instances.ts';

/** PostgreSQL's parameters, and who may log in, on their way to the agent. */
export function planSettings(observed: Observed): Plan {
  const live = observed.configMaps.get(settingsName(observed.cluster.metadata.name));
  if (live !== undefined && isTerminating(live)) return EMPTY_PLAN;
  const desired = settingsMap(observed.cluster, acceptedSettings(observed, live));
  if (live !== undefined && hasMetadata(live.metadata, desired.metadata) && covers(live.data, desired.data)) return EMPTY_PLAN;
  return { ...EMPTY_PLAN, actions: [{ kind: 'apply', resource: RESOURCE.configMaps, object: desired, live }] };
}

/**
 * What was seen in force last. It only ever becomes what an agent says it runs with, so it is known to work; what was recorded
 * before stays until then.
 */
function acceptedSettings(observed: Observed, live: ConfigMap | undefined): AcceptedSettings {
  const report = freshAgent(observed, writerOf(observed).pod);
  const seen = (wanted: string, accepted: string, running: string | undefined): string | undefined => {
    const delivered = live?.data?.[wanted];
    return delivered !== undefined && running === settingsFingerprint(delivered) ? delivered : live?.data?.[accepted];
  };
  return {
    parameters: seen(SETTINGS_KEY.wanted, SETTINGS_KEY.accepted, report?.settings?.running),
    rules: seen(SETTINGS_KEY.rules, SETTINGS_KEY.acceptedRules, report?.loginRules?.running),
  };
}

/** What the agent says of the parameters that are wanted now; undefined when it has not seen them yet. */
export function settingsVerdict(observed: Observed): { readonly state: string; readonly message: string } | undefined {
  const settings = freshAgent(observed, writerOf(observed).pod)?.settings;
  return settings?.wanted === settingsFingerprint(wantedParameters(observed.cluster)) ? settings : undefined;
}

/** Parameters that PostgreSQL itself refuses: what ran before goes on. */
export function settingsProblems(observed: Observed): readonly SpecProblem[] {
  const verdict = settingsVerdict(observed);
  if (verdict?.state === 'applied' && verdict.message !== '')
    return [
      { field: 'spec.postgresql.parameters', message: `are in force but for ${verdict.message}`, reason: 'ParameterRefused', fatal: false },
    ];
  if (verdict?.state !== 'refused') return [];
  const words = verdict.message === '' ? 'PostgreSQL does not start with them' : verdict.message;
  return [
    {
      field: 'spec.postgresql.parameters',
      message: `are refused by PostgreSQL, and those before stay in force: ${words}`,
      reason: 'ParameterRefused',
      fatal: false,
    },
  ];
}

/** Lines of pg_hba that PostgreSQL itself refuses: those that held before go on. */
export function loginRuleProblems(observed: Observed): readonly SpecProblem[] {
  const rules = freshAgent(observed, writerOf(observed).pod)?.loginRules;
  if (rules?.wanted !== settingsFingerprint(wantedRules(observed.cluster)) || rules.state !== 'refused') return [];
  const before = rules.running === undefined ? 'nobody is let in from the network' : 'those before stay in force';
  return [
    {
      field: 'spec.postgresql.pg_hba',
      message: `is refused by PostgreSQL, and ${before}: ${rules.message}`,
      reason: 'LoginRulesRefused',
      fatal: false,
    },
  ];
}

/** A first database that cannot be made as the manifest wants it. */
export function initdbProblems(observed: Observed): readonly SpecProblem[] {
  const report = freshAgent(observed, writerOf(observed).pod);
  if (report?.phase !== 'bootstrapping' || report.reason !== 'initdbRefused') return [];
  const message = `cannot be carried out: ${report.message ?? 'initdb says no more'}; correct it, nothing is lost`;
  return [{ field: 'spec.bootstrap.initdb', message, reason: 'BootstrapRefused', fatal: false }];
}

/**
 * Stands for the versions of everything that is mounted into a compute pod and may change while it runs. Written to the
 * pod's annotations: a change of the pod makes its kubelet look at once, where a mount alone may wait for a minute.
 * Versions and not contents, since a digest of a password could be guessed at.
 */
export function mountedVersions(observed: Observed): string {
  const { cluster } = observed;
  const clientCa = cluster.spec.certificates.clientCASecret?.name;
  const objects = [
    observed.configMaps.get(settingsName(cluster.metadata.name)),
    ...[
      ...[superuserCredentials(cluster), appCredentials(cluster)].map(({ secretName }) => secretName),
      tlsSecretName(cluster.metadata.name, 'server'),
      ...(clientCa === undefined ? [] : [clientCa]),
      ...(cluster.spec.postgresql.logins.length === 0 ? [] : [tokenReviewSecretName(cluster.metadata.name)]),
    ].map((secretName) => observed.secrets.get(secretName)),
  ];
  return fingerprint(objects.map((object) => object?.metadata.resourceVersion ?? ''));
}
