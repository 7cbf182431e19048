import {
  appSecretName,
  clusterLabels,
  PORT,
  readOnlyServiceName,
  readServiceName,
  readWriteServiceName,
  superuserSecretName,
} from '../api/names.ts';
import { loginAudience } from '../api/logins.ts';
import type { AuroraCluster } from '../api/types.ts';
import type { Secret } from '../kube/objects.ts';
import { clusterNamespace, objectMetadata } from './metadata.ts';

/** A role that clients log in with, and where its Secret comes from. */
export interface Credentials {
  readonly username: string;
  readonly database: string;
  readonly secretName: string;
  /** False: the manifest names a Secret that someone else made; the operator only reads it. */
  readonly generated: boolean;
}

export function superuserCredentials(cluster: AuroraCluster): Credentials {
  const given = cluster.spec.superuserSecret?.name;
  return {
    username: 'postgres',
    database: 'postgres',
    secretName: given ?? superuserSecretName(cluster.metadata.name),
    generated: given === undefined,
  };
}

export function appCredentials(cluster: AuroraCluster): Credentials {
  const { database, owner, secret } = cluster.spec.bootstrap.initdb;
  return { username: owner, database, secretName: secret?.name ?? appSecretName(cluster.metadata.name), generated: secret === undefined };
}

/** Of a Secret's keys, which are Base64 on the wire. */
export const decodeText = (text: string): string => Buffer.from(text, 'base64').toString('utf8');
export const encodeText = (text: string): string => Buffer.from(text, 'utf8').toString('base64');

/** The Secrets that the manifest names and that someone else made. */
export function givenSecretNames(cluster: AuroraCluster): readonly string[] {
  const { authoritySecret, clientCASecret } = cluster.spec.certificates;
  const roles = [superuserCredentials(cluster), appCredentials(cluster)].filter(({ generated }) => !generated);
  return [...roles.map(({ secretName }) => secretName), ...[authoritySecret, clientCASecret].flatMap((secret) => secret?.name ?? [])];
}

/** PEM; the key in the Secrets of roles and in that of the server alike. */
export const SERVER_CA_KEY = 'ca.crt';

/** A Secret's password, or undefined when it has none. */
export function secretPassword(secret: Secret): string | undefined {
  const text = secret.data?.['password'];
  const password = text === undefined ? '' : decodeText(text);
  return password === '' ? undefined : password;
}

/** In a .pgpass line a backslash and a colon are escaped (PostgreSQL manual, "The Password File"). */
function pgpassField(text: string): string {
  return text.replaceAll(/[\\:]/g, '\\$&');
}

/** An endpoint's keys end with this: `host`, `host-ro`, `host-r`. */
const ENDPOINTS: readonly { readonly suffix: string; readonly serviceName: (cluster: string) => string }[] = [
  { suffix: '', serviceName: readWriteServiceName },
  { suffix: '-ro', serviceName: readOnlyServiceName },
  { suffix: '-r', serviceName: readServiceName },
];

/**
 * Everything a client may want to know about a role, under the keys CloudNativePG's users know
 * (https://cloudnative-pg.io/documentation/current/applications/), and the same for each endpoint of readers.
 */
export function connectionKeys(
  cluster: string,
  namespace: string,
  credentials: Credentials,
  password: string,
): Readonly<Record<string, string>> {
  const { username, database } = credentials;
  const user = encodeURIComponent(username);
  const secret = encodeURIComponent(password);
  const name = encodeURIComponent(database);
  const uri = (at: string): string => `postgresql://${user}:${secret}@${at}:${PORT.postgres}/${name}`;
  const jdbc = (at: string): string => `jdbc:postgresql://${at}:${PORT.postgres}/${name}?password=${secret}&user=${user}`;
  const addresses = ENDPOINTS.flatMap(({ suffix, serviceName }) => {
    const service = serviceName(cluster);
    const near = `${service}.${namespace}`;
    const fqdn = `${near}.svc.cluster.local`;
    const keys = { host: service, uri: uri(near), 'jdbc-uri': jdbc(near), 'fqdn-uri': uri(fqdn), 'fqdn-jdbc-uri': jdbc(fqdn) };
    return Object.entries(keys).map(([key, value]) => [`${key}${suffix}`, value] as const);
  });
  const passLine = (host: string): string => `${[host, String(PORT.postgres), database, username, password].map(pgpassField).join(':')}\n`;
  return {
    username,
    password,
    dbname: database,
    port: String(PORT.postgres),
    pgpass: ENDPOINTS.map(({ serviceName }) => passLine(serviceName(cluster))).join(''),
    ...Object.fromEntries(addresses),
  };
}

/** For a client that logs in by a token of its ServiceAccount in the place of the password. */
export const TOKEN_KEYS = { port: 'token-port', audience: 'token-audience' } as const;

/** Of a role that spec.postgresql.logins names; nothing of others. */
export function tokenKeys(cluster: AuroraCluster, { username }: Credentials): Readonly<Record<string, string>> {
  if (!cluster.spec.postgresql.logins.some(({ role }) => role === username)) return {};
  return { [TOKEN_KEYS.port]: encodeText(String(PORT.token)), [TOKEN_KEYS.audience]: encodeText(loginAudience(cluster)) };
}

/** The Secret of a role with this password. `serverCa`: by which a client knows the server, base64; undefined: not known yet. */
export function connectionSecret(cluster: AuroraCluster, credentials: Credentials, password: string, serverCa: string | undefined): Secret {
  const { name } = cluster.metadata;
  const namespace = clusterNamespace(cluster);
  const keys = connectionKeys(name, namespace, credentials, password);
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: objectMetadata(cluster, { name: credentials.secretName, labels: clusterLabels(name, 'compute') }),
    type: 'kubernetes.io/basic-auth',
    data: {
      ...Object.fromEntries(Object.entries(keys).map(([key, value]) => [key, encodeText(value)])),
      ...(serverCa === undefined ? {} : { [SERVER_CA_KEY]: serverCa }),
    },
  };
}
