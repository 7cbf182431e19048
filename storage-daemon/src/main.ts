import { getHeapStatistics } from 'node:v8';
import { AppendLanes } from '@kube-aurora/append-lane';
import { systemClock } from '@kube-aurora/clock';
import {
  collectProcessMetrics,
  compileEarly,
  ConfigError,
  createLogger,
  describeConfig,
  garbageCollector,
  letHeapGrow,
  MemoryWatch,
  readConfig,
  runMain,
  serveStatus,
  Shutdown,
} from '@kube-aurora/process';
import { loadPageRedo, postgres18 } from '@kube-aurora/redo';
import { Registry } from 'prom-client';
import { EngineRegistry } from '@kube-aurora/redo-engine';
import { DAEMON_CONFIG } from './config.ts';
import { Daemon } from './daemon.ts';
import { systemDisk } from './disk/system-disk.ts';
import { systemNetwork } from './edge/daemon-network.ts';
import type { DaemonMetrics } from './metrics.ts';
import { REPAIR_COMMAND, REPAIR_HELP, repairEpochs } from './repair/command.ts';
import { credentialsOf, parseEndpoints, type Endpoint } from '@kube-aurora/rpc';
import { ProgramTls } from '@kube-aurora/tls';
import { heldKeys } from './held-keys.ts';
import { memoryShare } from './memory-share.ts';
import { openKeys } from './open-keys.ts';
import { DEFAULT_LIMITS } from './segment/limits.ts';

/** Some 25 MiB between two collections, which pages are that somebody reads: what it may take in all is bounded (memory-share.ts). */
const HEAP_GROWTH_PERCENT = 100;

/** Between two looks at the disk: a writer's lease, and fifteen readers that say where they are, come to a third of it. */
const IDLE_TRAFFIC_BYTES = 16 * 1024;

letHeapGrow(HEAP_GROWTH_PERCENT);
compileEarly();
const logger = createLogger('storage-daemon', {
  who: { cluster: process.env['AURORA_CLUSTER'], instance: process.env['AURORA_DAEMON_ID'] },
});
const MIB = 1024 * 1024;

function readPeers(text: string): Endpoint[] {
  try {
    return parseEndpoints(text, 'plain');
  } catch (error) {
    throw new ConfigError([`--peers (AURORA_PEERS): ${error instanceof Error ? error.message : String(error)}`]);
  }
}

await runMain(logger, async () => {
  const argv = process.argv.slice(2);
  if (argv[0] === REPAIR_COMMAND) {
    const lines = argv.includes('--help') ? [REPAIR_HELP] : await repairEpochs(systemDisk(), process.env, argv.slice(1));
    process.stdout.write(`${lines.join('\n')}\n`);
    return;
  }
  if (argv.includes('--help')) {
    process.stdout.write(`Keeps one copy of volumes' redo and pages.\n\n${describeConfig(DAEMON_CONFIG)}\n\n${REPAIR_HELP}\n`);
    return;
  }
  const config = readConfig(DAEMON_CONFIG, process.env, argv);
  const shutdown = new Shutdown(logger);
  shutdown.onSignals();
  const clock = systemClock();
  const tls = await ProgramTls.open({ directory: config.identityDir, clock, logger });
  shutdown.add('certificates', () => tls.stop());
  const keys = await openKeys(config, heldKeys(systemDisk(), config.dataDir), clock, logger);
  shutdown.add('keys', () => keys?.stop());
  const door = tls.statusDoor(['operator']);
  // A KMS may be away for long: meanwhile it is said what is waited for.
  let waitingRoom: { readonly close: () => Promise<void> } | undefined;
  const mayBegin = await keys?.begin(async () => {
    waitingRoom = await serveStatus({
      listen: config.metricsListen,
      registry: new Registry(),
      live: () => ({ ok: true, message: 'ok' }),
      ready: () => ({ ok: false, message: `waits for its key: ${keys.status.problem ?? ''}` }),
      status: () => ({ daemonId: config.daemonId, zone: config.zone, segments: [], identity: tls.status, encryption: keys.status }),
      door,
    });
  });
  await waitingRoom?.close();
  if (mayBegin === false) return;
  const memory = memoryShare(config.memoryMib);
  const watch = new MemoryWatch({
    garbageBytes: memory.garbageBytes,
    littleWork: IDLE_TRAFFIC_BYTES,
    bufferBytes: () => getHeapStatistics().external_memory,
    collect: garbageCollector(),
  });
  loadPageRedo(process.env['AURORA_PAGE_REDO']);
  let metrics: DaemonMetrics | undefined;
  const daemon = await Daemon.start({
    dataDirectory: config.dataDir,
    listen: config.listen,
    framesListen: config.framesListen,
    daemonId: config.daemonId,
    zone: config.zone,
    peers: readPeers(config.peers),
    limits: {
      ...DEFAULT_LIMITS,
      ...memory.limits,
      checkpointBytes: config.checkpointMib * MIB,
      logRetainBytes: config.logRetainMib * MIB,
      diskReserveBytes: config.diskReserveMib * MIB,
    },
    scrubBytesPerSecond: config.scrubBytesPerSecond,
    ...(config.standInAfterSeconds > 0 ? { standInAfterMs: config.standInAfterSeconds * 1000 } : {}),
    logger,
    keys,
    disk: systemDisk((seconds) => metrics?.syncSeconds.note(seconds)),
    engines: new EngineRegistry([postgres18]),
    network: systemNetwork(clock, credentialsOf(tls.mutual), await AppendLanes.load(process.env['AURORA_APPEND_LANE'], clock)),
    clock,
    onLook: (worked) => {
      if (watch.look(worked)) metrics?.idleCollections.inc();
    },
  });
  ({ metrics } = daemon);
  collectProcessMetrics(metrics.registry);
  tls.registerMetrics(metrics.registry);
  shutdown.add('daemon', () => daemon.stop());
  // For as long as the program runs.
  void keys?.watch(async (isNews) => {
    if (!isNews || !daemon.lacksKeys) return daemon.rewrap();
    logger.warn('ends, to begin anew with the keys that are here now');
    await shutdown.run();
    process.exit(0);
  });
  const status = await serveStatus({
    listen: config.metricsListen,
    registry: daemon.metrics.registry,
    live: () => ({ ok: true, message: 'ok' }),
    ready: () => daemon.readiness(),
    status: () => ({ ...daemon.status(), identity: tls.status, ...(keys === undefined ? {} : { encryption: keys.status }) }),
    door,
  });
  shutdown.add('status server', () => status.close());
  logger.info(
    {
      daemonId: config.daemonId,
      zone: config.zone,
      port: daemon.port,
      framesPort: daemon.framesPort,
      segments: [...daemon.segments].length,
    },
    'storage daemon is ready',
  );
});
