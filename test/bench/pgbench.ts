import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { Client } from 'pg';
import type { Cluster } from '../e2e/cluster-harness.ts';

const run = promisify(execFile);

export interface BenchTarget {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  /** Of pgbench's connections; libpq's own default when absent. */
  readonly sslmode?: SslMode;
}

/** Without TLS, and with TLS whoever the server is. */
export type SslMode = 'disable' | 'require';

export interface PgbenchResult {
  readonly tps: number;
  readonly latencyMs: number;
  readonly failed: number;
  /** Committed. */
  readonly transactions: number;
}

/** A cluster of ours, as the application's role. */
export function clusterTarget(cluster: Cluster): BenchTarget {
  const { host, port, user, password, database } = cluster.connection();
  return {
    name: 'kube-aurora',
    host: host ?? '',
    port: port ?? 5432,
    user: user ?? '',
    password: String(password),
    database: database ?? '',
  };
}

/** pgbench comes with PostgreSQL's client package; the benchmark needs it, the product does not. */
export async function requirePgbench(): Promise<string> {
  try {
    return (await run('pgbench', ['--version'])).stdout.trim();
  } catch (error) {
    throw new Error('pgbench is not on the PATH; install PostgreSQL’s client tools (Debian: postgresql-contrib or postgresql)', {
      cause: error,
    });
  }
}

async function pgbench(target: BenchTarget, args: readonly string[], timeoutMs: number): Promise<string> {
  const { stdout } = await run('pgbench', ['-h', target.host, '-p', String(target.port), '-U', target.user, ...args, target.database], {
    env: { ...process.env, PGPASSWORD: target.password, ...(target.sslmode === undefined ? {} : { PGSSLMODE: target.sslmode }) },
    timeout: timeoutMs,
    maxBuffer: 16 * 1024 * 1024,
  });
  return stdout;
}

export async function initialise(target: BenchTarget, scale: number): Promise<void> {
  await pgbench(target, ['-i', '-q', '-s', String(scale)], 600_000);
}

/** A connected client; the caller ends it. */
export async function connectTo({ host, port, user, password, database }: BenchTarget): Promise<Client> {
  const client = new Client({ host, port, user, password, database });
  await client.connect();
  return client;
}

/**
 * A checkpoint of a stock server: what was written before it is in the data files, and does not burden what comes
 * after.
 */
export async function checkpoint(target: BenchTarget): Promise<void> {
  const client = await connectTo(target);
  try {
    await client.query('checkpoint');
  } finally {
    await client.end();
  }
}

function figure(output: string, pattern: RegExp): number {
  const match = pattern.exec(output);
  if (match?.[1] === undefined) throw new Error(`pgbench printed no ${pattern.source}:\n${output}`);
  return Number(match[1]);
}

/** pgbench's own scripts, by the argument that chooses them: its TPC-B, lookups by primary key alone, and those with a new connection for each. */
export const WORKLOADS = { tpcb: [], select: ['-S'], connect: ['-S', '-C'] } as const;
export type Workload = keyof typeof WORKLOADS;

/** One of pgbench's scripts for `seconds` with `clients` connections. */
export async function runFor(target: BenchTarget, workload: Workload, clients: number, seconds: number): Promise<PgbenchResult> {
  const args = ['-n', ...WORKLOADS[workload], '-c', String(clients), '-j', '2', '-T', String(seconds)];
  return result(await pgbench(target, args, (seconds + 60) * 1000));
}

/** The TPC-B-like script, `transactions` times for each of `clients` connections. */
export async function tpcbTimes(target: BenchTarget, clients: number, transactions: number): Promise<PgbenchResult> {
  return result(await pgbench(target, ['-n', '-c', String(clients), '-j', '2', '-t', String(transactions)], 1_800_000));
}

function result(output: string): PgbenchResult {
  return {
    tps: figure(output, /^tps = ([\d.]+)/m),
    latencyMs: figure(output, /^latency average = ([\d.]+) ms/m),
    failed: figure(output, /^number of failed transactions: (\d+)/m),
    transactions: figure(output, /^number of transactions actually processed: (\d+)/m),
  };
}
