import type { PrimaryLimits } from '@kube-aurora/redo';
import { READERS_SLOT } from '../postgres/vacuum-hold.ts';

/** How a hot standby finds the agent that feeds it. */
export interface StreamSource {
  /** Directory of the socket `.s.PGSQL.<port>`. */
  readonly dir: string;
  readonly port: number;
  /** As the agent's log names it. */
  readonly applicationName: string;
}

/** What a hot standby must have at least as much of as the writer, which says in its WAL how much it has. */
const NO_LESS_THAN_THE_WRITER = {
  max_connections: 'maxConnections',
  max_worker_processes: 'maxWorkerProcesses',
  max_wal_senders: 'maxWalSenders',
  max_prepared_transactions: 'maxPreparedXacts',
  max_locks_per_transaction: 'maxLocksPerXact',
} as const satisfies Readonly<Record<string, keyof PrimaryLimits>>;

/**
 * The settings of a reader that nobody overrides: for its command line. Of the settings that must be no less than the
 * writer's, those are among them that are less in the cluster's parameters: the reader has seen other ones than the
 * writer runs with.
 */
export function standbySettings(
  writer: PrimaryLimits,
  source: StreamSource,
  parameters: ReadonlyMap<string, string>,
): Readonly<Record<string, string>> {
  const settings: Record<string, string> = {
    hot_standby: 'on',
    primary_conninfo: `host=${source.dir} port=${source.port} user=postgres application_name=${source.applicationName}`,
    primary_slot_name: '',
    // It waits for its agent alone, which is beside it.
    wal_retrieve_retry_interval: '50ms',
    recovery_prefetch: 'try',
    // How far it has come is what the agent knows of it.
    wal_receiver_status_interval: '1s',
    recovery_min_apply_delay: '0',
  };
  if (keepsSlots(parameters)) {
    // PostgreSQL's own slot synchronization: its worker asks the agent, as it would ask a writer that has this slot.
    settings['sync_replication_slots'] = 'on';
    settings['primary_slot_name'] = READERS_SLOT;
    settings['primary_conninfo'] += ' dbname=postgres';
  }
  for (const [name, field] of Object.entries(NO_LESS_THAN_THE_WRITER)) {
    const least = writer[field];
    const own = parameters.get(name);
    if (own === undefined || !(Number(own) >= least)) settings[name] = String(least);
  }
  return settings;
}

/** As PostgreSQL reads it (parse_bool). */
const OFF = /^(?:off?|f(?:a(?:l(?:s(?:e)?)?)?)?|no?|0)$/iu;

/**
 * Does a reader with these parameters keep slots that are like the writer's? Decoding needs `wal_level`, and without feedback the
 * writer's vacuum would take away what they need.
 */
export function keepsSlots(parameters: ReadonlyMap<string, string>): boolean {
  return parameters.get('wal_level') === 'logical' && !OFF.test(parameters.get('hot_standby_feedback') ?? 'on');
}

/**
 * Has a standby that was started with {@link standbySettings} too little of something for a writer that runs with
 * `now`?
 */
export function needsMore(started: PrimaryLimits, parameters: ReadonlyMap<string, string>, now: PrimaryLimits): boolean {
  return Object.entries(NO_LESS_THAN_THE_WRITER).some(([name, field]) => {
    const own = Number(parameters.get(name));
    return now[field] > (own >= started[field] ? own : started[field]);
  });
}
