/** The peers that we are measured against, in the same run, on the same disk. */
import { chown, cp, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { freePort } from '@kube-aurora/test-ports';
import { startPostgres, type TestPostgres } from '@kube-aurora/test-postgres';
import { testPki } from '../../compute-node/src/tls/fixture-pki.ts';
import type { BenchTarget } from './pgbench.ts';
import { openZoneLinks } from './zone-links.ts';

export interface Peer {
  readonly target: BenchTarget;
  /** Postmasters: of the server that is asked, and of its standbys. */
  readonly primaryPid: number;
  readonly standbyPids: readonly number[];
  readonly standbys: readonly TestPostgres[];
  stop(): Promise<void>;
}

export interface PeerSetting {
  readonly delayMs?: number;
  readonly settings?: Readonly<Record<string, string>>;
  /** Standbys stream by TLS, as operators for PostgreSQL set them up, and as our programs speak; clients come in plain text all the same. */
  readonly isTls?: boolean;
}

const DURABLE = { fsync: true, wal_sync_method: 'fdatasync', shared_buffers: '256MB', max_wal_size: '4GB', max_connections: 100 } as const;
const STANDBYS = 5;

/** Everybody comes by TCP, as to us: a Unix socket would save a lookup by primary key a fifth of its time. */
const LOOPBACK = '127.0.0.1';

function targetOf(name: string, postgres: TestPostgres): BenchTarget {
  return { name, host: LOOPBACK, port: postgres.port, user: 'postgres', password: '', database: 'postgres', sslmode: 'disable' };
}

/** One stock PostgreSQL with fsync on: one copy, on one disk. */
export async function stockAlone({ settings = {} }: PeerSetting): Promise<Peer> {
  const postgres = await startPostgres({ settings: { ...DURABLE, ...settings } });
  return {
    target: targetOf('stock PostgreSQL, fsync', postgres),
    primaryPid: postgres.pid,
    standbyPids: [],
    standbys: [],
    stop: () => postgres.remove(),
  };
}

/**
 * Stock PostgreSQL with five streaming standbys and `ANY 3`: six copies, four of them on disk before a commit returns,
 * as in our volume. With a delay the first standby is in the server's own zone and the other four are in other ones,
 * so many milliseconds away.
 */
export async function stockQuorum({ delayMs = 0, settings: asked = {}, isTls = false }: PeerSetting): Promise<Peer> {
  const scratch = await mkdtemp(path.join(tmpdir(), 'ka-bench-'));
  const names = Array.from({ length: STANDBYS }, (_unused, index) => `s${index + 1}`);
  const settings = { ...DURABLE, ...asked, wal_level: 'replica', max_wal_senders: 10, wal_keep_size: '4GB' };
  const primary = await startPostgres({ settings });
  const standbys: TestPostgres[] = [];
  const direct = { host: LOOPBACK, port: primary.port };
  const listen = { host: LOOPBACK, port: await freePort() };
  const links = delayMs > 0 ? await openZoneLinks([{ listen, to: direct }], delayMs) : undefined;
  const stop = async (): Promise<void> => {
    links?.close();
    await primary.remove();
    for (const standby of standbys) await standby.remove();
    await rm(scratch, { recursive: true, force: true });
  };
  try {
    await primary.stop('fast');
    if (primary.user.uid !== undefined && primary.user.gid !== undefined) await chown(scratch, primary.user.uid, primary.user.gid);
    for (const name of names) {
      const dataDir = path.join(scratch, name);
      await cp(primary.dataDir, dataDir, { recursive: true, preserveTimestamps: true });
      await writeFile(path.join(dataDir, 'standby.signal'), '');
      await own(dataDir, primary);
    }
    const shown = isTls ? await showCertificate(scratch, primary) : {};
    await primary.restart({ ...settings, ...shown, synchronous_standby_names: `ANY 3 (${names.join(', ')})` });
    for (const [index, name] of names.entries()) {
      const { host, port } = links === undefined || index === 0 ? direct : listen;
      const conninfo = `host=${host} port=${port} user=postgres application_name=${name} sslmode=${isTls ? 'require' : 'disable'}`;
      standbys.push(
        await startPostgres({
          dataDir: path.join(scratch, name),
          settings: { ...settings, primary_conninfo: conninfo, hot_standby: true },
        }),
      );
    }
    await untilStreaming(primary);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    target: targetOf(`stock PostgreSQL, five standbys${isTls ? ' by TLS' : ''}, ANY 3`, primary),
    primaryPid: primary.pid,
    standbyPids: standbys.map((standby) => standby.pid),
    standbys,
    stop,
  };
}

/** Settings by which a server shows a certificate, which is made in `directory`. */
async function showCertificate(directory: string, postgres: TestPostgres): Promise<Record<string, string | boolean>> {
  const { pair } = await testPki([LOOPBACK]);
  const [certificate, key] = [path.join(directory, 'tls.crt'), path.join(directory, 'tls.key')];
  await writeFile(certificate, pair.certificate);
  await writeFile(key, pair.key, { mode: 0o600 });
  const { uid, gid } = postgres.user;
  if (uid !== undefined && gid !== undefined) await chown(key, uid, gid);
  return { ssl: true, ssl_cert_file: certificate, ssl_key_file: key };
}

/** Copies made by root belong to root; the server's user must own them. */
async function own(directory: string, postgres: TestPostgres): Promise<void> {
  const { uid, gid } = postgres.user;
  if (uid === undefined || gid === undefined) return;
  await chown(directory, uid, gid);
  for (const entry of await readdir(directory, { recursive: true })) await chown(path.join(directory, entry), uid, gid);
}

async function untilStreaming(primary: TestPostgres): Promise<void> {
  const client = await primary.connect();
  try {
    for (let attempt = 0; attempt < 300; attempt++) {
      const { rows } = await client.query<{ count: string }>("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'");
      if (Number(rows[0]?.count) === STANDBYS) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error('the five standbys did not all start streaming within 30 s');
  } finally {
    await client.end();
  }
}
