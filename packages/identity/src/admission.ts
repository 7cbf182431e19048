import { identityUri, type Identity, type ProgramRole } from './identity.ts';
import type { PeerReading } from './peer.ts';

export type RefusalReason = 'no-certificate' | 'expired' | 'not-yet-valid' | 'untrusted' | 'no-identity' | 'other-cluster' | 'wrong-role';

export interface Refusal {
  readonly kind: 'refused';
  readonly reason: RefusalReason;
  /** Who it was, as far as its certificate says: for the log. */
  readonly who: string;
  readonly message: string;
}

export type Admission = { readonly kind: 'admitted'; readonly identity: Identity } | Refusal;

/**
 * May somebody with this certificate be spoken to by a program of the cluster `own`, as one of these roles?
 *
 * Invariant: admitted is nobody but who proved to be of the same namespace and cluster, in one of the roles.
 */
export function authorizePeer(reading: PeerReading, own: Identity, roles: readonly ProgramRole[]): Admission {
  const refused = (reason: RefusalReason, message: string): Refusal => ({ kind: 'refused', reason, who: whoOf(reading), message });
  if (reading.kind === 'none') return refused('no-certificate', 'it showed no certificate');
  const identity = reading.kind === 'known' ? reading.identity : reading.claims;
  // First: another cluster's is refused as that, whatever else is wrong with it.
  if (identity !== undefined && (identity.namespace !== own.namespace || identity.cluster !== own.cluster))
    return refused(
      'other-cluster',
      `it is of cluster ${identity.namespace}/${identity.cluster}, and this is ${own.namespace}/${own.cluster}`,
    );
  switch (reading.kind) {
    case 'expired':
      return refused('expired', `its certificate ended at ${timeOf(reading.certificate.notAfter)}`);
    case 'not-yet-valid':
      return refused('not-yet-valid', `its certificate begins at ${timeOf(reading.certificate.notBefore)}: one of the two clocks is wrong`);
    case 'untrusted':
      return refused(
        'untrusted',
        'no authority that is believed here has signed its certificate: it is from before a rotation, or of somebody else',
      );
    case 'nameless':
      return refused('no-identity', 'its certificate does not say who it is: it needs one URI, as spiffe://kube-aurora.dev/ns/…');
    case 'known':
      if (!roles.includes(reading.identity.role))
        return refused('wrong-role', `it is ${reading.identity.role}, and here only ${roles.join(' or ')} may be`);
      return { kind: 'admitted', identity: reading.identity };
  }
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString();
}

function whoOf(reading: PeerReading): string {
  if (reading.kind === 'none') return 'nobody knows who';
  if (reading.kind === 'known') return identityUri(reading.identity);
  const { claims, certificate } = reading;
  return claims === undefined
    ? `somebody with the certificate of '${certificate.subject}'`
    : `somebody who says to be ${identityUri(claims)}`;
}
