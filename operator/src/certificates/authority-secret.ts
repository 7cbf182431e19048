import { authoritiesOf, readCertificate, type Authority, type AuthorityState, type Certificate } from '@kube-aurora/identity';
import { ANNOTATION, authoritySecretName, clusterLabels } from '../api/names.ts';
import type { AuroraCluster } from '../api/types.ts';
import type { Secret } from '../kube/objects.ts';
import { objectMetadata } from '../specs/metadata.ts';
import { decodeText, encodeText } from '../specs/secrets.ts';
import { readOnce } from './read-once.ts';

/** The cluster's authorities as the Secret NAME-ca keeps them: only the operator reads it. */
export function authoritySecret(cluster: AuroraCluster, state: AuthorityState): Secret {
  const { issuing, next, previous, steppedAt, asked } = state;
  const keys = {
    'ca.crt': issuing.certificate,
    'ca.key': issuing.key,
    ...(next === undefined ? {} : { 'next.crt': next.certificate, 'next.key': next.key }),
    ...(previous === undefined ? {} : { 'previous.crt': previous }),
  };
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: objectMetadata(cluster, {
      name: authoritySecretName(cluster.metadata.name),
      labels: clusterLabels(cluster.metadata.name, 'storage'),
      annotations: {
        [ANNOTATION.rotationStepAt]: new Date(steppedAt).toISOString(),
        ...(asked === undefined ? {} : { [ANNOTATION.rotateCertificates]: asked }),
      },
    }),
    type: 'Opaque',
    data: Object.fromEntries(Object.entries(keys).map(([key, text]) => [key, encodeText(text)])),
  };
}

/** Authorities that were read: which one issues, and all that are believed. */
export interface HeldAuthorities {
  readonly state: AuthorityState;
  readonly issuer: Certificate;
  readonly believed: readonly Certificate[];
}

/** Undefined when it holds no authority that could sign anything. */
export const readAuthoritySecret = readOnce((secret: Secret): HeldAuthorities | undefined => {
  const state = authorityState(secret);
  if (state === undefined) return undefined;
  const believed = authoritiesOf(state);
  const [issuer] = believed;
  return issuer === undefined ? undefined : { state, issuer, believed };
});

function authorityState({ metadata, data }: Secret): AuthorityState | undefined {
  const text = (key: string): string | undefined => (data?.[key] === undefined ? undefined : decodeText(data[key]));
  const issuing = authorityOf(text('ca.crt'), text('ca.key'));
  if (issuing === undefined) return undefined;
  const next = authorityOf(text('next.crt'), text('next.key'));
  const previous = text('previous.crt');
  const at = Date.parse(metadata.annotations?.[ANNOTATION.rotationStepAt] ?? '');
  const asked = metadata.annotations?.[ANNOTATION.rotateCertificates];
  return {
    issuing,
    ...(next === undefined ? {} : { next }),
    ...(previous === undefined ? {} : { previous }),
    steppedAt: Number.isNaN(at) ? 0 : at,
    ...(asked === undefined ? {} : { asked }),
  };
}

export type GivenAuthority =
  | { readonly kind: 'usable'; readonly authority: Authority }
  /** For people. */
  | { readonly kind: 'unusable'; readonly problem: string };

/** What a Secret that somebody else keeps holds: ca.crt and ca.key, or tls.crt and tls.key as cert-manager writes them for an issuer that is a CA. */
export function readGivenAuthority(name: string, secret: Secret | undefined): GivenAuthority {
  if (secret === undefined) return { kind: 'unusable', problem: `Secret ${name} does not exist` };
  const text = (key: string): string | undefined => (secret.data?.[key] === undefined ? undefined : decodeText(secret.data[key]));
  const authority = authorityOf(text('tls.crt'), text('tls.key')) ?? authorityOf(text('ca.crt'), text('ca.key'));
  if (authority !== undefined) return { kind: 'usable', authority };
  const problem = `Secret ${name} holds no authority: it needs its certificate and the key of that, as tls.crt and tls.key or as ca.crt and ca.key`;
  return { kind: 'unusable', problem };
}

/** The two, if they belong together and may sign. */
function authorityOf(certificate: string | undefined, key: string | undefined): Authority | undefined {
  const read = certificate === undefined ? undefined : readCertificate(certificate);
  return read === undefined || key === undefined || !read.isAuthority || !read.hasKey(key) ? undefined : { certificate: read.pem, key };
}
