/**
 * PostgreSQL settings that kube-aurora sets itself, and why a manifest may not. Durability, start-up and page reads
 * go through the volume; another value here would lose data or stop the server from starting.
 */
const DURABILITY = 'the volume makes commits durable and relies on it';
const START = 'the compute agent starts PostgreSQL from the volume and decides it';
const ADDRESS = 'the operator and its Services rely on it';
const REPLICATION = 'copies are kept by the volume, not by streaming replication';
const ARCHIVE = 'redo is kept by the volume, not in an archive';
const PAGES = 'pages come from the volume through ordinary reads';
const TLS = 'the operator gives PostgreSQL its certificate';
const LOGS = 'the log goes to the pod, where kubectl logs finds it';

export const OWNED_PARAMETERS: Readonly<Record<string, string>> = {
  fsync: DURABILITY,
  full_page_writes: DURABILITY,
  wal_sync_method: DURABILITY,
  wal_log_hints: DURABILITY,
  wal_init_zero: DURABILITY,
  wal_recycle: DURABILITY,
  wal_consistency_checking: DURABILITY,
  summarize_wal: DURABILITY,
  data_sync_retry: DURABILITY,
  recovery_init_sync_method: DURABILITY,
  restart_after_crash: START,
  data_directory: START,
  allow_alter_system: START,
  config_file: START,
  hba_file: START,
  ident_file: START,
  external_pid_file: START,
  recovery_prefetch: START,
  allow_in_place_tablespaces: START,
  listen_addresses: ADDRESS,
  port: ADDRESS,
  unix_socket_directories: ADDRESS,
  unix_socket_group: ADDRESS,
  unix_socket_permissions: ADDRESS,
  cluster_name: ADDRESS,
  hot_standby: REPLICATION,
  primary_conninfo: REPLICATION,
  primary_slot_name: REPLICATION,
  synchronous_standby_names: REPLICATION,
  synchronized_standby_slots: REPLICATION,
  sync_replication_slots: REPLICATION,
  promote_trigger_file: REPLICATION,
  archive_mode: ARCHIVE,
  archive_command: ARCHIVE,
  archive_library: ARCHIVE,
  archive_timeout: ARCHIVE,
  archive_cleanup_command: ARCHIVE,
  restore_command: ARCHIVE,
  recovery_end_command: ARCHIVE,
  io_method: PAGES,
  debug_io_direct: PAGES,
  ignore_checksum_failure: PAGES,
  zero_damaged_pages: PAGES,
  ignore_system_indexes: PAGES,
  ssl: TLS,
  ssl_cert_file: TLS,
  ssl_key_file: TLS,
  ssl_ca_file: TLS,
  ssl_crl_file: TLS,
  ssl_crl_dir: TLS,
  ssl_passphrase_command: TLS,
  ssl_passphrase_command_supports_reload: TLS,
  logging_collector: LOGS,
  log_destination: LOGS,
  log_line_prefix: 'the log is JSON, and each line has all that a prefix could say',
};

/** Values that a setting may have where PostgreSQL takes more of them, and why not those. */
const CHOICES: ReadonlyMap<string, { readonly values: readonly string[]; readonly why: string }> = new Map([
  [
    'wal_level',
    { values: ['replica', 'logical'], why: "it must be 'replica' or 'logical': with less the volume would not get every change" },
  ],
]);

function ownedBecause(name: string): string | undefined {
  if (name.startsWith('recovery_target')) return ARCHIVE;
  return Object.hasOwn(OWNED_PARAMETERS, name) ? OWNED_PARAMETERS[name] : undefined;
}

export interface RefusedParameter {
  readonly name: string;
  readonly why: string;
}

/**
 * Splits a manifest's parameters into those handed to PostgreSQL (names in lower case, sorted) and those refused.
 * Names are PostgreSQL's: letters, digits and underscores, with one dot for an extension's settings. The compute agent
 * refuses the same ones and would not start with them, so what it gets must have passed here.
 */
export function splitParameters(parameters: Readonly<Record<string, string>>): {
  readonly accepted: Readonly<Record<string, string>>;
  readonly refused: readonly RefusedParameter[];
} {
  const accepted: Record<string, string> = {};
  const refused: RefusedParameter[] = [];
  for (const [name, value] of Object.entries(parameters).sort(([a], [b]) => (a < b ? -1 : 1))) {
    const canonical = name.toLowerCase();
    const owned = ownedBecause(canonical);
    const choice = CHOICES.get(canonical);
    if (!/^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?$/.test(canonical))
      refused.push({ name, why: 'it is not the name of a PostgreSQL setting' });
    else if (owned !== undefined) refused.push({ name, why: owned });
    else if (choice?.values.includes(value) === false) refused.push({ name, why: choice.why });
    else if (/[\n\r\0]/.test(value)) refused.push({ name, why: 'its value holds a line break or a zero byte' });
    else accepted[canonical] = value;
  }
  return { accepted, refused };
}
