/** Records what clients of a system see while it is injured, by seed. */
import { setTimeout as delay } from 'node:timers/promises';
import type { FaultNote, History } from '../history/history.ts';
import { HistoryClients, type Address, type Endpoints } from './history-clients.ts';
import { agentsOf, faultsOf, inflictFault, isWholeWithin, plannedFaults, type PlannedFault } from './history-faults.ts';
import { HistoryRecorder } from './history-recorder.ts';
import { amcheckSql, banksOf, schemaSql } from './history-tables.ts';
import { connectTo, type LedgerConnection } from './ledger.ts';
import type { OwnMachine } from './own-machine.ts';
import type { StartedSystem } from './started-system.ts';

const READERS = 2;
const WHOLE_WITHIN_MS = 180_000;
const CREATE_MS = 300_000;
/** Nobody else works on the tables then: what still holds one is to be named, and not waited for. */
const LOCK_TIMEOUT = '60s';

export interface HistoryOptions {
  readonly seed: number;
  readonly seconds: number;
  /** With a table that is larger than the computes' cache (small-caches.yaml). */
  readonly hasVault: boolean;
  /** In place of those that the seed plans. */
  readonly faults?: readonly PlannedFault[];
  /** Where pods can be cut off and clocks jump. */
  readonly machine?: OwnMachine | undefined;
}

/** Throws when not everything runs again in the end: what is broken for good is no history to check. */
export async function recordHistory(system: StartedSystem, options: HistoryOptions): Promise<History> {
  const { seed, seconds, hasVault, machine } = options;
  const { user, password, database } = system.service;
  const as = { user, password, database };
  const endpoints = await endpointsOf(system);
  const banks = banksOf(hasVault);
  await whole(system);
  await create(
    { ...(await superuserOf(system)), host: endpoints.rw.host, port: endpoints.rw.port, database: as.database },
    amcheckSql(as.user),
  );
  const loadedAt = await create({ ...as, host: endpoints.rw.host, port: endpoints.rw.port }, schemaSql(banks));
  for (const instance of endpoints.instances()) await hasReplayed({ ...as, host: instance.host, port: instance.port }, loadedAt);
  const recorder = new HistoryRecorder();
  const clients = new HistoryClients({ seed, endpoints, as, banks, recorder });
  const faults: FaultNote[] = [];
  const until = seconds * 1000;
  for (const planned of options.faults ?? plannedFaults(seed, seconds, faultsOf(machine))) {
    await delay(Math.min(planned.afterMs, Math.max(0, until - recorder.now())));
    if (recorder.now() >= until) break;
    const atMs = recorder.now();
    const fault = await inflictFault(system, planned, machine);
    if (fault !== undefined) faults.push({ fault, atMs });
  }
  await delay(Math.max(0, until - recorder.now()));
  await whole(system);
  await clients.stop();
  await whole(system);
  await clients.lookAtAll();
  return { beginning: { seed, banks }, faults, transactions: recorder.transactions };
}

async function whole(system: StartedSystem): Promise<void> {
  if (await isWholeWithin(system, READERS, WHOLE_WITHIN_MS)) return;
  const pods = await system.runAside('kubectl', 'get', 'pods,auroraclusters');
  throw new Error(`not one writer and ${READERS} readers after ${WHOLE_WITHIN_MS / 1000} s:\n${pods}`);
}

/** Gives the LSN that the tables are complete as of. */
async function create(connection: LedgerConnection, statements: readonly string[]): Promise<string> {
  const client = await connectTo(connection, CREATE_MS);
  await client.query(`SET lock_timeout = '${LOCK_TIMEOUT}'`);
  for (const statement of statements) {
    try {
      await client.query(statement);
    } catch (error) {
      throw new Error(`${statement}: ${await sessionsAt(connection)}`, { cause: error });
    }
  }
  const { rows } = await client.query<{ lsn: string }>('SELECT pg_current_wal_insert_lsn()::text AS lsn');
  await client.end();
  return rows[0]?.lsn ?? '0/0';
}

/** What else goes on there, for whoever has to find out why a statement failed. */
async function sessionsAt(connection: LedgerConnection): Promise<string> {
  const client = await connectTo(connection);
  const { rows } = await client.query<Record<string, unknown>>(
    `SELECT pid, pg_blocking_pids(pid) AS waits_for, client_addr, client_port, state, wait_event_type, wait_event, xact_start, state_change, query
       FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()`,
  );
  await client.end();
  return JSON.stringify(rows, undefined, 1);
}

/** Whom the extension belongs to that is looked at tables with. */
async function superuserOf(system: StartedSystem): Promise<{ readonly user: string; readonly password: string }> {
  const { data } = JSON.parse(await system.runAside('kubectl', 'get', 'secret', 'demo-superuser', '-o', 'json')) as {
    data: Readonly<Record<'username' | 'password', string>>;
  };
  const decoded = (text: string): string => Buffer.from(text, 'base64').toString();
  return { user: decoded(data.username), password: decoded(data.password) };
}

/**
 * A reader may be behind: until it is past the load, that a table is empty there is the truth of a moment before the history began. It may also
 * have begun afresh during the load, and not answer yet.
 */
async function hasReplayed(connection: LedgerConnection, lsn: string): Promise<void> {
  const until = performance.now() + CREATE_MS;
  for (;;) {
    const answer = await replayedPast(connection, lsn);
    if (answer === true) return;
    if (performance.now() > until)
      throw new Error(`${connection.host} has not replayed up to ${lsn} in ${CREATE_MS / 1000} s`, { cause: answer });
    await delay(100);
  }
}

/** Or the error that kept it from saying so. */
async function replayedPast(connection: LedgerConnection, lsn: string): Promise<unknown> {
  try {
    const client = await connectTo(connection, CREATE_MS);
    try {
      const { rows } = await client.query<{ there: boolean }>(
        'SELECT NOT pg_is_in_recovery() OR pg_last_wal_replay_lsn() >= $1::pg_lsn AS there',
        [lsn],
      );
      return rows[0]?.there;
    } finally {
      await client.end();
    }
  } catch (error) {
    return error;
  }
}

async function endpointsOf(system: StartedSystem): Promise<Endpoints> {
  const { items } = JSON.parse(await system.runAside('kubectl', 'get', 'services', '-o', 'json')) as {
    items: { metadata: { name: string }; spec: { clusterIP: string } }[];
  };
  const service = (name: string): Address => {
    const found = items.find(({ metadata }) => metadata.name === `demo-${name}`);
    if (found === undefined) throw new Error(`there is no Service demo-${name}`);
    return { name: `by ${name}`, host: found.spec.clusterIP, port: system.service.port };
  };
  return {
    rw: { name: 'by rw', host: system.service.host, port: system.service.port },
    ro: service('ro'),
    r: service('r'),
    instances: seenInstances(system),
  };
}

/** An instance keeps its address while its agent is away; a new pod may have another. Looked at once a second at most. */
function seenInstances(system: StartedSystem): () => readonly Address[] {
  const seen = new Map<string, Address>();
  let lookedAt = -Infinity;
  return () => {
    if (performance.now() - lookedAt > 1000) {
      for (const agent of agentsOf(system)) seen.set(agent.name, agent);
      lookedAt = performance.now();
    }
    return [...seen.values()];
  };
}
