/**
 * PostgreSQL's settings: those that the volume's safety rests on go on the command line, where neither postgresql.conf
 * nor ALTER SYSTEM can change them; a cluster's own go to postgresql.conf.
 */

import { LOG_LINE_PREFIX } from './log-records.ts';

/** Name to value, as in `-c name=value`. */
export const OWNED_PARAMETERS: Readonly<Record<string, string>> = {
  // The shim turns these syncs into "is it durable in the volume?".
  fsync: 'on',
  wal_sync_method: 'fdatasync',
  // Storage never has torn pages, and its own checksums.
  full_page_writes: 'off',
  wal_log_hints: 'off',
  // Local recovery could replay WAL past what the volume holds: a crash ends PostgreSQL, and the agent opens the volume
  // anew.
  restart_after_crash: 'off',
  data_sync_retry: 'off',
  // Local WAL is a staging area: neither zeroed ahead nor kept.
  wal_init_zero: 'off',
  wal_recycle: 'off',
  summarize_wal: 'off',
  archive_mode: 'off',
  // Page misses wait in worker processes, several at a time.
  io_method: 'worker',
  // A forgotten setting is worse than a refused one: postgresql.auto.conf goes with the data directory.
  allow_alter_system: 'off',
  logging_collector: 'off',
  log_destination: 'stderr',
  // Its log is read (log-records.ts), and goes out as JSON with all that a prefix could say.
  log_line_prefix: LOG_LINE_PREFIX,
};

/** Defaults that fit this storage; a cluster may set others. */
const DEFAULT_PARAMETERS: Readonly<Record<string, string>> = {
  // Eight workers scan cold pages half as fast again as PostgreSQL's three: each waits for the volume most of the time.
  io_workers: '8',
  // A flush is a round of six daemons. The first of several committing sessions waits half a millisecond for the
  // others: fewer, fuller rounds. A session that commits alone does not wait.
  commit_delay: '500',
  commit_siblings: '2',
  // What is written is on its way to storage, what waits in memory is not: a bulk load should write early. Filling 2 MB
  // takes longer than a flush. A load of 29 MB, storage taking 60 MB/s 10 ms later: 0.78 s with 8 MB sent at the flush,
  // 0.69 sent when written, and with buffers of 4, 2 and 1 MB 0.64, 0.59 and 0.59 s (0.49 would be storage alone).
  wal_buffers: '2MB',
  // `logical` is the other one that may be chosen.
  wal_level: 'replica',
  // Of readers: vacuum at the writer waits for their queries, rather than that they are canceled.
  hot_standby_feedback: 'on',
};

/** Set by the agent from its own configuration, or without meaning on this storage. */
const REFUSED = new Set([
  // A prefix of a cluster's own from before the log was JSON has no effect, and is no reason to run without its other parameters.
  ...Object.keys(OWNED_PARAMETERS).filter((name) => name !== 'log_line_prefix'),
  'data_directory',
  'config_file',
  'hba_file',
  'ident_file',
  'ssl',
  'ssl_cert_file',
  'ssl_key_file',
  'ssl_ca_file',
  'ssl_crl_file',
  'ssl_crl_dir',
  'ssl_passphrase_command',
  'ssl_passphrase_command_supports_reload',
  'external_pid_file',
  'listen_addresses',
  'port',
  'unix_socket_directories',
  'unix_socket_group',
  'unix_socket_permissions',
  'wal_consistency_checking',
  'archive_command',
  'archive_library',
  'restore_command',
  // Where the quorum is far the agent sets it while PostgreSQL runs (commit-wait).
  'synchronous_standby_names',
  'primary_conninfo',
  'primary_slot_name',
  'ignore_checksum_failure',
  'zero_damaged_pages',
  'ignore_system_indexes',
]);

/** Values that a setting may have where PostgreSQL takes more of them, and why not those. */
const CHOICES: ReadonlyMap<string, { readonly values: readonly string[]; readonly why: string }> = new Map([
  ['wal_level', { values: ['replica', 'logical'], why: "must be 'replica' or 'logical': with less the volume would not get every change" }],
]);

export class ParameterError extends Error {
  readonly parameter: string;
  constructor(parameter: string, why: string) {
    super(`PostgreSQL parameter '${parameter}' ${why}`);
    this.name = 'ParameterError';
    this.parameter = parameter;
  }
}

export type ParameterValue = string | number | boolean;

/** A cluster's own parameters, checked. Throws {@link ParameterError} that names the first one that may not be set. */
export function checkParameters(parameters: Readonly<Record<string, ParameterValue>>): Map<string, string> {
  const checked = new Map<string, string>();
  for (const [given, value] of Object.entries(parameters)) {
    const name = given.toLowerCase();
    if (!/^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?$/.test(name)) throw new ParameterError(given, 'is not a parameter name');
    if (REFUSED.has(name) || name.startsWith('recovery_target')) {
      throw new ParameterError(given, 'is set by kube-aurora (the volume depends on it); remove it');
    }
    const text = typeof value === 'boolean' ? (value ? 'on' : 'off') : String(value);
    const choice = CHOICES.get(name);
    if (choice !== undefined && !choice.values.includes(text)) throw new ParameterError(given, choice.why);
    if (/[\n\r\0]/.test(text)) throw new ParameterError(given, 'has a line break in its value');
    checked.set(name, text);
  }
  return checked;
}

/** Reads the JSON text of a cluster's parameters. Throws {@link ParameterError}. */
export function parseParameters(json: string | undefined): Map<string, string> {
  if (json === undefined || json.trim() === '') return new Map();
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    throw new ParameterError('(all)', `: the text is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new ParameterError('(all)', ': expected a JSON object');
  const parameters: Record<string, ParameterValue> = {};
  for (const [name, each] of Object.entries(value)) {
    if (typeof each !== 'string' && typeof each !== 'number' && typeof each !== 'boolean') {
      throw new ParameterError(name, 'must be a text, a number or a boolean');
    }
    parameters[name] = each;
  }
  return checkParameters(parameters);
}

/** The text of postgresql.conf. `initial` is what initdb chose for the volume; a later line counts. */
export function configurationFile(parameters: ReadonlyMap<string, string>, initial: ReadonlyMap<string, string> = new Map()): string {
  const lines = [...initial, ...Object.entries(DEFAULT_PARAMETERS), ...parameters].map(
    ([name, value]) => `${name} = '${value.replaceAll("'", "''").replaceAll('\\', '\\\\')}'`,
  );
  return ['# Written by the kube-aurora agent at every start: set parameters in the AuroraCluster.', ...lines, ''].join('\n');
}

/** For the agent's own socket, which lies in a directory that only it and PostgreSQL's account can enter: hence trust. */
const AGENTS_LINES = ['local all all trust', 'local replication postgres trust'];
const EVERYBODYS_LINES = ['0.0.0.0/0', '::/0'].flatMap((all) => [
  `host all all ${all} scram-sha-256`,
  `host replication all ${all} scram-sha-256`,
]);

/** Lines of pg_hba.conf that stand before a cluster's own. */
export const HBA_LINES_BEFORE = AGENTS_LINES.length;

/**
 * The text of pg_hba.conf: the agent's lines first, so that nothing changes them; the cluster's own; then passwords, from everywhere.
 * Replication connections are let in as far as the shim, which refuses them and says why (native/connections.c); without a line of their own
 * PostgreSQL would only say that there is none. Without `rules` nobody is let in from the network.
 */
export function hbaFile(rules: readonly string[] | undefined): string {
  return [...AGENTS_LINES, ...(rules === undefined ? [] : [...rules, ...EVERYBODYS_LINES]), ''].join('\n');
}
