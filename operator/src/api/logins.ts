import type { Schema } from './open-api.ts';
import type { AuroraCluster, LoginSpec } from './types.ts';

/** Of a name in PostgreSQL's catalogs, in bytes. */
const ROLE_BYTES_MAX = 63;
const LOGINS_MAX = 64;

/** Of a token that opens this cluster, and no other. */
export function loginAudience({ metadata: { name, namespace = 'default' } }: AuroraCluster): string {
  return `kube-aurora/${namespace}/${name}`;
}

export const logins: Schema = {
  type: 'array',
  description:
    'Which ServiceAccounts may log in as which roles, by a token in the place of a password: at port 5433 of the Services, for the audience kube-aurora/NAMESPACE/NAME, issued for 15 minutes at most. The role has to be there, with LOGIN. Lines of pg_hba do not hold at that port. A change takes effect without a restart.',
  default: [],
  maxItems: LOGINS_MAX,
  items: {
    type: 'object',
    description: 'A ServiceAccount, and a role that it may log in as.',
    required: ['serviceAccount', 'role'],
    properties: {
      serviceAccount: {
        type: 'string',
        description: 'Its name.',
        minLength: 1,
        maxLength: 253,
        pattern: '^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$',
      },
      namespace: {
        type: 'string',
        description: "Its namespace. The cluster's own when absent.",
        minLength: 1,
        maxLength: 63,
        pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$',
      },
      role: { type: 'string', description: 'The role, by its exact name.', minLength: 1, maxLength: ROLE_BYTES_MAX },
      allowSuperuser: {
        type: 'boolean',
        description: 'Whether it is let in also where the role is a superuser. Without it those are refused.',
      },
    },
  },
  // No rule says that each is there once: an API server refuses one that looks at every pair (`loginProblems` says it).
  'x-kubernetes-list-type': 'atomic',
};

/** What is wrong with them, by field, and what would be right. */
export function* loginProblems(cluster: AuroraCluster): Generator<readonly [string, string]> {
  const seen = new Set<string>();
  for (const [index, login] of cluster.spec.postgresql.logins.entries()) {
    const field = `spec.postgresql.logins[${index}]`;
    if (login.role === '' || Buffer.byteLength(login.role) > ROLE_BYTES_MAX || login.role.includes('\0'))
      yield [`${field}.role`, `'${login.role}' is no role's name; use one of 1 to ${ROLE_BYTES_MAX} bytes`];
    const key = JSON.stringify([namespaceOf(login, cluster), login.serviceAccount, login.role]);
    if (seen.has(key))
      yield [
        'spec.postgresql.logins',
        `names ServiceAccount ${namespaceOf(login, cluster)}/${login.serviceAccount} twice for role '${login.role}'; say it once`,
      ];
    seen.add(key);
  }
}

export function namespaceOf(login: LoginSpec, { metadata }: AuroraCluster): string {
  return login.namespace ?? metadata.namespace ?? 'default';
}
