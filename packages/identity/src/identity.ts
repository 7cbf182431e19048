/**
 * Who a program is, as its certificate says it: one URI in the form of SPIFFE
 * (https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md), by which peers decide what it may do. Host names decide nothing: pods
 * come and go, and what matters is which cluster somebody belongs to and what for.
 */
export const PROGRAM_ROLES = ['storage', 'compute', 'operator', 'server'] as const;

/** `server` is what PostgreSQL shows to its clients. */
export type ProgramRole = (typeof PROGRAM_ROLES)[number];

export interface Identity {
  readonly namespace: string;
  readonly cluster: string;
  readonly role: ProgramRole;
}

const TRUST_DOMAIN = 'kube-aurora.dev';
/** Names as Kubernetes has them: nothing in them means anything in a URI. */
const NAME = '[a-z0-9](?:[-.a-z0-9]*[a-z0-9])?';
const URI = new RegExp(`^spiffe://${TRUST_DOMAIN.replaceAll('.', '\\.')}/ns/(${NAME})/cluster/(${NAME})/role/([a-z]+)$`);

/** Throws TypeError for names that Kubernetes would not have taken. */
export function identityUri({ namespace, cluster, role }: Identity): string {
  const uri = `spiffe://${TRUST_DOMAIN}/ns/${namespace}/cluster/${cluster}/role/${role}`;
  if (!URI.test(uri)) throw new TypeError(`namespace '${namespace}' or cluster '${cluster}' is no name as Kubernetes has them`);
  return uri;
}

/** Undefined for every other URI. */
export function parseIdentityUri(uri: string): Identity | undefined {
  const [, namespace, cluster, said] = URI.exec(uri) ?? [];
  const role = PROGRAM_ROLES.find((one) => one === said);
  return namespace === undefined || cluster === undefined || role === undefined ? undefined : { namespace, cluster, role };
}
