import { createPrivateKey, X509Certificate } from 'node:crypto';
import type { Validity } from './validity.ts';

/** A certificate that was read. Nothing is said of whether anybody should believe it. */
export interface Certificate extends Validity {
  readonly pem: string;
  /** For people. */
  readonly subject: string;
  /** SHA-256 of the whole certificate: two that are alike in this are one. */
  readonly fingerprint: string;
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
  readonly uris: readonly string[];
  readonly isAuthority: boolean;
  /** Was it signed by the key of this authority? By names, key identifiers and the signature itself; times are not looked at. */
  readonly isIssuedBy: (authority: Certificate) => boolean;
  /** Does this private key (PEM) belong to it? */
  readonly hasKey: (key: string) => boolean;
}

const natives = new WeakMap<Certificate, X509Certificate>();

/** Reads one certificate, PEM or DER. Undefined when it is none. */
export function readCertificate(encoded: string | Uint8Array): Certificate | undefined {
  try {
    return wrap(new X509Certificate(encoded));
  } catch {
    // Whatever OpenSSL says of it: it is no certificate.
    return undefined;
  }
}

const PEM_BLOCK = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g;

/** Those of a PEM bundle that can be read, each once. */
export function readCertificates(bundle: string): readonly Certificate[] {
  const all = (bundle.match(PEM_BLOCK) ?? []).flatMap((pem) => readCertificate(pem) ?? []);
  return all.filter(({ fingerprint }, at) => all.findIndex((one) => one.fingerprint === fingerprint) === at);
}

/** A certificate that was read by somebody else, TLS say. */
export function wrap(native: X509Certificate): Certificate {
  const names = alternativeNames(native.subjectAltName ?? '');
  const namesOf = (kind: string): readonly string[] => names.filter((name) => name.kind === kind).map(({ value }) => value);
  // By the fingerprint of who may have issued it: signatures are slow to verify, and nothing changes what they say.
  const verdicts = new Map<string, boolean>();
  const certificate: Certificate = {
    pem: native.toString(),
    subject: native.subject.replaceAll('\n', ', '),
    fingerprint: native.fingerprint256,
    notBefore: native.validFromDate.getTime(),
    notAfter: native.validToDate.getTime(),
    dnsNames: namesOf('DNS'),
    ipAddresses: namesOf('IP Address'),
    uris: namesOf('URI'),
    isAuthority: native.ca,
    isIssuedBy: (authority) => {
      const known = verdicts.get(authority.fingerprint);
      if (known !== undefined) return known;
      const issuer = natives.get(authority);
      const verdict = issuer !== undefined && native.checkIssued(issuer) && native.verify(issuer.publicKey);
      verdicts.set(authority.fingerprint, verdict);
      return verdict;
    },
    hasKey: (key) => isKeyOf(native, key),
  };
  natives.set(certificate, native);
  return certificate;
}

function isKeyOf(native: X509Certificate, key: string): boolean {
  try {
    return native.checkPrivateKey(createPrivateKey(key));
  } catch {
    // No key at all is not its key.
    return false;
  }
}

/**
 * Node writes them as `DNS:a.b, URI:spiffe://x/y`; a value that could be taken for more than one stands in quotes, as JSON (Node's
 * documentation of x509.subjectAltName).
 */
function alternativeNames(text: string): readonly { readonly kind: string; readonly value: string }[] {
  const names: { kind: string; value: string }[] = [];
  for (const [, kind = '', quoted, plain = ''] of text.matchAll(/(?:^|, )([^:,"]+):(?:("(?:[^"\\]|\\.)*")|([^,"]*))(?=, |$)/gy)) {
    if (quoted === undefined) names.push({ kind, value: plain });
    else {
      const value: unknown = JSON.parse(quoted);
      if (typeof value === 'string') names.push({ kind, value });
    }
  }
  return names;
}
