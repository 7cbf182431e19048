import { ConfigError, parseAddress, readConfig, setting, type ConfigSchema } from '@kube-aurora/process';
import { parseEndpoints, type Endpoint } from '@kube-aurora/rpc';
import { IDENTITY_DIR_SETTING } from '@kube-aurora/tls';
import { COPIES, LEASE_MS_DEFAULT, LEASE_MS_MAX, LEASE_MS_MIN, rolesProblem } from '@kube-aurora/volume';

/** Less would let go of pages that PostgreSQL is about to read again. */
const CACHE_MIB_MIN = 16;
const CACHE_MIB_MAX = 64 * 1024 * 1024;
/** 7.6 GiB a second: no bound at all. */
export const WARM_PAGES_PER_SECOND_MAX = 1_000_000;
export const PROMOTION_TIER_MAX = 15;
export const FAILOVER_AFTER_MS_MIN = 500;
export const FAILOVER_AFTER_MS_MAX = 60_000;
export const SWITCHOVER_DRAIN_MS_MAX = 10_000;

/** The agent's settings; also their documentation. */
export const CONFIG_SCHEMA = {
  volumeId: { env: 'AURORA_VOLUME_ID', description: 'UUID of the volume, the same for all computes of a cluster', type: setting.text() },
  volumeExists: {
    env: 'AURORA_VOLUME_EXISTS',
    description: 'true: the volume held a database before, so that empty storage is an error and never gets a new one',
    type: setting.choice(['true', 'false'], 'false'),
  },
  role: {
    env: 'AURORA_ROLE',
    description:
      'auto: a reader while the volume has a writer, and the writer when it is elected; writer: opens the volume and takes it over from whoever has it; reader: a hot standby that follows what is durable, and never becomes the writer',
    type: setting.choice(['writer', 'reader', 'auto'], 'writer'),
  },
  promotionTier: {
    env: 'AURORA_PROMOTION_TIER',
    description:
      "with the role auto, when this compute takes a lost writer's place: of those that are there, the lowest tier goes first; failover.json in the settings directory says otherwise while we run",
    type: setting.integer(0, PROMOTION_TIER_MAX, 1),
  },
  failoverAfterMs: {
    env: 'AURORA_FAILOVER_AFTER_MS',
    description:
      "with the role auto, milliseconds for which storage hears nothing of a writer until another takes its place; a writer's dead PostgreSQL is told at once; failover.json says otherwise while we run",
    type: setting.integer(FAILOVER_AFTER_MS_MIN, FAILOVER_AFTER_MS_MAX, 2000),
  },
  switchoverDrainMs: {
    env: 'AURORA_SWITCHOVER_DRAIN_MS',
    description:
      "with the role auto, milliseconds that a writer's transactions have to end before its place is taken on purpose, while none begins; failover.json says otherwise while we run",
    type: setting.integer(0, SWITCHOVER_DRAIN_MS_MAX, 2000),
  },
  storage: {
    env: 'AURORA_STORAGE',
    description: 'the six storage daemons: comma list of id=zone=host:port/frames-port, in a fixed order',
    type: setting.text(),
  },
  dataDir: {
    env: 'AURORA_DATA_DIR',
    description: 'scratch directory for the data directory and sockets; nothing in it has to last',
    type: setting.text(),
  },
  pgListen: { env: 'AURORA_PG_LISTEN', description: 'host:port PostgreSQL listens on', type: setting.address('0.0.0.0:5432') },
  pgWriterPort: {
    env: 'AURORA_PG_WRITER_PORT',
    description:
      'a second port of PostgreSQL, for clients that want the writer: a reader passes them on to it, by AURORA_INSTANCES; 0: there is none',
    type: setting.integer(0, 65_535, 0),
  },
  tokenPort: {
    env: 'AURORA_TOKEN_PORT',
    description:
      "a port beside PostgreSQL's where tokens of ServiceAccounts are passwords, as logins.json in the settings directory says; 0: there is none",
    type: setting.integer(0, 65_535, 0),
  },
  tokenWriterPort: {
    env: 'AURORA_TOKEN_WRITER_PORT',
    description: 'a second one, for clients that want the writer: a reader refuses them; 0: there is none',
    type: setting.integer(0, 65_535, 0),
  },
  tokenReviewDir: {
    env: 'AURORA_TOKEN_REVIEW_DIR',
    description: 'directory with what the API server is asked with whether a token counts (server, ca.crt, token); read at each login',
    type: setting.optionalText(),
  },
  instances: {
    env: 'AURORA_INSTANCES',
    description: "host:port where the volume's computes take connections, with * for the name of each; needed for AURORA_PG_WRITER_PORT",
    type: setting.optionalText(),
  },
  metricsListen: {
    env: 'AURORA_METRICS_LISTEN',
    description:
      'host:port of /metrics, /healthz, /readyz, /status and, for a switchover, POST /promote and /drain; the same port on every compute',
    type: setting.address('0.0.0.0:7003'),
  },
  identityDir: IDENTITY_DIR_SETTING,
  zone: { env: 'AURORA_ZONE', description: 'our own zone; storage in it is read first', type: setting.text() },
  instance: { env: 'AURORA_INSTANCE', description: 'name of this instance (the pod)', type: setting.text() },
  superuserPasswordFile: {
    env: 'AURORA_SUPERUSER_PASSWORD_FILE',
    description: 'file with the password of the role postgres; looked at while we run',
    type: setting.text(),
  },
  appPasswordFile: {
    env: 'AURORA_APP_PASSWORD_FILE',
    description: 'file with the password of the application role; looked at while we run',
    type: setting.text(),
  },
  appUser: { env: 'AURORA_APP_USER', description: 'application role, owner of the application database', type: setting.text() },
  appDatabase: { env: 'AURORA_APP_DATABASE', description: 'application database', type: setting.text() },
  settingsDir: {
    env: 'AURORA_SETTINGS_DIR',
    description:
      "directory with the cluster's PostgreSQL parameters (parameters.json, accepted.json), who may log in (pg_hba.json, accepted-pg_hba.json, logins.json) and what holds for a failover (failover.json), looked at while we run, and initdb.json",
    type: setting.optionalText(),
  },
  initSqlDir: {
    env: 'AURORA_INIT_SQL_DIR',
    description: 'directory with the statements that initdb.json in the settings directory refers to; only for a new volume',
    type: setting.optionalText(),
  },
  queriesDir: {
    env: 'AURORA_QUERIES_DIR',
    description: "directory with YAML files of the cluster's own queries, whose answers become metrics; looked at while we run",
    type: setting.optionalText(),
  },
  tlsDir: {
    env: 'AURORA_TLS_DIR',
    description:
      "directory with the certificate that PostgreSQL shows its clients (tls.crt, tls.key; ca.crt: whose certificates clients may log in with), looked at while we run; without it clients' connections are in plain text",
    type: setting.optionalText(),
  },
  clientCaFile: {
    env: 'AURORA_CLIENT_CA_FILE',
    description:
      'file with the CA whose certificates clients may log in with, in place of ca.crt in AURORA_TLS_DIR; looked at while we run',
    type: setting.optionalText(),
  },
  ringMib: {
    env: 'AURORA_RING_MIB',
    description: 'MiB of recent redo kept in memory for segments that are behind',
    type: setting.integer(4, 4096, 32),
  },
  readAheadMib: {
    env: 'AURORA_READ_AHEAD_MIB',
    description:
      'MiB of pages held for PostgreSQL before it asks for them, when it reads in sequence, or a database for the first time; 0 reads nothing ahead',
    type: setting.integer(0, 4096, 16),
  },
  leaseMs: {
    env: 'AURORA_LEASE_MS',
    description:
      'milliseconds for which storage lets this writer answer its clients, renewed all the while; a writer that takes over from one that is silent waits for about as long',
    type: setting.integer(LEASE_MS_MIN, LEASE_MS_MAX, LEASE_MS_DEFAULT),
  },
  cacheMib: {
    env: 'AURORA_CACHE_MIB',
    description: `MiB of relation pages kept in the data directory, at least ${CACHE_MIB_MIN}; 0: half of what is free there at the start`,
    type: setting.integer(0, CACHE_MIB_MAX, 0),
  },
  warmPagesPerSecond: {
    env: 'AURORA_WARM_PAGES_PER_SECOND',
    description:
      'pages of 8 KiB a second, at most, that the reader that would be the next writer fetches of what the writer has in its cache; 0: none, and a writer tells of none. Every compute of a cluster has the same; failover.json in the settings directory says otherwise while we run',
    type: setting.integer(0, WARM_PAGES_PER_SECOND_MAX, 0),
  },
} satisfies ConfigSchema;

