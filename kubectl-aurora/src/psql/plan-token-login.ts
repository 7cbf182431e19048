import type { Cluster, TokenLogin } from '@kube-aurora/cluster-view';
import { UsageError } from '../kube/errors.ts';

/** As long as the token port takes any token for; no API server issues shorter ones than 10 minutes. */
const TOKEN_SECONDS = 900;

/** Whose token is to be the password, and what for. */
export interface TokenPlan {
  readonly serviceAccount: string;
  readonly namespace: string;
  /** Of PostgreSQL. */
  readonly user: string;
  readonly database: string;
  readonly audience: string;
  /** Of every Service and of the pods. */
  readonly port: number;
}

/** What a person named, of what has to be known; the rest is what the manifest leaves as the only choice. */
export interface NamedLogin {
  /** `NAME`, of the cluster's namespace, or `NAMESPACE/NAME`. */
  readonly serviceAccount: string | undefined;
  readonly user: string | undefined;
}

/** Pure. Throws UsageError where the manifest lets nobody in so, or several. */
export function planTokenLogin({ metadata, spec, status }: Cluster, named: NamedLogin): TokenPlan {
  const own = metadata.namespace ?? 'default';
  const logins = spec?.postgresql?.logins ?? [];
  const [port, audience] = [status?.tokenLogins?.endpoint.match(/:(\d+)$/)?.[1], status?.tokenLogins?.audience];
  if (logins.length === 0)
    throw new UsageError(`spec.postgresql.logins of ${metadata.name} names nobody: no ServiceAccount may log in by its token`);
  if (port === undefined || audience === undefined)
    throw new UsageError(`the operator has not taken up spec.postgresql.logins of ${metadata.name} yet: see kubectl aurora status`);
  const account = (login: TokenLogin): string => `${login.namespace ?? own}/${login.serviceAccount}`;
  const wanted =
    named.serviceAccount === undefined || named.serviceAccount.includes('/') ? named.serviceAccount : `${own}/${named.serviceAccount}`;
  const fitting = logins.filter(
    (login) => (wanted === undefined || account(login) === wanted) && (named.user === undefined || login.role === named.user),
  );
  const [only, ...others] = fitting;
  if (only === undefined || others.length > 0) {
    const choices = (only === undefined ? logins : fitting).map((login) => `--serviceaccount ${account(login)} --user ${login.role}`);
    throw new UsageError(
      `spec.postgresql.logins of ${metadata.name} has ${only === undefined ? 'nothing that fits' : 'several that fit'}: use ${choices.join(', or ')}`,
    );
  }
  return {
    serviceAccount: only.serviceAccount,
    namespace: only.namespace ?? own,
    user: only.role,
    // What an owner's Secret names as well; who has no right to it hears that from PostgreSQL.
    database: only.role === 'postgres' ? 'postgres' : (spec?.bootstrap?.initdb?.database ?? 'app'),
    audience,
    port: Number(port),
  };
}

/** What the API server is asked for. */
export function tokenRequest(audience: string): object {
  return {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: { audiences: [audience], expirationSeconds: TOKEN_SECONDS },
  };
}
