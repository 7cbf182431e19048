import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkServerIdentity, type ConnectionOptions } from 'node:tls';
import { parseArgs } from 'node:util';
import type { KubeConfig } from '@kubernetes/client-node';
import { findCluster } from '../find-cluster.ts';
import { UsageError } from '../kube/errors.ts';
import { CLUSTER_LABEL, path, type Cluster, type Pod } from '@kube-aurora/cluster-view';
import { unlessForbidden, type KubeApi } from '@kube-aurora/kube-http';
import { chooseRoute, libpqEnvironment, loginOf, type Address, type Login, type Role } from './plan-psql.ts';
import { planTokenLogin, tokenRequest, type NamedLogin, type TokenPlan } from './plan-token-login.ts';
import { forwardPort } from './port-forward.ts';

export interface PsqlRequest {
  readonly namespace: string;
  readonly name: string | undefined;
  readonly role: Role;
  readonly superuser: boolean;
  /** By a token of a ServiceAccount in the place of the Secret's login; undefined: by that. */
  readonly token: NamedLogin | undefined;
  /** Ours, also where the machine has one. */
  readonly builtIn: boolean;
  readonly words: readonly string[];
}

export interface PsqlSurroundings {
  readonly api: KubeApi;
  readonly config: KubeConfig;
  readonly environment: NodeJS.ProcessEnv;
  readonly inCluster: boolean;
  readonly say: (text: string) => void;
}

const POSTGRES_PORT = 5432;
const LOOPBACK = '127.0.0.1';

/** Answers the exit code of psql. */
export async function psqlCommand(request: PsqlRequest, { api, config, environment, inCluster, say }: PsqlSurroundings): Promise<number> {
  const { namespace, role } = request;
  const cluster = await findCluster(api, namespace, request.name);
  const { name } = cluster.metadata;
  const plan = request.token === undefined ? undefined : planTokenLogin(cluster, request.token);
  const port = plan?.port ?? POSTGRES_PORT;
  const selector = encodeURIComponent(`${CLUSTER_LABEL}=${name}`);
  const [login, service, pods] = await Promise.all([
    plan === undefined ? secretLogin(api, cluster, request) : tokenLogin(api, cluster, plan),
    api.get<{ readonly spec?: { readonly clusterIP?: string } }>(path.core('services', namespace, `${name}-${role}`)),
    api.get<{ readonly items: readonly Pod[] }>(`${path.core('pods', namespace)}?labelSelector=${selector}`),
  ]);
  const { clusterIP } = service.spec ?? {};
  const route = chooseRoute({ ...(clusterIP === undefined ? {} : { clusterIP }), port }, inCluster, role, pods.items);
  if (login.onlyWithTls && login.ca === undefined) {
    // Through the API server nobody else answers; at an address of the network somebody might, and would have the token.
    if (route.kind === 'direct')
      throw new UsageError(`the server cannot prove itself without ca.crt of Secret ${secretNameOf(cluster, false)}`);
    say(`the server's certificate is not checked: ca.crt of Secret ${secretNameOf(cluster, false)} cannot be read`);
  }
  const forwarded = route.kind === 'direct' ? undefined : await forwardPort(config, { namespace, pod: route.pod, port }, say);
  const serviceName = `${name}-${role}.${namespace}.svc`;
  const at: Address =
    route.kind === 'direct'
      ? { name: serviceName, ip: route.host, port: route.port }
      : { name: serviceName, ip: LOOPBACK, port: forwarded?.port ?? 0 };
  const directory = login.ca === undefined ? undefined : mkdtempSync(join(tmpdir(), 'kubectl-aurora-'));
  try {
    const caFile = directory === undefined ? undefined : join(directory, 'ca.crt');
    if (caFile !== undefined && login.ca !== undefined) writeFileSync(caFile, login.ca);
    const env = { ...environment, ...libpqEnvironment(login, at, caFile) };
    const run = request.builtIn ? undefined : await runPsql(request.words, env);
    return run ?? (await runSmallPsql(request.words, login, at));
  } finally {
    forwarded?.close();
    if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
  }
}

function secretNameOf({ metadata: { name }, status }: Cluster, superuser: boolean): string {
  return superuser ? (status?.secrets?.superuser ?? `${name}-superuser`) : (status?.secrets?.app ?? `${name}-app`);
}

type Data = { readonly data?: Readonly<Record<string, string>> };

async function secretLogin(api: KubeApi, cluster: Cluster, { namespace, superuser }: PsqlRequest): Promise<Login> {
  const secretName = secretNameOf(cluster, superuser);
  const { data } = await api.get<Data>(path.core('secrets', namespace, secretName));
  return loginOf(secretName, data ?? {});
}

/** Takes no right to read the Secret, which holds a password: without it the server's certificate cannot be checked. */
async function tokenLogin(api: KubeApi, cluster: Cluster, plan: TokenPlan): Promise<Login> {
  const { namespace, serviceAccount, user, database } = plan;
  const secret = path.core('secrets', cluster.metadata.namespace ?? 'default', secretNameOf(cluster, false));
  const [{ status }, shown] = await Promise.all([
    api.post<{ readonly status: { readonly token: string } }>(
      `${path.core('serviceaccounts', namespace, serviceAccount)}/token`,
      tokenRequest(plan.audience),
    ),
    unlessForbidden(api.get<Data>(secret)),
  ]);
  const ca = shown?.data?.['ca.crt'];
  return {
    user,
    password: status.token,
    database,
    ca: ca === undefined ? undefined : Buffer.from(ca, 'base64').toString('utf8'),
    onlyWithTls: true,
  };
}

/** Ours, with a driver that no other command needs. */
async function runSmallPsql(words: readonly string[], { ca, onlyWithTls, ...login }: Login, { name, ip, port }: Address): Promise<number> {
  const { SMALL_PSQL_FLAGS, smallPsql } = await import('@kube-aurora/quickstart/small-psql');
  const { values } = asUsage(() => parseArgs({ args: [...words], options: SMALL_PSQL_FLAGS }));
  const ssl: ConnectionOptions | undefined =
    ca !== undefined
      ? { ca, checkServerIdentity: (_host, certificate) => checkServerIdentity(name, certificate) }
      : onlyWithTls
        ? { rejectUnauthorized: false }
        : undefined;
  const connection = { ...login, host: ip, port, ssl };
  return await smallPsql(connection, values);
}

function asUsage<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new UsageError(`the small psql that comes with this program: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** The machine's own psql; undefined when it has none. */
async function runPsql(words: readonly string[], env: NodeJS.ProcessEnv): Promise<number | undefined> {
  return await new Promise((resolve, reject) => {
    // Ctrl-C is for psql, which has the same terminal: it cancels a statement.
    const ignore = (): void => undefined;
    process.on('SIGINT', ignore);
    const child = spawn('psql', [...words], { stdio: 'inherit', env });
    child.on('error', (error) => {
      process.off('SIGINT', ignore);
      if ('code' in error && error.code === 'ENOENT') resolve(undefined);
      else reject(error);
    });
    child.on('exit', (code, signal) => {
      process.off('SIGINT', ignore);
      resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
    });
  });
}
