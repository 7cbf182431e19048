import path from 'node:path';
import { HttpApi, loadKubeConfig } from '@kube-aurora/kube-http';
import { createLogger, describeConfig, parseAddress, readConfig, runMain, Shutdown } from '@kube-aurora/process';
import { configSchema } from './config.ts';
import { OPEN, TokenAccess } from './server/access.ts';
import { serveConsole } from './server/console-server.ts';
import { isLoopback } from './server/own-host.ts';
import { readPageFiles } from './server/page-files.ts';
import { ConsoleWatch } from './watch/console-watch.ts';
import { scrape } from './watch/scrape.ts';

const logger = createLogger('console');

async function main(): Promise<void> {
  const argv = process.argv.slice(2);
  if (argv.includes('--help')) {
    process.stdout.write(`kube-aurora console\n\n${describeConfig(configSchema)}\n`);
    return;
  }
  const settings = readConfig(configSchema, process.env, argv);
  const shutdown = new Shutdown(logger);
  const api = new HttpApi(loadKubeConfig(process.env), 'kube-aurora-console');
  const namespace = settings.watchNamespace === '' ? undefined : settings.watchNamespace;
  const watch = new ConsoleWatch({ api, namespace, scrape, now: Date.now });
  const web = await serveConsole({
    listen: settings.listen,
    page: readPageFiles(settings.pageDirectory ?? path.join(import.meta.dirname, 'page')),
    watch,
    access: settings.access === 'open' ? OPEN : new TokenAccess(api, Date.now),
    logger,
    now: Date.now,
  });
  shutdown.add('web server', () => web.close());
  if (settings.access === 'open' && !isLoopback(parseAddress(settings.listen)?.host ?? ''))
    logger.warn({ listen: settings.listen }, 'CONSOLE_ACCESS is open: whoever reaches this port sees all clusters');
  logger.info({ port: web.port, watches: namespace ?? 'all namespaces', access: settings.access }, 'console starts');
  shutdown.onSignals();
  watch.start();
  shutdown.add('watch', () => watch.stop());
}

await runMain(logger, main);
