import { existsSync } from 'node:fs';
import path from 'node:path';
import { checkServerIdentity, type ConnectionOptions } from 'node:tls';
import { CoreV1Api, KubeConfig } from '@kubernetes/client-node';
import pg from 'pg';
import { HOME } from './home.ts';

/** Services of a cluster: the writer, readers, all instances. */
export const ENDPOINTS = ['rw', 'ro', 'r'] as const;
export type Endpoint = (typeof ENDPOINTS)[number];

/** Where a cluster is reached from this machine, and as whom. */
export interface ClusterConnection {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  /** As sslmode=verify-full has it; undefined while the cluster has no certificate. */
  readonly ssl: ConnectionOptions | undefined;
}

/** KUBECONFIG when set, else the one that `npm start` wrote. */
export function loadKubeConfig(): KubeConfig {
  const config = new KubeConfig();
  const own = path.join(HOME, 'kubeconfig');
  if (process.env['KUBECONFIG'] !== undefined && process.env['KUBECONFIG'] !== '') config.loadFromDefault();
  else if (existsSync(own)) config.loadFromFile(own);
  else throw new Error(`no cluster here yet: ${own} does not exist; run 'npm start' first, or set KUBECONFIG`);
  return config;
}

/** The driver has Node look for the name 'localhost' where it is given an address: the certificate names the address itself. */
function verifiedTls(ca: string, address: string): ConnectionOptions | undefined {
  return ca === '' ? undefined : { ca, checkServerIdentity: (_host, certificate) => checkServerIdentity(address, certificate) };
}

/** Reads the cluster's Secret and a Service of it, as any application on the cluster would. Throws with what to do. */
export async function clusterConnection(options: {
  cluster: string;
  namespace: string;
  superuser: boolean;
  endpoint?: Endpoint;
}): Promise<ClusterConnection> {
  const core = loadKubeConfig().makeApiClient(CoreV1Api);
  const { cluster, namespace, endpoint = 'rw' } = options;
  const name = `${cluster}-${options.superuser ? 'superuser' : 'app'}`;
  const read = async () => {
    try {
      return {
        secret: await core.readNamespacedSecret({ name, namespace }),
        service: await core.readNamespacedService({ name: `${cluster}-${endpoint}`, namespace }),
      };
    } catch (error) {
      throw new Error(
        `cluster '${cluster}' in namespace '${namespace}' cannot be found (Secret ${name}, Service ${cluster}-${endpoint}): is it running? ` +
          `'npm start' starts one named demo`,
        { cause: error },
      );
    }
  };
  const { secret, service } = await read();
  const field = (key: string): string => Buffer.from(secret.data?.[key] ?? '', 'base64').toString('utf8');
  const host = service.spec?.clusterIP;
  if (host === undefined || host === '') throw new Error(`Service ${cluster}-${endpoint} has no cluster IP yet; try again in a moment`);
  return {
    host,
    port: service.spec?.ports?.[0]?.port ?? 5432,
    ssl: verifiedTls(field('ca.crt'), host),
    user: field('username'),
    password: field('password'),
    database: field('dbname') === '' || field('dbname') === '*' ? 'postgres' : field('dbname'),
  };
}

/** The application's connection once a query on it was answered; undefined until then. */
export async function answeringConnection(cluster: { name: string; namespace: string }): Promise<ClusterConnection | undefined> {
  try {
    const connection = await clusterConnection({ cluster: cluster.name, namespace: cluster.namespace, superuser: false });
    const client = new pg.Client({ ...connection, connectionTimeoutMillis: 2000, query_timeout: 2000 });
    // A connection that breaks also fails the call that waits on it.
    client.on('error', () => undefined);
    try {
      await client.connect();
      await client.query('SELECT 1');
      return connection;
    } finally {
      await client.end();
    }
  } catch {
    return undefined;
  }
}
