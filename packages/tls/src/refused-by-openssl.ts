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

/** What an alert or a broken handshake means; the code, which programs may go by, is logged beside it. */
const HANDSHAKES: ReadonlyMap<string, string> = new Map([
  ['ERR_SSL_WRONG_VERSION_NUMBER', 'what it speaks is no TLS'],
  ['ERR_SSL_UNSUPPORTED_PROTOCOL', 'it speaks a version of TLS that is too old'],
  ['ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION', 'it does not speak the version of TLS that is spoken here'],
  ['ERR_SSL_NO_SHARED_CIPHER', 'there is no cipher that both ends know'],
  ['ERR_SSL_NO_APPLICATION_PROTOCOL', 'it wants to speak another protocol than the one of this port'],
  ['ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL', 'it speaks another protocol than the one that was wanted'],
  ['ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE', 'it shows no certificate, and here everybody says who it is'],
  ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', 'it wants a certificate, and was shown none'],
  ['ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', 'it does not believe the authority of our certificate'],
  ['ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE', 'it does not take our certificate'],
  ['ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN', 'it does not take our certificate'],
  ['ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED', 'our certificate has run out, it says'],
  ['ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE', 'it found nothing that both ends can speak'],
]);

/** What is to be said of it, without OpenSSL's words, which name files and lines of its source. */
export function refusalInWords(reason: RefusalReason | 'handshake', code: unknown): string {
  switch (reason) {
    case 'expired':
      return 'its certificate has run out';
    case 'not-yet-valid':
      return 'its certificate is not valid yet: do the clocks of both machines agree?';
    case 'handshake':
      return HANDSHAKES.get(String(code)) ?? 'the TLS handshake with it failed';
    default:
      return 'its certificate comes from no authority that is believed here';
  }
}

/** Why OpenSSL gave up a connection, by the error's code; undefined when that has nothing to do with who is at the other end. */
export function refusalOfError(code: unknown): RefusalReason | 'handshake' | undefined {
  if (code === 'CERT_HAS_EXPIRED') return 'expired';
  if (code === 'CERT_NOT_YET_VALID') return 'not-yet-valid';
  if (UNTRUSTED.has(code)) return 'untrusted';
  return typeof code === 'string' && code.startsWith('ERR_SSL_') ? 'handshake' : undefined;
}
