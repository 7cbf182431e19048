import { nextRotationStep, PROGRAM_ROLES, type Authority, type ProgramRole } from '@kube-aurora/identity';
import { readAuthoritySecret, readGivenAuthority } from '../certificates/authority-secret.ts';
import { SKEW_MS } from '../certificates/issuing.ts';
import {
  hasBundle,
  leafIdentity,
  leafNames,
  leafSecret,
  readLeafSecret,
  reissueBecause,
  type ToldMode,
} from '../certificates/leaf-secret.ts';
import { isPlainPod, modeOf, nextMode } from '../certificates/tls-mode.ts';
import { ANNOTATION, authoritySecretName, tlsSecretName } from '../api/names.ts';
import { isTerminating, type Secret } from '../kube/objects.ts';
import { RESOURCE } from '../kube/resources.ts';
import { hasMetadata } from '../specs/metadata.ts';
import type { Observed } from '../observed/observed.ts';
import type { Action, Obstacle, Plan } from './actions.ts';

/** The longest that a timer can wait is less than a month: a look now and then costs nothing. */
const LOOK_MS = 12 * 3_600_000;

/**
 * The certificates of a cluster's programs: its authority, and what each of them shows.
 *
 * Invariant: nothing is issued by an authority, and none is believed no more, before everybody has had the time to see the step before
 * (`nextRotationStep`).
 */
export function planCertificates(observed: Observed, spreadMs: number): Plan {
  const { cluster, now, secrets } = observed;
  const { name } = cluster.metadata;
  const asked = cluster.metadata.annotations?.[ANNOTATION.rotateCertificates];
  const obstacles: Obstacle[] = [];
  const told = toldMode(observed, spreadMs);
  const issue = (role: ProgramRole, secret: Secret | undefined, why: string): Action => {
    const names = leafNames(cluster, role, observed.services);
    return { kind: 'issue-certificate', role, names, mode: told, live: secret, why };
  };
  const { problem, given } = givenAuthority(observed);
  if (problem !== undefined) obstacles.push({ reason: 'CertificateTrouble', message: problem, blocking: false });
  const live = secrets.get(authoritySecretName(name));
  if (live === undefined) {
    // Without the one that the manifest names there is none: a cluster must not begin with another.
    if (problem !== undefined) return { actions: [], obstacles, outdated: [] };
    const leaves = PROGRAM_ROLES.filter((role) => secrets.get(tlsSecretName(name, role)) === undefined);
    return {
      actions: [{ kind: 'create-authority', given, asked }, ...leaves.map((role): Action => issue(role, undefined, 'it is not there'))],
      obstacles,
      outdated: [],
    };
  }
  if (isTerminating(live)) return { actions: [], obstacles, outdated: [] };
  const held = readAuthoritySecret(live);
  if (held === undefined) {
    const message = `Secret ${live.metadata.name} holds no authority with its key: programs keep the certificates that they have; put it back, or delete it and all NAME-*-tls Secrets for a new one (then every pod must be restarted)`;
    return { actions: [], obstacles: [...obstacles, { reason: 'CertificateTrouble', message, blocking: false }], outdated: [] };
  }
  const { state, issuer, believed } = held;
  const actions: Action[] = [];
  let leavesSince: number | undefined = 0;
  for (const role of PROGRAM_ROLES) {
    const secret = secrets.get(tlsSecretName(name, role));
    if (secret !== undefined && isTerminating(secret)) continue;
    const names = leafNames(cluster, role, observed.services);
    const why = reissueBecause(secret, { identity: leafIdentity(cluster, role), names, issuer, now });
    const leaf = secret === undefined ? undefined : readLeafSecret(secret);
    if (secret === undefined || leaf === undefined || why !== undefined) {
      actions.push(issue(role, secret, why ?? 'it is not there'));
      leavesSince = undefined;
      continue;
    }
    if (leavesSince !== undefined) leavesSince = Math.max(leavesSince, leaf.certificate.notBefore + SKEW_MS);
    const object = leafSecret(cluster, role, { certificate: leaf.certificate.pem, key: leaf.key }, believed, told);
    const isCurrent = hasBundle(secret, believed) && modeOf(secret).mode === told.mode && hasMetadata(secret.metadata, object.metadata);
    if (!isCurrent) actions.push({ kind: 'apply', resource: RESOURCE.secrets, object, live: secret });
  }
  const step = nextRotationStep(state, { now, spreadMs, asked, given, leavesSince });
  // One that is given and cannot be used: ours is no substitute for it.
  // Before everybody requires TLS there is a step to come.
  const lookMs = told.mode === 'prefer' ? spreadMs : LOOK_MS;
  if (step.kind === 'none' || (step.kind === 'announce' && problem !== undefined))
    return { actions, obstacles, outdated: [], againInMs: lookMs };
  if (step.kind === 'wait') return { actions, obstacles, outdated: [], againInMs: Math.min(step.ms, lookMs) };
  return { actions: [...actions, { kind: 'step-authority', step, asked, live }], obstacles, outdated: [] };
}

/** How programs are to speak from now on. */
function toldMode(observed: Observed, spreadMs: number): ToldMode {
  const { cluster, now, secrets } = observed;
  const secret = secrets.get(tlsSecretName(cluster.metadata.name, 'storage'));
  const current = secret === undefined ? undefined : modeOf(secret);
  const somePodIsPlain = [...observed.storagePods.values(), ...observed.computePods].some(isPlainPod);
  const mode = nextMode({ current, somePodIsPlain, now, spreadMs });
  return { mode, sinceMs: current?.mode === mode ? current.sinceMs : now };
}

/** The authority that the manifest names, if it names one, and what is wrong with it. */
export function givenAuthority(observed: Observed): { readonly problem?: string; readonly given?: Authority } {
  const given = observed.cluster.spec.certificates.authoritySecret?.name;
  if (given === undefined) return {};
  const reading = readGivenAuthority(given, observed.secrets.get(given));
  return reading.kind === 'usable' ? { given: reading.authority } : { problem: `spec.certificates.authoritySecret: ${reading.problem}` };
}
