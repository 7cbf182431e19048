import { availableParallelism, totalmem } from 'node:os';
import { isMainThread } from 'node:worker_threads';
import { Registry } from 'prom-client';
import { systemClock } from '@kube-aurora/clock';
import { Shutdown, collectProcessMetrics, createLogger, describeConfig, letHeapGrow, runMain, serveStatus } from '@kube-aurora/process';
import { credentialsOf } from '@kube-aurora/rpc';
import { ProgramTls } from '@kube-aurora/tls';
import { loadWalCut } from '@kube-aurora/wal-cut';
import { accessFiles } from './access/access-files.ts';
import { LoginRules } from './access/login-rules.ts';
import { Adviser, type PageCounts } from './advice/adviser.ts';
import { Agent } from './agent.ts';
import { computePhases } from './compute-phases.ts';
import { CONFIG_SCHEMA, readAgentConfig } from './config.ts';
import { CustomMetrics } from './custom-queries/custom-metrics.ts';
import { CustomQueries } from './custom-queries/custom-queries.ts';
import { PlaceFile } from './election/place-settings.ts';
import { createInsightsMetrics } from './insights/insights-metrics.ts';
import { Insights } from './insights/insights.ts';
import { clientConnections } from './load/client-connections.ts';
import { LoadMeter } from './load/load-meter.ts';
import { cpuSecondsOfTree } from './load/process-cpu.ts';
import { createMetrics } from './metrics.ts';
import { preparePostgresPaths } from './postgres-paths.ts';
import { readCacheFile, type CacheCounters } from './postgres/cache-file.ts';
import { SUPERUSER } from './postgres/local-client.ts';
import { RolePasswords } from './postgres/role-passwords.ts';
import { WrittenDirectory } from './postgres/written-directory.ts';
import { connectSegments } from './segments.ts';
import { PostgresSettings } from './settings/postgres-settings.ts';
import { settingsFiles } from './settings/settings-files.ts';
import { trySettings } from './settings/settings-trial.ts';
import { ServerTls } from './tls/server-tls.ts';
import { runTokenPort } from './token-port/run-token-port.ts';
import { TokenPortThread } from './token-port/token-port-thread.ts';

/** How long a stop waits for storage to take PostgreSQL's last WAL; pods get 30 s to end. */
const QUORUM_WAIT_MS = 25_000;
/** Pages pass through it by the thousand a second: 40 to 60 MiB of them between two collections. */
const HEAP_GROWTH_PERCENT = 200;

if (process.argv.includes('--help')) {
  process.stdout.write(`kube-aurora compute agent\n\n${describeConfig(CONFIG_SCHEMA)}\n`);
  process.exit(0);
}

let agent: Agent | undefined;
const logger = createLogger('compute-agent', {
  who: { cluster: process.env['AURORA_CLUSTER'], instance: process.env['AURORA_INSTANCE'] },
  also: () => ({ epoch: agent?.epoch }),
});

