import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { closeSync, globSync, openSync, readdirSync, readFileSync, readSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '@kube-aurora/clock';
import { silentLogger } from '@kube-aurora/process';
import { credentialsOf, SegmentClient } from '@kube-aurora/rpc';
import { MutualTls, readMaterial, RefusalLog, TLS_FILES, type Material } from '@kube-aurora/tls';
import { ClusterCertificates } from './cluster-certificates.ts';
import { Cluster } from './cluster-harness.ts';
import { EncryptionKeys, filesWith } from './encryption-keys.ts';
import { KmsProcess } from '../kms-plugin/kms-process.ts';
import { secretsIn } from './secrets-in-logs.ts';
import type { IdentityStatus } from './compute-process.ts';

let certificates: ClusterCertificates;
let cluster: Cluster;

beforeAll(async () => {
  certificates = await ClusterCertificates.make();
  cluster = await Cluster.start({ certificates, encrypted: true });
  await cluster.query('create table commits (id int primary key, note text)');
  await cluster.query('create table load (id int)');
}, 90_000);
afterAll(async () => {
  await cluster?.destroy();
  certificates?.remove();
});

/** Stands in every row, and may stand on no disk of storage. */
const SENTENCE = 'a sentence that no disk may show';

const insert = (id: number, note: string): Promise<unknown> =>
  cluster.query('insert into commits values ($1, $2)', [id, `${SENTENCE}: ${note}`]);
const ids = async (): Promise<number[]> =>
  (await cluster.query<{ id: number }>('select id from commits order by id')).rows.map((row) => row.id);

/** What a program of this role would begin with now. */
function materialOf(role: 'storage' | 'compute'): Material {
  const text = (file: string): string => readFileSync(join(certificates.directoryOf(role), file), 'utf8');
  const { certificate, key, authorities } = TLS_FILES;
  const reading = readMaterial({ certificate: text(certificate), key: text(key), authorities: text(authorities), mode: undefined });
  if (reading.kind === 'unusable') throw new Error(reading.problem);
  return reading.material;
}

const daemonHosts = (): string[] =>
  cluster
    .daemonsAddress()
    .split(',')
    .map((one) => one.split('=')[2]?.split(':')[0] ?? '');

interface DaemonStatus {
  readonly encryption?: { readonly problem?: string; readonly waitingSince?: string };
  readonly segments: readonly { readonly fault?: { readonly kind: string }; readonly encryption?: { readonly wrappedBy: string } }[];
}

async function daemonStatus(daemon: number): Promise<DaemonStatus | undefined> {
  try {
    const response = await fetch(`http://${daemonHosts()[daemon]}:7002/status`, { signal: AbortSignal.timeout(1000) });
    return (await response.json()) as DaemonStatus;
  } catch {
    // One that starts does not answer yet.
    return undefined;
  }
}

/** A daemon is started anew meanwhile, on a machine that may have more to do. */
const START_MS = 60_000;

const statusOf = async (daemon: number): Promise<DaemonStatus['segments'][number] | undefined> => (await daemonStatus(daemon))?.segments[0];

/** A key by its number, or one of a KMS by its name. */
async function wrappedBy(key: number | string, ...daemons: readonly number[]): Promise<void> {
  const name = typeof key === 'number' ? EncryptionKeys.fingerprint(key) : key;
  for (const daemon of daemons)
    await cluster.until(
      `key ${name} wraps the data key of d${daemon}`,
      async () => (await statusOf(daemon))?.encryption?.wrappedBy === name,
      START_MS,
    );
}

const allStream = (): Promise<void> =>
  cluster.until(
    'all six stream',
    async () => (await cluster.writer.status())?.segments.every(({ state }) => state === 'streaming') ?? false,
  );

const allLevel = (): Promise<void> =>
  cluster.until('all six stream and are level', async () => {
    const status = await cluster.writer.status();
    return status?.segments.every((segment) => segment.state === 'streaming' && segment.behindBytes === 0) ?? false;
  });

/** Flips a bit in the middle of each file of a daemon that holds redo or pages. */
function damage(daemon: number): number {
  const directory = join(cluster.directory, `d${daemon}`);
  const files = readdirSync(directory, { recursive: true, withFileTypes: true }).filter(({ name }) => /\.(redo|slots)$/.test(name));
  for (const { parentPath, name } of files) {
    const path = join(parentPath, name);
    const file = openSync(path, 'r+');
    // Redo stands at a log's beginning, however long the file is.
    const at = name.endsWith('.redo') ? 200 : Math.floor(statSync(path).size / 2);
    const byte = Buffer.alloc(1);
    readSync(file, byte, 0, 1, at);
    writeSync(file, Buffer.from([byte.readUInt8(0) ^ 4]), 0, 1, at);
    closeSync(file);
  }
  return files.length;
}

/** Everybody believes just whom they are told to believe. */
async function seenByAll(): Promise<void> {
  const hosts = daemonHosts().map((host) => `http://${host}:7002/status`);
  const wanted = certificates.believed.toSorted().join();
  const believes = async (url: string): Promise<boolean> => {
    try {
      const { identity } = (await (await fetch(url, { signal: AbortSignal.timeout(1000) })).json()) as {
        readonly identity: IdentityStatus;
      };
      return identity.authorities?.toSorted().join() === wanted && identity.problem === undefined;
    } catch {
      // A daemon that starts does not answer yet.
      return false;
    }
  };
  await cluster.until('everybody has seen the step', async () =>
    (await Promise.all([...hosts, `http://${cluster.writer.host}:7003/status`].map(believes))).every(Boolean),
  );
}

describe('a writer on six storage daemons', () => {
  it('opens again after kill -9 of the agent, with every commit, without replay', async () => {
    await insert(1, 'before the kill');
    await cluster.writer.kill();
    cluster.writer.start();
    await cluster.writerReady();
    await insert(2, 'after the kill');
    expect(await ids()).toEqual([1, 2]);
    expect(cluster.writer.logTail(2000)).not.toMatch(/redo starts at|automatic recovery in progress/);
  });

  it('opens again after kill -9 of PostgreSQL in the middle of a transaction', async () => {
    const client = await cluster.connect();
    await client.query('begin');
    await client.query("insert into commits values (666, 'never committed')");
    const pid = (await cluster.writer.status())?.postgres.pid;
    if (pid === undefined) throw new Error('no PostgreSQL');
    process.kill(pid, 'SIGKILL');
    await client.end().catch(() => undefined);
    await cluster.until('the old PostgreSQL is gone', async () => (await cluster.writer.status())?.postgres.pid !== pid);
    await cluster.writerReady();
    await insert(3, 'after');
    expect(await ids()).toEqual([1, 2, 3]);
  });

  it('goes on with a whole zone killed, and feeds it when it is back', async () => {
    const zone = cluster.zone('zone-b');
    await Promise.all(zone.map((daemon) => daemon.kill()));
    await insert(4, 'zone-b is down');
    for (const daemon of zone) daemon.start();
    await allLevel();
    expect(await ids()).toEqual([1, 2, 3, 4]);
  });

  it('acknowledges nothing with three daemons paused, and goes on when one is back', async () => {
    const paused = cluster.daemons.slice(0, 3);
    for (const daemon of paused) daemon.pause();
    let acknowledged = false;
    const commit = insert(5, 'three are down').then(() => (acknowledged = true));
    await new Promise((resolve) => setTimeout(resolve, 700));
    expect(acknowledged).toBe(false);
    paused[0]?.resume();
    await commit;
    for (const daemon of paused) daemon.resume();
    expect(await ids()).toEqual([1, 2, 3, 4, 5]);
  });

  it('goes through a rotation of its certificates under load without a commit that fails, and refuses one from before', async () => {
    const before = materialOf('compute');
    let runs = true;
    let committed = 0;
    const load = (async () => {
      const client = await cluster.connect();
      for (; runs; committed++) await client.query('insert into load values ($1)', [committed]);
      await client.end();
    })();
    const [daemon] = cluster.daemons;
    if (daemon === undefined) throw new Error('no daemon');
    await certificates.announce();
    await seenByAll();
    await certificates.issueByNext();
    // Connections are made anew meanwhile, by both ends.
    await daemon.kill();
    daemon.start();
    await seenByAll();
    certificates.retirePrevious();
    await seenByAll();
    const done = committed;
    await cluster.until('commits go on', () => Promise.resolve(committed > done + 10));
    runs = false;
    await load;
    const [{ count } = { count: '' }] = (await cluster.query<{ count: string }>('select count(*) from load')).rows;
    expect(Number(count)).toBe(committed);

    // Whoever slept through it knows whom to call, and is let in by nobody.
    const { authorities } = materialOf('compute');
    const clock = systemClock();
    const refusals = new RefusalLog({ logger: silentLogger(), clock });
    const mutual = new MutualTls({ material: () => ({ ...before, authorities }), clock, refusals });
    const late = new SegmentClient(
      { address: `${daemonHosts()[0]}:7001`, framesAddress: `${daemonHosts()[0]}:7004` },
      clock,
      credentialsOf(mutual),
    );
    await expect(late.status({ volumeId: cluster.volumeId, pg: 0 }, { deadlineMs: 3000 })).rejects.toMatchObject({
      code: expect.stringMatching(/UNREACHABLE|DEADLINE/) as string,
    });
    late.close();
    const untrusted =
      /"part":"tls","reason":"untrusted","more":\{"connection":"grpc","who":"somebody who says to be spiffe:[^"]*\/role\/compute"/;
    // Whoever is refused hears of it before it is written down.
    await cluster.until('the log says who was refused', () => untrusted.test(daemon.logTail(200)));
  });

  it('goes over to another key while it writes, also where a daemon was away meanwhile; with a wrong one that copy changes nothing', async () => {
    const { keys } = cluster;
    const [, away] = cluster.daemons;
    if (keys === undefined || away === undefined) throw new Error('nothing is encrypted');
    await wrappedBy(1, 0, 1, 2, 3, 4, 5);
    await away.kill();
    // It was away, and its disk was not: redo and a page are another when it is back.
    expect(damage(1)).toBeGreaterThan(1);
    keys.set({ key: 2, before: 1 });
    await wrappedBy(2, 0, 2, 3, 4, 5);
    away.start();
    await wrappedBy(2, 1);
    await allLevel();
    keys.set({ key: 2 });
    await away.kill();
    // Who runs has its data key in memory, and needs the key before no more; who does not run does.
    keys.set({ key: 3 });
    await wrappedBy(3, 0, 2, 3, 4, 5);
    away.start();
    await cluster.until('the copy is not opened', async () => (await statusOf(1))?.fault?.kind === 'KEY_UNUSABLE');
    await cluster.query('insert into load values (0)');
    keys.set({ key: 3, before: 2 });
    // It begins anew with the keys that are there now.
    await away.exited();
    away.start();
    await wrappedBy(3, 1);
    await allLevel();
  });

  it('goes over to a key of a KMS and back; one that runs does without the KMS, one that starts waits for it and says so', async () => {
    const { keys } = cluster;
    const [, daemon] = cluster.daemons;
    if (keys === undefined || daemon === undefined) throw new Error('nothing is encrypted');
    let isOver = false;
    // Whatever wraps now.
    keys.set({ key: 3, before: 2, first: 1 });
    const kms = new KmsProcess();
    try {
      kms.start();
      const byKms = {
        AURORA_ENCRYPTION_KEY_FILE: '',
        AURORA_ENCRYPTION_KMS_SOCKET: kms.socket,
        AURORA_ENCRYPTION_BEFORE_KEY_FILE: keys.file,
        AURORA_ENCRYPTION_KMS_LOOK_SECONDS: '1',
      };
      await daemon.kill();
      daemon.start(byKms);
      await wrappedBy('kms:k1', 1);
      // Under load: what is written meanwhile is found at the end.
      const load = (async () => {
        let rows = 0;
        for (; !isOver; rows++) await cluster.query('insert into load values (-1)');
        return rows;
      })();
      kms.rotate('k2', { k1: 1, k2: 2 });
      await wrappedBy('kms:k2', 1);
      kms.rotate('k2', { k2: 2 });
      await kms.kill();
      await cluster.until(
        'it says that its KMS is away',
        async () => (await daemonStatus(1))?.encryption?.problem?.includes('UNAVAILABLE') ?? false,
        START_MS,
      );
      await allStream();
      await daemon.kill();
      daemon.start({ ...byKms, AURORA_ENCRYPTION_BEFORE_KEY_FILE: '' });
      await cluster.until('it waits for its KMS', async () => (await daemonStatus(1))?.encryption?.waitingSince !== undefined, START_MS);
      expect(await (await fetch(`http://${daemonHosts()[1]}:7002/readyz`)).text()).toMatch(/waits for its key: .*UNAVAILABLE/);
      // It gives another key than it was given: nothing is opened by it.
      kms.misbehave('lies');
      kms.start();
      await cluster.until(
        'it says what is wrong',
        async () => (await daemonStatus(1))?.encryption?.problem?.includes('other bytes') ?? false,
        START_MS,
      );
      kms.misbehave(undefined);
      await wrappedBy('kms:k2', 1);
      isOver = true;
      const rows = await load;
      expect((await cluster.query<{ n: number }>('select count(*)::int as n from load where id = -1')).rows).toEqual([{ n: rows }]);
      await allLevel();
      await daemon.kill();
      daemon.start({ AURORA_ENCRYPTION_BEFORE_KMS_SOCKET: kms.socket });
      await wrappedBy(3, 1);
    } finally {
      isOver = true;
      await kms.remove();
    }
    await daemon.kill();
    daemon.start();
    await allLevel();
  }, 120_000);

  it('shows nothing on the disks of storage', () => {
    const disks = cluster.daemons.map((_, index) => join(cluster.directory, `d${index}`));
    // A sentence of ours, and one that initdb wrote.
    for (const text of [SENTENCE, 'information_schema']) {
      expect(filesWith(Buffer.from(text), disks)).toEqual([]);
      // The compute's files are PostgreSQL's own.
      expect(filesWith(Buffer.from(text), [join(cluster.directory, 'c0')])).not.toEqual([]);
    }
  });

  it('loses nothing when everything is killed at once', async () => {
    await insert(6, 'before the power cut');
    await Promise.all([...cluster.daemons, cluster.writer].map((process) => process.kill()));
    cluster.writer.killPostgres();
    for (const process of [...cluster.daemons, cluster.writer]) process.start();
    await cluster.writerReady();
    expect(await ids()).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it('is fenced by a second writer: its commits fail and are never found', async () => {
    const old = await cluster.connect();
    await old.query('select 1');
    const second = cluster.addWriter('zone-c');
    second.start();
    await cluster.writerReady(60_000, second);
    await expect(old.query("insert into commits values (777, 'of the fenced writer')")).rejects.toThrow();
    await cluster.until('the first is fenced', async () => (await cluster.writer.status())?.phase === 'fenced');
    const found = await cluster.query<{ id: number }>('select id from commits order by id', [], second);
    expect(found.rows.map((row) => row.id)).toEqual([1, 2, 3, 4, 5, 6]);
    await second.kill('SIGTERM');
    expect(second.logTail(2000)).toMatch(/database system is shut down/);
  });

  it('has told nobody what its keys are, in all that its programs logged', () => {
    const logs = globSync('*.log', { cwd: cluster.directory }).map((file) => readFileSync(join(cluster.directory, file), 'utf8'));
    expect(logs.length).toBeGreaterThan(7);
    const keyOf = (role: 'storage' | 'compute'): Buffer => readFileSync(join(certificates.directoryOf(role), TLS_FILES.key));
    const secrets = {
      // Those that the tests above have had in the directory of keys.
      'encryption key 1': Buffer.alloc(32, 1),
      'encryption key 2': Buffer.alloc(32, 2),
      'storage’s private key': keyOf('storage'),
      'compute’s private key': keyOf('compute'),
      'the password': Buffer.from(String(cluster.connection().password)),
    };
    expect(secretsIn(logs.join(''), secrets)).toEqual([]);
    // One that is there is found: it is in the text that was searched.
    expect(secretsIn(`${logs.join('')}${Buffer.alloc(32, 2).toString('hex')}`, secrets)).toEqual(['encryption key 2']);
  });
});
