import type { RefusalReason } from '@kube-aurora/identity';

/** Codes of X509_verify_cert_error_string, as Node names them, that say that a chain leads to nobody whom we believe. */
const UNTRUSTED: ReadonlySet<unknown> = new Set([
  'CERT_REJECTED',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'INVALID_CA',
  'INVALID_PURPOSE',
  'PATH_LENGTH_EXCEEDED',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

/** Why OpenSSL gave up a connection, by the error's code; undefined when that has nothing to do with who is at the other end. */
export function refusalOfError(code: unknown): RefusalReason | 'handshake' | undefined {
  if (code === 'CERT_HAS_EXPIRED') return 'expired';
  if (code === 'CERT_NOT_YET_VALID') return 'not-yet-valid';
  if (UNTRUSTED.has(code)) return 'untrusted';
  return typeof code === 'string' && code.startsWith('ERR_SSL_') ? 'handshake' : undefined;
}
