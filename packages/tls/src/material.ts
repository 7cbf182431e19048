import { identityUri, parseIdentityUri, readCertificates, type Certificate, type Identity } from '@kube-aurora/identity';

/** What a mounted Secret of type kubernetes.io/tls holds, and one key of our own. */
export const TLS_FILES = { certificate: 'tls.crt', key: 'tls.key', authorities: 'ca.crt', mode: 'mode' } as const;

/**
 * How a program speaks while a cluster goes over from plain text: `permit` calls in plain text and is called either way, `prefer` calls in TLS
 * and is called either way, `require` is TLS alone.
 */
export const TLS_MODES = ['permit', 'prefer', 'require'] as const;
export type TlsMode = (typeof TLS_MODES)[number];

/** A program's certificate and key, whom it believes, and how it speaks. */
export interface Material {
  readonly certificate: Certificate;
  /** PEM. */
  readonly key: string;
  readonly authorities: readonly Certificate[];
  /** Who we are, by our own certificate. */
  readonly own: Identity;
  readonly mode: TlsMode;
  /** The same text is the same material. */
  readonly fingerprint: string;
}

export type MaterialReading =
  | { readonly kind: 'usable'; readonly material: Material }
  /** For people: which file is wrong, and how. */
  | { readonly kind: 'unusable'; readonly problem: string };

/** The texts of the files; undefined: it is not there. */
export type MaterialFiles = { readonly [F in keyof typeof TLS_FILES]: string | undefined };

/**
 * What the files hold, if they belong together: they are changed one after another, and a key of one certificate with another one is nothing.
 * Whether it is valid at this moment is not asked: others tell, and an expired one of ours may be all there is.
 */
export function readMaterial(files: MaterialFiles): MaterialReading {
  const unusable = (problem: string): MaterialReading => ({ kind: 'unusable', problem });
  for (const file of ['certificate', 'key', 'authorities'] as const)
    if (files[file] === undefined) return unusable(`${TLS_FILES[file]} is not there`);
  const { key = '', authorities: bundle = '', mode: said } = files;
  const [certificate] = readCertificates(files.certificate ?? '');
  if (certificate === undefined) return unusable(`${TLS_FILES.certificate} is no certificate`);
  if (!certificate.hasKey(key)) return unusable(`${TLS_FILES.key} is not the key of ${TLS_FILES.certificate}`);
  const authorities = readCertificates(bundle).filter(({ isAuthority }) => isAuthority);
  if (authorities.length === 0) return unusable(`${TLS_FILES.authorities} has no authority`);
  if (!authorities.some((authority) => certificate.isIssuedBy(authority)))
    return unusable(`${TLS_FILES.certificate} was issued by no authority of ${TLS_FILES.authorities}: nobody would believe it`);
  const own = certificate.uris.length === 1 ? parseIdentityUri(certificate.uris[0] ?? '') : undefined;
  if (own === undefined)
    return unusable(
      `${TLS_FILES.certificate} does not say who we are: it needs one URI, as ${identityUri({ namespace: 'x', cluster: 'y', role: 'storage' })}`,
    );
  const mode = TLS_MODES.find((one) => one === (said ?? 'require').trim());
  if (mode === undefined) return unusable(`${TLS_FILES.mode} must be one of ${TLS_MODES.join(', ')}`);
  const fingerprint = [certificate.fingerprint, ...authorities.map((one) => one.fingerprint), mode].join(' ');
  return { kind: 'usable', material: { certificate, key, authorities, own, mode, fingerprint } };
}
