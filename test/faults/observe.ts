import { readFileSync } from 'node:fs';
import { encodePageKeys } from '@kube-aurora/redo';
import { systemClock } from '@kube-aurora/clock';
import { parseEndpoints, SegmentClient, type Endpoint } from '@kube-aurora/rpc';
import type { Cluster } from '../e2e/cluster-harness.ts';
import type { ManagedProcess } from '../e2e/managed-process.ts';

/** What the fault tests look at from outside: metrics, memory, and the pages that each daemon serves. */

/** Sum of a metric over all its labels (or those that contain `label`); undefined when the process does not answer. */
export async function metric(url: string, name: string, label = ''): Promise<number | undefined> {
  let text: string;
  try {
    text = await (await fetch(url, { signal: AbortSignal.timeout(20_000) })).text();
  } catch (error) {
    if (error instanceof Error) return undefined;
    throw error;
  }
  let sum = 0;
  for (const line of text.split('\n')) {
    const match = /^([a-z_]+)(\{.*\})? (\S+)$/.exec(line);
    if (match?.[1] === name && (match[2] ?? '').includes(label)) sum += Number(match[3]);
  }
  return sum;
}

function endpoint(cluster: Cluster, daemon: number): Endpoint {
  const found = parseEndpoints(cluster.daemonsAddress(), 'zoned')[daemon];
  if (found === undefined) throw new RangeError(`there is no daemon ${daemon}`);
  return found;
}

/** URL of a daemon's metrics. */
export function daemonMetrics(cluster: Cluster, daemon: number): string {
  return `http://${endpoint(cluster, daemon).address.replace(/:7001$/, ':7002')}/metrics`;
}

/** Resident memory of a running process, MiB. */
export function residentMib({ name, pid }: ManagedProcess): number {
  if (pid === undefined) throw new Error(`${name} does not run`);
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
}

export interface ServedRelation {
  readonly spcOid: number;
  readonly dbOid: number;
  readonly relNumber: number;
  readonly blocks: number;
}

/** Where a table or index of the application's database lies. */
export async function relation(cluster: Cluster, name: string): Promise<ServedRelation> {
  const { rows } = await cluster.query<{ rel: string; db: string; spc: string; blocks: string }>(
    `select pg_relation_filenode($1::regclass) rel, oid db, dattablespace spc, pg_relation_size($1::regclass) / 8192 blocks
       from pg_database where datname = current_database()`,
    [name],
  );
  const row = rows[0];
  if (row === undefined) throw new Error(`no relation ${name}`);
  return { spcOid: Number(row.spc), dbOid: Number(row.db), relNumber: Number(row.rel), blocks: Number(row.blocks) };
}

const CALL_PAGES = 64;

/** All pages of a relation as one daemon serves them at `lsn`. Rejects with AuroraRpcError. */
export async function servedPages(
  cluster: Cluster,
  daemon: number,
  where: ServedRelation,
  at: { epoch: bigint; lsn: bigint },
): Promise<Buffer> {
  const client = new SegmentClient(endpoint(cluster, daemon), systemClock());
  try {
    const { spcOid, dbOid, relNumber, blocks } = where;
    const parts: Buffer[] = [];
    for (let block = 0; block < blocks; block += CALL_PAGES) {
      const count = Math.min(CALL_PAGES, blocks - block);
      const segment = { volumeId: cluster.volumeId, pg: 0 };
      const keys = encodePageKeys({ spcOid, dbOid, relNumber, fork: 0, block }, count);
      const answer = await client.getPages({ segment, ...at, keys }, { deadlineMs: 20_000 });
      parts.push(answer.present, ...answer.pages);
    }
    return Buffer.concat(parts);
  } finally {
    client.close();
  }
}

/** The writer's epoch and VDL. */
export async function readPoint(cluster: Cluster): Promise<{ epoch: bigint; lsn: bigint }> {
  const status = await cluster.writer.status();
  if (status === undefined) throw new Error('the writer does not answer');
  return { epoch: BigInt(status.epoch), lsn: BigInt(status.vdl) };
}