export interface AgentConfig {
  readonly volumeId: string;
  readonly volumeExists: boolean;
  readonly role: 'writer' | 'reader' | 'auto';
  readonly promotionTier: number;
  readonly failoverAfterMs: number;
  readonly switchoverDrainMs: number;
  readonly storage: readonly Endpoint[];
  readonly dataDir: string;
  readonly pgListen: { readonly host: string; readonly port: number };
  /** Undefined: none. */
  readonly writerPort: { readonly port: number; readonly instances: { readonly host: string; readonly port: number } } | undefined;
  /** Undefined: nobody logs in by a token. */
  readonly tokenPort:
    | { readonly port: number; readonly writerPort: number | undefined; readonly reviewDir: string | undefined }
    | undefined;
  readonly metricsListen: string;
  /** Undefined: plain text. */
  readonly identityDir: string | undefined;
  readonly zone: string;
  readonly instance: string;
  readonly superuserPasswordFile: string;
  readonly appPasswordFile: string;
  readonly appUser: string;
  readonly appDatabase: string;
  /** Undefined: PostgreSQL's own values. */
  readonly settingsDir: string | undefined;
  readonly initSqlDir: string | undefined;
  /** Undefined: there are no queries of its own. */
  readonly queriesDir: string | undefined;
  /** Undefined: clients' connections are in plain text. */
  readonly tlsDir: string | undefined;
  readonly clientCaFile: string | undefined;
  readonly ringBytesMax: number;
  readonly readAheadBytesMax: number;
  readonly leaseMs: number;
  /** 0: the next writer's cache is not warmed. */
  readonly warmPagesPerSecond: number;
  /** Undefined: half of what is free in the data directory. */
  readonly cacheBytes: number | undefined;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Reads and checks everything at once. Throws ConfigError that lists what is wrong. */
export function readAgentConfig(env: NodeJS.ProcessEnv, argv: readonly string[]): AgentConfig {
  const raw = readConfig(CONFIG_SCHEMA, env, argv);
  const problems: string[] = [];
  const attempt = <T>(what: string, fallback: T, read: () => T): T => {
    try {
      return read();
    } catch (error) {
      problems.push(`${what}: ${error instanceof Error ? error.message : String(error)}`);
      return fallback;
    }
  };
  if (!UUID.test(raw.volumeId)) problems.push(`--volume-id (AURORA_VOLUME_ID) must be a UUID, not '${raw.volumeId}'`);
  if (raw.cacheMib !== 0 && raw.cacheMib < CACHE_MIB_MIN) {
    problems.push(`--cache-mib (AURORA_CACHE_MIB) must be at least ${CACHE_MIB_MIN}, or 0 for half of what is free, not ${raw.cacheMib}`);
  }
  if (raw.role === 'auto' && raw.failoverAfterMs * 2 < raw.leaseMs) {
    problems.push(
      `--failover-after-ms (AURORA_FAILOVER_AFTER_MS) must be at least half of --lease-ms (AURORA_LEASE_MS), ${raw.leaseMs / 2}: a lease is renewed every quarter of its time, and a writer that lives may not be heard for longer than that; not ${raw.failoverAfterMs}`,
    );
  }
  const config: AgentConfig = {
    volumeId: raw.volumeId.toLowerCase(),
    volumeExists: raw.volumeExists === 'true',
    role: raw.role,
    promotionTier: raw.promotionTier,
    failoverAfterMs: raw.failoverAfterMs,
    switchoverDrainMs: raw.switchoverDrainMs,
    storage: attempt('--storage (AURORA_STORAGE)', [], () => parseStorage(raw.storage)),
    dataDir: raw.dataDir,
    pgListen: parseAddress(raw.pgListen) ?? { host: '0.0.0.0', port: 5432 },
    writerPort: attempt('--pg-writer-port (AURORA_PG_WRITER_PORT)', undefined, () => readWriterPort(raw)),
    tokenPort: attempt('--token-port (AURORA_TOKEN_PORT)', undefined, () => readTokenPort(raw)),
    metricsListen: raw.metricsListen,
    identityDir: raw.identityDir,
    zone: raw.zone,
    instance: raw.instance,
    superuserPasswordFile: raw.superuserPasswordFile,
    appPasswordFile: raw.appPasswordFile,
    appUser: raw.appUser,
    appDatabase: raw.appDatabase,
    settingsDir: raw.settingsDir,
    initSqlDir: raw.initSqlDir,
    queriesDir: raw.queriesDir,
    tlsDir: raw.tlsDir,
    clientCaFile: raw.clientCaFile,
    ringBytesMax: raw.ringMib * 1024 * 1024,
    readAheadBytesMax: raw.readAheadMib * 1024 * 1024,
    leaseMs: raw.leaseMs,
    warmPagesPerSecond: raw.warmPagesPerSecond,
    cacheBytes: raw.cacheMib === 0 ? undefined : raw.cacheMib * 1024 * 1024,
  };
  if (problems.length > 0) throw new ConfigError(problems);
  return config;
}

function readWriterPort(raw: { pgWriterPort: number; instances: string | undefined; pgListen: string }): AgentConfig['writerPort'] {
  if (raw.pgWriterPort === 0) return undefined;
  if (raw.pgWriterPort === parseAddress(raw.pgListen)?.port)
    throw new Error(`${raw.pgWriterPort} is PostgreSQL's first port (AURORA_PG_LISTEN): give another one`);
  const instances = parseAddress(raw.instances ?? '');
  if (instances === undefined || instances.host.split('*').length !== 2)
    throw new Error(`needs --instances (AURORA_INSTANCES), as '*.demo-instances.default.svc:5432', not '${raw.instances ?? ''}'`);
  return { port: raw.pgWriterPort, instances };
}

function readTokenPort(raw: {
  tokenPort: number;
  tokenWriterPort: number;
  tokenReviewDir: string | undefined;
  pgListen: string;
  pgWriterPort: number;
}): AgentConfig['tokenPort'] {
  const { tokenPort, tokenWriterPort, pgWriterPort } = raw;
  if (tokenPort === 0) return undefined;
  const taken = [parseAddress(raw.pgListen)?.port, pgWriterPort];
  if (taken.includes(tokenPort) || taken.includes(tokenWriterPort === 0 ? -1 : tokenWriterPort) || tokenPort === tokenWriterPort)
    throw new Error(`${tokenPort} and --token-writer-port (AURORA_TOKEN_WRITER_PORT) need ports of their own`);
  return { port: tokenPort, writerPort: tokenWriterPort === 0 ? undefined : tokenWriterPort, reviewDir: raw.tokenReviewDir };
}

function parseStorage(text: string): Endpoint[] {
  const storage = parseEndpoints(text, 'zoned');
  if (storage.length !== COPIES) throw new Error(`names ${storage.length} daemons, a volume has ${COPIES}`);
  const wrong = rolesProblem(storage);
  if (wrong !== undefined) throw new Error(wrong);
  return storage;
}
