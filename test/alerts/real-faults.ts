import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';
import { issueLeaf } from '@kube-aurora/identity/issue';
import { TLS_FILES } from '@kube-aurora/tls';
import { ANNOTATION } from '../../operator/src/api/names.ts';
import type { LiveSystem } from './live-system.ts';
import { again, type RealFault } from './real-fault.ts';
import { IDS_AT_THE_END, IDS_OLD } from './short-rules.ts';
import { DISK_FAULT, STORAGE_FAULTS } from './storage-faults.ts';

/** The zone in which nothing runs but storage. */
function spareZone(system: LiveSystem): string {
  const zones = ['zone-a', 'zone-b', 'zone-c'];
  const taken = ['writer', 'reader'].map((role) =>
    system.programs(system.pod(role as 'writer' | 'reader'))[0]?.environment.get('AURORA_ZONE'),
  );
  return zones.find((zone) => !taken.includes(zone)) ?? 'zone-c';
}

const DAY_MS = 86_400_000;
const FIVE_DAYS = { lifetimeMs: 5 * DAY_MS, skewMs: DAY_MS / 24 };

/** Has transactions take ids until the oldest that is not frozen is so old; freezes all databases to mend it. */
async function takeIds(system: LiveSystem, age: number): Promise<() => Promise<void>> {
  const oldest = 'select max(age(datfrozenxid))::int as age from pg_database';
  const begun = Number((await system.sql(oldest))[0]?.['age']);
  const client = await system.session();
  await client.query('set synchronous_commit = off');
  await client.query(`do $$ begin for turn in 1..${Math.max(0, age - begun)} loop perform pg_current_xact_id(); commit; end loop; end $$`);
  await client.end();
  return async () => {
    await system.sql('alter database template0 allow_connections true');
    for (const database of ['template0', 'template1', 'postgres', 'app']) {
      const freezing = await system.session(database);
      await freezing.query('vacuum freeze');
      await freezing.end();
    }
    await system.sql('alter database template0 allow_connections false');
  };
}

