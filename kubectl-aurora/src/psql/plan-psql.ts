import { UsageError } from '../kube/errors.ts';
import { isPodReady, ROLE_LABEL, SERVES_LABEL, SERVES_READS_LABEL, type Pod } from '../kube/resources.ts';

/** Whom one wants to talk to: the writer, readers, anybody. The Services are NAME-rw, NAME-ro, NAME-r. */
export const ROLES = ['rw', 'ro', 'r'] as const;
export type Role = (typeof ROLES)[number];

export interface Login {
  readonly user: string;
  readonly password: string;
  readonly database: string;
  /** As libpq has it; undefined where the Secret does not say. */
  readonly sslmode: string | undefined;
}

/** How PostgreSQL is reached: at the Service's own address, or through the API server to a pod. */
export type Route =
  | { readonly kind: 'direct'; readonly host: string; readonly port: number }
  | { readonly kind: 'forward'; readonly pod: string };

const POSTGRES_PORT = 5432;

/** What a Secret says; values are in base 64, as the API has them. Throws UsageError when it is no login. */
export function loginOf(secretName: string, data: Readonly<Record<string, string>>): Login {
  const field = (key: string): string => Buffer.from(data[key] ?? '', 'base64').toString('utf8');
  const [user, password, database, sslmode] = ['username', 'password', 'dbname', 'sslmode'].map(field);
  if (user === undefined || user === '' || password === undefined || password === '')
    throw new UsageError(`Secret ${secretName} has no ${user === '' ? 'username' : 'password'}: it must have both`);
  return {
    user,
    password,
    database: database === undefined || database === '' || database === '*' ? 'postgres' : database,
    sslmode: sslmode === undefined || sslmode === '' ? undefined : sslmode,
  };
}

/**
 * The Service's address counts as reachable only where nobody else can have it: a loopback address, which is a control plane on this machine,
 * or any inside the cluster. From elsewhere the same address may be somebody else's, and would be asked for a login.
 */
export function chooseRoute(
  service: { readonly clusterIP?: string; readonly port?: number },
  inCluster: boolean,
  role: Role,
  pods: readonly Pod[],
): Route {
  const { clusterIP = '', port = POSTGRES_PORT } = service;
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

/** What libpq reads: nothing secret stands on a command line. */
export function libpqEnvironment(
  login: Login,
  at: { readonly host: string; readonly hostaddr?: string; readonly port: number },
): Record<string, string> {
  return {
    PGHOST: at.host,
    ...(at.hostaddr === undefined ? {} : { PGHOSTADDR: at.hostaddr }),
    PGPORT: String(at.port),
    PGUSER: login.user,
    PGPASSWORD: login.password,
    PGDATABASE: login.database,
    ...(login.sslmode === undefined ? {} : { PGSSLMODE: login.sslmode }),
  };
}
