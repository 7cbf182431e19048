import { UsageError } from '../kube/errors.ts';
import { isPodReady, ROLE_LABEL, SERVES_LABEL, SERVES_READS_LABEL, type Pod } from '@kube-aurora/cluster-view';

/** Whom one wants to talk to: the writer, readers, anybody. The Services are NAME-rw, NAME-ro, NAME-r. */
export const ROLES = ['rw', 'ro', 'r'] as const;
export type Role = (typeof ROLES)[number];

export interface Login {
  readonly user: string;
  readonly password: string;
  readonly database: string;
  /** PEM: by which the server's certificate is known; undefined while the cluster has none. */
  readonly ca: string | undefined;
  /** Whether nothing may be sent in plain text, also where the server cannot be made to prove itself. */
  readonly onlyWithTls: boolean;
}

/** How PostgreSQL is reached: at the Service's own address, or through the API server to a pod. */
export type Route =
  | { readonly kind: 'direct'; readonly host: string; readonly port: number }
  | { readonly kind: 'forward'; readonly pod: string };

/** What a Secret says; values are in base 64, as the API has them. Throws UsageError when it is no login. */
export function loginOf(secretName: string, data: Readonly<Record<string, string>>): Login {
  const field = (key: string): string => Buffer.from(data[key] ?? '', 'base64').toString('utf8');
  const [user, password, database, ca] = ['username', 'password', 'dbname', 'ca.crt'].map(field);
  if (user === undefined || user === '' || password === undefined || password === '')
    throw new UsageError(`Secret ${secretName} has no ${user === '' ? 'username' : 'password'}: it must have both`);
  return {
    user,
    password,
    database: database === undefined || database === '' || database === '*' ? 'postgres' : database,
    ca: ca === undefined || ca === '' ? undefined : ca,
    onlyWithTls: false,
  };
}

/**
 * The Service's address counts as reachable only where nobody else can have it: a loopback address, which is a control plane on this machine,
 * or any inside the cluster. From elsewhere the same address may be somebody else's, and would be asked for a login.
 */
export function chooseRoute(
  service: { readonly clusterIP?: string; readonly port: number },
  inCluster: boolean,
  role: Role,
  pods: readonly Pod[],
): Route {
  const { clusterIP = '', port } = service;
  if (clusterIP.startsWith('127.') || (inCluster && clusterIP !== '' && clusterIP !== 'None'))
    return { kind: 'direct', host: clusterIP, port };
  const pod = pods.find((one) => isPodReady(one) && leadsTo(role, one));
  if (pod === undefined) throw new UsageError(`no instance is ready for role ${role}: see kubectl aurora status`);
  return { kind: 'forward', pod: pod.metadata.name };
}

function leadsTo(role: Role, { metadata: { labels } }: Pod): boolean {
  if (role === 'rw') return labels?.[ROLE_LABEL] === 'writer';
  return labels?.[role === 'ro' ? SERVES_READS_LABEL : SERVES_LABEL] === 'true';
}

/** Where PostgreSQL listens, and the name that its certificate is to have. */
export interface Address {
  readonly name: string;
  readonly ip: string;
  readonly port: number;
}

/** What libpq reads: nothing secret stands on a command line. `caFile` holds the login's CA: then a server that cannot prove itself is refused. */
export function libpqEnvironment(login: Login, at: Address, caFile: string | undefined): Record<string, string> {
  return {
    PGHOST: at.name,
    PGHOSTADDR: at.ip,
    PGPORT: String(at.port),
    PGUSER: login.user,
    PGPASSWORD: login.password,
    PGDATABASE: login.database,
    ...(login.onlyWithTls ? { PGSSLMODE: 'require' } : {}),
    ...(caFile === undefined ? {} : { PGSSLMODE: 'verify-full', PGSSLROOTCERT: caFile }),
  };
}
