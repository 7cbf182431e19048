import { dueAt, PROGRAM_ROLES } from '@kube-aurora/identity';
import { readAuthoritySecret } from '../certificates/authority-secret.ts';
import { readLeafSecret } from '../certificates/leaf-secret.ts';
import { modeOf } from '../certificates/tls-mode.ts';
import { authoritySecretName, tlsSecretName } from '../api/names.ts';
import type { AuroraClusterStatus, CertificatesStatus } from '../api/status-types.ts';
import type { Observed } from '../observed/observed.ts';
import type { Notice, Plan } from '../plan/actions.ts';
import { bad, good, type Verdict } from './verdict.ts';

const timeOf = (ms: number): string => new Date(ms).toISOString();

/** Until when the certificates of a cluster's programs are valid; undefined before there are any. */
export function certificatesStatus({ cluster, secrets }: Observed): CertificatesStatus | undefined {
  const { name } = cluster.metadata;
  const secret = secrets.get(authoritySecretName(name));
  const held = secret === undefined ? undefined : readAuthoritySecret(secret);
  if (held === undefined) return undefined;
  const { issuer, state } = held;
  const storage = secrets.get(tlsSecretName(name, 'storage'));
  return {
    mode: storage === undefined ? 'require' : modeOf(storage).mode,
    authority: { secret: authoritySecretName(name), validUntil: timeOf(issuer.notAfter), renewedAt: timeOf(dueAt(issuer)) },
    ...(state.next === undefined && state.previous === undefined
      ? {}
      : { rotation: state.next === undefined ? ('IssuingByNew' as const) : ('Announced' as const) }),
    programs: PROGRAM_ROLES.flatMap((role) => {
      const leaf = secrets.get(tlsSecretName(name, role));
      const certificate = leaf === undefined ? undefined : readLeafSecret(leaf)?.certificate;
      return certificate === undefined ? [] : [{ role, secret: tlsSecretName(name, role), validUntil: timeOf(certificate.notAfter) }];
    }),
  };
}

/** Are they valid, and does every program use what it was given? */
export function certificatesVerdict(observed: Observed, { obstacles }: Plan): Verdict {
  const trouble = obstacles.find(({ reason }) => reason === 'CertificateTrouble');
  if (trouble !== undefined) return bad('CertificateTrouble', trouble.message);
  const status = certificatesStatus(observed);
  if (status === undefined) return bad('Creating', 'the certificates are being made');
  const ended = status.programs.filter(({ validUntil }) => Date.parse(validUntil) <= observed.now);
  if (ended.length > 0) return bad('CertificateTrouble', `certificates have ended: ${ended.map(({ secret }) => secret).join(', ')}`);
  const problems = [...observed.agents, ...observed.daemons].flatMap(([pod, { identityProblem }]) =>
    identityProblem === undefined ? [] : [`${pod} goes on with the certificates from before: ${identityProblem}`],
  );
  problems.push(...clientProblems(observed));
  if (problems.length > 0) return bad('CertificateTrouble', problems.join('; '));
  if (status.mode !== 'require')
    return bad(
      'CertificatesRotating',
      `the cluster goes over from plain text to TLS: ${status.mode === 'permit' ? 'some pods know nothing else yet' : 'plain text is still taken, and no longer spoken'}`,
    );
  if (status.rotation !== undefined)
    return bad(
      'CertificatesRotating',
      status.rotation === 'Announced'
        ? 'a new authority is being made known'
        : 'a new authority issues, and the one before is still believed',
    );
  const until = status.programs.map(({ validUntil }) => validUntil).toSorted()[0] ?? status.authority.validUntil;
  return good(`every program has a certificate, the first ends at ${until} and is renewed before`);
}

/** What instances say of the certificate that they were given to show their clients; one that is not there is made in a moment. */
function clientProblems({ cluster, secrets, agents }: Observed): readonly string[] {
  const secret = tlsSecretName(cluster.metadata.name, 'server');
  if (!secrets.has(secret)) return [];
  return [...agents].flatMap(([pod, { tls }]) => {
    if (tls === undefined || tls.message === '') return [];
    const goesOn = tls.state === 'tls' ? 'shows its clients the certificate from before' : 'takes clients without TLS';
    return [`${pod} ${goesOn}, since it cannot use Secret ${secret}: ${tls.message}`];
  });
}

/** What happened to certificates, by what changed since the last status. */
export function certificateNotices(before: AuroraClusterStatus | undefined, after: AuroraClusterStatus): readonly Notice[] {
  const [old, present] = [before?.certificates, after.certificates];
  // While a cluster comes up for the first time its Services get their addresses, and its server a certificate for them.
  if (old === undefined || present === undefined || before?.firstReadyAt === undefined) return [];
  const rotated = (message: string): readonly Notice[] => [{ type: 'Normal', reason: 'CertificatesRotated', message }];
  if (old.rotation !== present.rotation) {
    if (present.rotation === 'Announced')
      return rotated('A new certificate authority is made known; it issues once every program has had the time to see it');
    if (present.rotation === 'IssuingByNew')
      return rotated('The new certificate authority issues; the one before is believed until every program has a new certificate');
    return rotated('The certificate authority before is believed no more');
  }
  const renewed = present.programs.filter(
    ({ role, validUntil }) => old.programs.find((one) => one.role === role)?.validUntil !== validUntil,
  );
  return renewed.length === 0 ? [] : rotated(`New certificates: ${renewed.map(({ secret }) => secret).join(', ')}`);
}
