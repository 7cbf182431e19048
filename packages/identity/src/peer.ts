import type { X509Certificate } from 'node:crypto';
import { wrap, type Certificate } from './certificate.ts';
import { parseIdentityUri, type Identity } from './identity.ts';

/** What the certificate says that somebody showed us; `claims` is what it would be, were it to be believed: for people alone. */
export type PeerReading =
  | { readonly kind: 'known'; readonly identity: Identity; readonly certificate: Certificate }
  | { readonly kind: 'none' }
  | {
      readonly kind:
        | 'expired'
        | 'not-yet-valid'
        /** By no authority of the bundle: by another cluster's, by one that went with a rotation, or by anybody. */
        | 'untrusted'
        /** It says nothing of who it is in our way, or more than one thing. */
        | 'nameless';
      readonly claims: Identity | undefined;
      readonly certificate: Certificate;
    };

/**
 * Who shows this certificate, by the authorities that are believed at this moment.
 *
 * Invariant: known is only who has one that an authority of the bundle signed, both valid now, with exactly one URI, which is an identity. That
 * the other end has its key TLS has proven.
 */
export function readPeer(shown: X509Certificate | undefined, bundle: readonly Certificate[], now: number): PeerReading {
  if (shown === undefined) return { kind: 'none' };
  const certificate = wrap(shown);
  const claims = identityOf(certificate);
  // Why exactly, for whoever reads the log: an old one of ours is not a stranger's.
  if (!bundle.some((authority) => isBelieved(authority, now) && certificate.isIssuedBy(authority)))
    return { kind: 'untrusted', claims, certificate };
  if (now > certificate.notAfter) return { kind: 'expired', claims, certificate };
  if (now < certificate.notBefore) return { kind: 'not-yet-valid', claims, certificate };
  if (claims === undefined || certificate.isAuthority) return { kind: 'nameless', claims, certificate };
  return { kind: 'known', identity: claims, certificate };
}

function isBelieved(authority: Certificate, now: number): boolean {
  return authority.isAuthority && now >= authority.notBefore && now <= authority.notAfter;
}

function identityOf({ uris }: Certificate): Identity | undefined {
  const [uri, ...more] = uris;
  return uri === undefined || more.length > 0 ? undefined : parseIdentityUri(uri);
}
