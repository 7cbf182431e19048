/** What a server shows its clients, as it comes in PEM, and whether it can be used. Pure. */
import { createHash, createPrivateKey, X509Certificate } from 'node:crypto';

/** A server's certificate with the chain above it, the key to it, and whose certificates clients may log in with. */
export interface KeyPair {
  readonly certificate: string;
  readonly key: string;
  /** Undefined: no certificate of a client counts. */
  readonly clientCa: string | undefined;
  /** Of all of it: another one means that something changed. It stays in this process. */
  readonly fingerprint: string;
  /** RFC 3339: until when the certificate counts. */
  readonly notAfter: string;
}

export interface PemTexts {
  readonly certificate: string | undefined;
  readonly key: string | undefined;
  readonly clientCa: string | undefined;
}

export type ReadKeyPair =
  | { readonly kind: 'read'; readonly pair: KeyPair }
  /** Nothing is there yet. */
  | { readonly kind: 'missing'; readonly why: string }
  | { readonly kind: 'damaged'; readonly why: string };

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** The certificates of a PEM text; undefined when one of them is damaged, or there is none. */
function certificatesIn(pem: string): readonly X509Certificate[] | undefined {
  const found = pem.match(CERTIFICATE) ?? [];
  if (found.length === 0 || found.length !== pem.split('-----BEGIN ').length - 1) return undefined;
  try {
    return found.map((one) => new X509Certificate(one));
  } catch (error) {
    if (error instanceof Error) return undefined;
    throw error;
  }
}

function isKeyOf(certificate: X509Certificate, key: string): 'yes' | 'no' | 'unreadable' {
  try {
    return certificate.checkPrivateKey(createPrivateKey(key)) ? 'yes' : 'no';
  } catch (error) {
    // Also of a key with a passphrase, which nobody is there to give.
    if (error instanceof Error) return 'unreadable';
    throw error;
  }
}

/**
 * Takes a certificate only together with its key, and with the clients' CA where one was given. When a certificate counts is not
 * judged: one that has run out still encrypts, and says more to a client than none.
 */
export function readKeyPair({ certificate, key, clientCa }: PemTexts): ReadKeyPair {
  if (certificate === undefined || key === undefined)
    return { kind: 'missing', why: `there is no ${certificate === undefined ? 'tls.crt' : 'tls.key'}` };
  const chain = certificatesIn(certificate);
  const [own] = chain ?? [];
  if (own === undefined) return { kind: 'damaged', why: 'tls.crt holds no certificate in PEM, or something else beside it' };
  const isKey = isKeyOf(own, key);
  if (isKey === 'unreadable') return { kind: 'damaged', why: 'tls.key is no private key in PEM without a passphrase' };
  if (isKey === 'no') return { kind: 'damaged', why: 'tls.key is not the key to the first certificate in tls.crt' };
  if (clientCa !== undefined && certificatesIn(clientCa) === undefined)
    return { kind: 'damaged', why: "the clients' ca.crt holds no certificate in PEM, or something else beside it" };
  const fingerprint = createHash('sha256')
    .update([certificate, key, clientCa ?? ''].join('\0'))
    .digest('hex');
  return { kind: 'read', pair: { certificate, key, clientCa, fingerprint, notAfter: own.validToDate.toISOString() } };
}