/** Everything but what has a thread of its own. */
async function runAgent(): Promise<void> {
  letHeapGrow(HEAP_GROWTH_PERCENT);
  loadWalCut(process.env['AURORA_WAL_CUT']);
  const config = readAgentConfig(process.env, process.argv.slice(2));
  const registry = new Registry();
  collectProcessMetrics(registry);
  const clock = systemClock();
  const tls = await ProgramTls.open({ directory: config.identityDir, clock, logger });
  tls.registerMetrics(registry);
  const segments = connectSegments(config.storage, clock, credentialsOf(tls.mutual));
  const paths = await preparePostgresPaths(config.dataDir, process.env);
  const { installation, account, trialDir } = paths;
  // The container's limit where there is one.
  const memoryBytes = Math.min(process.constrainedMemory() || Infinity, totalmem());
  const trialOptions = { postgres: installation.postgres, account, memoryBytes };
  const clientTls = new ServerTls({
    directory: config.tlsDir,
    clientCaFile: config.clientCaFile,
    runDir: paths.runDir,
    account,
    trial: (own) => trySettings({ ...trialOptions, scratchDir: `${trialDir}-tls` }, new Map(Object.entries(own))),
    clock,
    logger,
  });
  const settings = new PostgresSettings({
    files: settingsFiles(config.settingsDir),
    trial: (parameters) =>
      trySettings({ ...trialOptions, scratchDir: trialDir }, new Map([...parameters, ...Object.entries(clientTls.settings)])),
    clock,
    logger,
  });
  const rules = new LoginRules({ files: accessFiles(config.settingsDir), clock, logger });
  const passwords = new RolePasswords({
    roles: [
      { role: SUPERUSER, passwordFile: config.superuserPasswordFile },
      { role: config.appUser, passwordFile: config.appPasswordFile },
    ],
    clock,
    logger,
  });
  const { instance, volumeExists } = config;
  const place = await PlaceFile.open({
    directory: config.settingsDir,
    instance,
    given: {
      tier: config.promotionTier,
      failoverAfterMs: config.failoverAfterMs,
      drainMs: config.switchoverDrainMs,
      warmPagesPerSecond: config.warmPagesPerSecond,
    },
    leaseMs: config.leaseMs,
    clock,
    logger,
  });
  const directory = new WrittenDirectory({ clock, logger });
  const { phases, roles } = computePhases({
    config,
    paths,
    segments,
    settings,
    rules,
    tls: clientTls,
    directory,
    place,
    passwords,
    connectAgent: tls.statusConnect(['compute']),
    clock,
    logger,
  });
  const cache = (): CacheCounters | undefined => readCacheFile(paths.dataDir);
  const meter = new LoadMeter({
    connections: () => {
      const { pgListen, writerPort, tokenPort: token } = config;
      const others = [writerPort?.port, token?.port, token?.writerPort].filter((port) => port !== undefined);
      return clientConnections([pgListen, ...others.map((port) => ({ host: pgListen.host, port }))]);
    },
    cpuSeconds: () => cpuSecondsOfTree(process.pid),
    cpus: availableParallelism(),
    clock,
    logger,
  });
  const isServing = (): boolean => agent?.phase === 'running';
  const insights = new Insights({
    isServing,
    socket: { dir: paths.runDir, port: config.pgListen.port },
    clock,
    logger: logger.child({ part: 'insights' }),
  });
  const pages = (): PageCounts | undefined => {
    const counted = insights.statistics.statistics;
    const fetched = cache()?.pagesFetched;
    if (counted === undefined || fetched === undefined) return undefined;
    return { atMs: clock.now(), wanted: counted.buffersHit + counted.buffersRead, fromStorage: fetched };
  };
  const adviser = new Adviser({
    isServing,
    socket: { dir: paths.runDir, port: config.pgListen.port },
    loadPerCore: () => {
      const sessions = insights.status.load?.sessions;
      return sessions === undefined ? undefined : sessions / availableParallelism();
    },
    pages,
    clock,
    logger: logger.child({ part: 'advice' }),
  });
  const customQueries = new CustomQueries({
    directory: config.queriesDir,
    socket: { dir: paths.runDir, port: config.pgListen.port },
    database: config.appDatabase,
    isServing,
    onAnswered: () => customMetrics.show(customQueries.series),
    clock,
    logger: logger.child({ part: 'queries' }),
  });
  const customMetrics = new CustomMetrics(registry, () => customQueries.failures);
  const running = new Agent({
    roles,
    instance,
    volumeExists,
    segments,
    phases,
    settings,
    rules,
    tls: clientTls,
    passwords,
    directory,
    cache,
    place: config.role === 'auto' ? place : undefined,
    load: () => meter.load(),
    insights,
    advice: adviser,
    customQueries,
    clock,
    logger,
  });
  agent = running;
  const metrics = createMetrics(registry, running.gauges);
  createInsightsMetrics(registry, insights);
  const tokenPort =
    config.tokenPort === undefined
      ? undefined
      : new TokenPortThread({
          places: {
            host: config.pgListen.host,
            port: config.tokenPort.port,
            writerPort: config.tokenPort.writerPort,
            postgresPort: config.pgListen.port,
            settingsDir: config.settingsDir,
            reviewDir: config.tokenPort.reviewDir,
            runDir: paths.runDir,
            clientSocketDir: paths.clientSocketDir,
          },
          program: new URL(import.meta.url),
          onLogin: (outcome) => metrics.tokenLogins.inc({ outcome }),
          onChange: () => running.version.changed(),
          clock,
          logger: logger.child({ part: 'token-port' }),
        });
  const shutdown = new Shutdown(logger);
  const server = await serveStatus({
    listen: config.metricsListen,
    registry,
    live: () => ({ ok: true, message: running.phase }),
    ready: () => running.ready(),
    status: () => ({ ...running.status(), tokenPort: tokenPort?.status, identity: tls.status }),
    door: tls.statusDoor(['operator', 'compute']),
    version: running.version,
    actions: { '/promote': (asked) => running.actions.promote(asked), '/drain': () => running.actions.drain() },
  });
  shutdown.add('certificates', () => tls.stop());
  shutdown.add('status server', () => server.close());
  shutdown.add('load meter', () => meter.stop());
  shutdown.add('insights', () => {
    insights.stop();
    adviser.stop();
    customQueries.stop();
  });
  shutdown.add('failover settings', () => place.stop());
  shutdown.add('storage connections', () => {
    for (const { client } of segments) client.close();
  });
  // After PostgreSQL, which tells its clients that it ends.
  shutdown.add('token port', () => tokenPort?.stop());
  shutdown.add('PostgreSQL', () => running.stop(QUORUM_WAIT_MS), QUORUM_WAIT_MS + 15_000);
  shutdown.onSignals(() => running.exitCode);
  void insights.run();
  void adviser.run();
  void customQueries.run();
  void tokenPort?.run();
  await running.run(metrics);
}

if (isMainThread) await runMain(logger, runAgent);
else await runTokenPort(logger.child({ part: 'token-port' }));
