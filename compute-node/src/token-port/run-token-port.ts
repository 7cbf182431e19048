import { parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '@kube-aurora/clock';
import type { Logger } from '@kube-aurora/process';
import { textOf } from '../postgres/mounted-file.ts';
import { localPostgres } from './local-postgres.ts';
import { readLogins } from './logins.ts';
import { ShownCertificate } from './shown-certificate.ts';
import { TokenPort } from './token-port.ts';
import { reviewAtApiServer } from './token-review.ts';

/** What a thread that serves the port is started with. */
export interface TokenPortPlaces {
  readonly host: string;
  readonly port: number;
  readonly writerPort: number | undefined;
  /** PostgreSQL's port, in the names of its sockets. */
  readonly postgresPort: number;
  readonly settingsDir: string | undefined;
  readonly reviewDir: string | undefined;
  readonly runDir: string;
  readonly clientSocketDir: string;
}

export const LOGINS_FILE = 'logins.json';

/** Serves the port in a thread of its own, until that is ended: all that it needs stands in files. */
export async function runTokenPort(logger: Logger): Promise<void> {
  const places = workerData as TokenPortPlaces;
  const { host, port, writerPort, settingsDir, reviewDir, runDir, postgresPort, clientSocketDir } = places;
  const clock = systemClock();
  const tokenPort = new TokenPort({
    host,
    port,
    writerPort,
    certificate: new ShownCertificate(runDir, clock),
    logins: async () => readLogins(await textOf(settingsDir, LOGINS_FILE)),
    review: reviewAtApiServer(reviewDir),
    postgres: localPostgres({ dir: runDir, port: postgresPort }, { dir: clientSocketDir, port: postgresPort }),
    onLogin: (outcome) => parentPort?.postMessage(outcome),
    clock,
    logger,
  });
  const ports = await tokenPort.listen();
  logger.info({ host, ports }, 'takes tokens of ServiceAccounts for passwords');
}