export const REAL_FAULTS: readonly RealFault[] = [
  {
    what: 'twelve sessions sleep within statements, on two cores',
    alerts: ['AuroraLoadAboveCores'],
    async make(system) {
      const clients = await Promise.all(Array.from({ length: 12 }, () => system.session()));
      // Each ends with its session, when the fault is mended.
      for (const client of clients) client.query('select pg_sleep(600)').catch(() => undefined);
      return async () => {
        await system.sql("select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'PgSleep'");
      };
    },
  },
  {
    what: 'nine tenths of all connections are taken',
    alerts: ['AuroraConnectionsNearLimit'],
    async make(system) {
      const clients: Awaited<ReturnType<LiveSystem['session']>>[] = [];
      for (let taken = 0; taken < 90; taken++) clients.push(await system.session());
      return async () => void (await Promise.all(clients.map((client) => client.end())));
    },
  },
  {
    what: 'a client begins a transaction, writes, and does nothing more',
    alerts: ['AuroraIdleInTransaction', 'AuroraLongTransaction'],
    async make(system) {
      const client = await system.session();
      await client.query('begin; create temporary table held (id int)');
      return () => client.end();
    },
  },
  {
    what: 'a slot that nobody reads',
    alerts: ['AuroraSlotHoldsWal'],
    async make(system) {
      await system.sql("select pg_create_physical_replication_slot('unread', true)");
      const stop = again(500, () => system.sql("select pg_logical_emit_message(false, 'test', repeat('x', 1000000))"));
      return async () => {
        await stop();
        await system.sql("select pg_drop_replication_slot('unread')");
      };
    },
  },
  {
    what: 'the database of the agent’s session takes no connections',
    alerts: ['AuroraInsightsFail'],
    async make(system) {
      await system.sql('alter database postgres allow_connections false');
      await system.sql("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'kube-aurora insights'");
      return async () => void (await system.sql('alter database postgres allow_connections true'));
    },
  },
  {
    what: 'somebody connects to a daemon’s port and talks nonsense',
    alerts: ['AuroraConnectionsRefused'],
    make(system) {
      const [host = '', port = ''] = (system.programs('demo-storage-0')[0]?.environment.get('AURORA_FRAMES_LISTEN') ?? '').split(':');
      const stop = again(500, () => {
        const socket = connect(Number(port), host);
        socket.on('error', () => undefined);
        socket.end(Buffer.from([0x16, 1, 2, 3, 4, 5, 6, 7, 8]));
      });
      return Promise.resolve(stop);
    },
  },
  {
    what: 'a daemon’s certificate is damaged where it is mounted',
    alerts: ['AuroraCertificatesUnusable'],
    make(system) {
      const directory = system.programs('demo-storage-1')[0]?.environment.get('AURORA_IDENTITY_DIR') ?? '';
      const file = path.join(directory, 'tls.crt');
      const before = readFileSync(file);
      const stop = again(500, () => writeFileSync(file, 'nonsense'));
      return Promise.resolve(async () => {
        await stop();
        writeFileSync(file, before);
      });
    },
  },
  {
    what: 'the AuroraCluster’s definition is one that refuses the volume’s LSNs',
    alerts: ['AuroraOperatorFails'],
    make(system) {
      // Of a value that moves: one that does not change is not looked at again.
      const at = '/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/vdl/maxLength';
      const patch = (change: object): void => {
        const operations = JSON.stringify([{ ...change, path: at }]);
        system.kubectl('patch', 'crd', 'auroraclusters.kube-aurora.dev', '--type=json', '-p', operations);
      };
      patch({ op: 'add', value: 1 });
      return Promise.resolve(() => patch({ op: 'remove' }));
    },
  },
  {
    what: 'the operator stands still',
    alerts: ['AuroraOperatorIdle'],
    make: (system) => Promise.resolve(system.stopped([system.pidOf('operator')])),
  },
  {
    what: 'a zone is lost',
    alerts: ['AuroraSegmentMissing'],
    make(system) {
      const zone = spareZone(system);
      system.quickstart.run('zone', 'fail', zone);
      return Promise.resolve(() => void system.quickstart.run('zone', 'restore', zone));
    },
  },
  {
    what: 'replay of the reader stands still while the writer writes',
    alerts: ['AuroraReaderLagging'],
    make(system) {
      const [agent] = system.programs(system.pod('reader'));
      const startup = spawnSync('pgrep', ['-f', 'postgres: startup'], { encoding: 'utf8' })
        .stdout.trim()
        .split('\n')
        .map(Number)
        .filter((pid) => ancestors(pid).includes(agent?.pid ?? -1));
      return Promise.resolve(system.stopped(startup));
    },
  },
  {
    what: 'a reader’s agent stands still, and is asked to take the writer’s place',
    alerts: ['AuroraSwitchoverFailed'],
    async make(system) {
      const reader = system.pod('reader');
      const goOn = system.stopped(system.programs(reader).map(({ pid }) => pid));
      // Before the operator has missed it: one that is silent is refused.
      await system.annotate({ [ANNOTATION.switchoverTo]: reader });
      return goOn;
    },
  },
  ...STORAGE_FAULTS,
  {
    what: 'a daemon has a certificate of five days, and no other comes',
    alerts: ['AuroraCertificateEnding'],
    async make(system) {
      const directory = system.programs('demo-storage-3')[0]?.environment.get('AURORA_IDENTITY_DIR') ?? '';
      const entry = (name: string): string =>
        Buffer.from(system.kubectl('get', 'secret', 'demo-ca', '-o', `jsonpath={.data.${name.replace('.', '\\.')}}`), 'base64').toString();
      const leaf = await issueLeaf(
        { certificate: entry('ca.crt'), key: entry('ca.key') },
        { identity: { namespace: 'default', cluster: 'demo', role: 'storage' }, dnsNames: [], ipAddresses: [], ...FIVE_DAYS },
        { now: Date.now(), random: randomBytes },
      );
      const files = { [TLS_FILES.certificate]: leaf.certificate, [TLS_FILES.key]: leaf.key };
      const before = Object.keys(files).map((name) => [name, readFileSync(path.join(directory, name))] as const);
      const stop = again(500, () => {
        for (const [name, text] of Object.entries(files)) writeFileSync(path.join(directory, name), text);
      });
      return async () => {
        await stop();
        for (const [name, text] of before) writeFileSync(path.join(directory, name), text);
      };
    },
  },
  {
    what: 'transactions take ids, and nothing is frozen',
    alerts: ['AuroraTransactionIdsAge'],
    make: (system) => takeIds(system, IDS_OLD + 500),
  },
  {
    what: 'more of them, almost to the end',
    alerts: ['AuroraTransactionIdsRunOut'],
    make: (system) => takeIds(system, IDS_AT_THE_END + 500),
  },
  {
    what: 'the writer’s pod is killed, again and again',
    alerts: ['AuroraWriterUnsteady'],
    make(system) {
      const stop = again(1000, async () => {
        system.kubectl('delete', 'pod', system.pod('writer'), '--grace-period=0', '--force');
        await system.quickstart.eventually('create table if not exists opened (id int)');
      });
      return Promise.resolve(stop);
    },
  },
  {
    what: 'the writer’s pod is killed',
    alerts: ['AuroraFailedOver'],
    make(system) {
      system.kubectl('delete', 'pod', system.pod('writer'), '--grace-period=0', '--force');
      return Promise.resolve(() => undefined);
    },
  },
  {
    what: 'both agents stand still',
    alerts: ['AuroraWriterUnavailable', 'AuroraReaderUnavailable'],
    make(system) {
      const pids = ['demo-1', 'demo-2'].flatMap((pod) => system.programs(pod).map(({ pid }) => pid));
      return Promise.resolve(system.stopped(pids));
    },
  },
  DISK_FAULT,
];

function ancestors(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const parent = Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[1]);
    return parent <= 1 ? [pid] : [pid, ...ancestors(parent)];
  } catch {
    // It has ended since it was found.
    return [];
  }
}
