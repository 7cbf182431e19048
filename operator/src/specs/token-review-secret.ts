import { ANNOTATION, clusterLabels, tokenReviewSecretName } from '../api/names.ts';
import type { AuroraCluster } from '../api/types.ts';
import { timeMs, type Secret } from '../kube/objects.ts';
import { objectMetadata } from './metadata.ts';
import { encodeText } from './secrets.ts';

/** Long enough for logins to go on while no operator runs for a night. */
export const REVIEW_TOKEN_SECONDS = 24 * 3600;
/** Of a token's time: what is left of it when it is replaced. */
const RENEWED_WITH_LEFT = 2 / 3;

/** What the API server is asked with whether a token counts. */
export interface ReviewAccess {
  /** Of the ServiceAccount that may review tokens and nothing else. */
  readonly token: string;
  readonly issuedAt: number;
  readonly expiresAt: number;
  /** Its URL, and PEM of who signs its certificate; undefined: an authority that every machine knows. */
  readonly server: string;
  readonly ca: string | undefined;
}

/** For the token ports of a cluster's computes (compute-node/src/token-port/token-review.ts). */
export function tokenReviewSecret(cluster: AuroraCluster, { token, issuedAt, expiresAt, server, ca }: ReviewAccess): Secret {
  const { name } = cluster.metadata;
  const keys = { token, server, ...(ca === undefined ? {} : { 'ca.crt': ca }) };
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: objectMetadata(cluster, {
      name: tokenReviewSecretName(name),
      labels: clusterLabels(name, 'compute'),
      annotations: { [ANNOTATION.tokenRenewedAt]: new Date(expiresAt - (expiresAt - issuedAt) * RENEWED_WITH_LEFT).toISOString() },
    }),
    type: 'Opaque',
    data: Object.fromEntries(Object.entries(keys).map(([key, text]) => [key, encodeText(text)])),
  };
}

/** When its token is to be replaced; undefined: at once, since it holds none. */
export function reviewRenewalMs({ data, metadata }: Secret): number | undefined {
  return data?.['token'] === undefined || data['server'] === undefined
    ? undefined
    : timeMs(metadata.annotations?.[ANNOTATION.tokenRenewedAt]);
}
