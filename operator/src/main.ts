import { randomBytes, randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { performance } from 'node:perf_hooks';
import { loadKubeConfig } from '@kube-aurora/kube-http';
import { createLogger, describeConfig, EXIT, readConfig, runMain, serveStatus, Shutdown } from '@kube-aurora/process';
import { configSchema } from './config.ts';
import { KubeClient } from './kube/client.ts';
import { ELECTION_TIMES } from './leader/election.ts';
import { LeaseKeeper } from './leader/lease-keeper.ts';
import { Operator, timer } from './operator.ts';

const logger = createLogger('operator', { who: { instance: process.env['POD_NAME'] } });

async function main(): Promise<void> {
  const argv = process.argv.slice(2);
  if (argv.includes('--help')) {
    process.stdout.write(`kube-aurora operator\n\n${describeConfig(configSchema)}\n`);
    return;
  }
  const settings = readConfig(configSchema, process.env, argv);
  const shutdown = new Shutdown(logger);
  const api = new KubeClient({ loadConfig: () => loadKubeConfig(process.env) });
  const electing = settings.leaderElection === 'on';
  let keeper: LeaseKeeper | undefined;
  const leading = (): boolean => !electing || keeper?.leading === true;
  const operator = new Operator({
    api,
    config: () => api.config,
    logger,
    watchNamespace: settings.watchNamespace ?? '',
    images: {
      storageDaemon: settings.storageDaemonImage ?? 'kube-aurora/storage-daemon',
      computeNode: settings.computeNodeImage ?? 'kube-aurora/compute-node',
    },
    holdsProtected: settings.deletionProtection === 'finalizer',
    resyncMs: settings.resyncSeconds * 1000,
    concurrency: settings.concurrency,
    leading,
    now: Date.now,
    random: Math.random,
    newPassword: () => randomBytes(24).toString('base64url'),
    randomBytes,
    tokenReviewer:
      settings.tokenReviewer === undefined
        ? undefined
        : { namespace: settings.operatorNamespace ?? 'default', name: settings.tokenReviewer },
    certificateSpreadMs: settings.certificateSpreadSeconds * 1000,
  });
  const web = await serveStatus({
    listen: settings.metricsListen,
    registry: operator.metrics.registry,
    live: () => operator.live(),
    ready: () => operator.ready(),
    status: () => operator.status(),
  });
  shutdown.add('status server', () => web.close());
  logger.info(
    { port: web.port, watches: settings.watchNamespace ?? 'all namespaces', leaderElection: settings.leaderElection },
    'operator starts',
  );
  shutdown.onSignals();
  if (electing) {
    keeper = new LeaseKeeper({
      api,
      namespace: settings.operatorNamespace ?? 'default',
      name: settings.leaseName ?? 'kube-aurora-operator',
      identity: settings.identity ?? `${hostname()}_${randomUUID()}`,
      times: ELECTION_TIMES,
      logger,
      monotonic: () => performance.now(),
      setTimer: timer,
      onElected: () => {
        logger.info('leading');
        void operator.start();
      },
      onLost: () => {
        logger.error('the lease was lost: another operator may lead now; ending');
        process.exit(EXIT.internal);
      },
    });
    const elected = keeper;
    shutdown.add('lease', () => elected.stop());
    elected.start();
  } else void operator.start();
  shutdown.add('operator', () => operator.stop());
  const watchdog = setInterval(() => {
    const health = operator.live();
    if (!health.ok) throw new Error(health.message);
  }, 60_000);
  shutdown.add('watchdog', () => clearInterval(watchdog));
}

await runMain(logger, main);
