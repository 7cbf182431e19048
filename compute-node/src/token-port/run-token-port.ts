import { parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '@kube-aurora/clock';
import type { Logger } from '@kube-aurora/process';
import { textOf } from '../postgres/mounted-file.ts';
import { localPostgres } from './local-postgres.ts';
import { readLogins } from './logins.ts';
import { ShownCertificate } from './shown-certificate.ts';
import { TokenPort, type LoginOutcome } from './token-port.ts';
import { reviewAtApiServer, REVIEW_ACCESS_MISSING, hasReviewAccess } from './token-review.ts';

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

/** What the thread tells the one that started it. */
export type TokenPortWord =
  | { readonly kind: 'login'; readonly outcome: LoginOutcome }
  | { readonly kind: 'listening' }
  /** Why nobody gets in although the port is open; empty: nothing is in the way. */
  | { readonly kind: 'trouble'; readonly why: string };

/** How often it is looked whether a login could succeed. */
const LOOK_EVERY_MS = 1000;

/** Serves the port in a thread of its own, until that is ended: all that it needs stands in files. */
export async function runTokenPort(logger: Logger): Promise<void> {
  const places = workerData as TokenPortPlaces;
  const { host, port, writerPort, settingsDir, reviewDir, runDir, postgresPort, clientSocketDir } = places;
  const clock = systemClock();
  const tell = (word: TokenPortWord): void => parentPort?.postMessage(word);
  const certificate = new ShownCertificate(runDir, clock);
  const reviewByApiServer = reviewAtApiServer(reviewDir);
  let unreviewed = '';
  const tokenPort = new TokenPort({
    host,
    port,
    writerPort,
    certificate,
    logins: async () => readLogins(await textOf(settingsDir, LOGINS_FILE)),
    review: async (token, audience) => {
      const answer = await reviewByApiServer(token, audience);
      unreviewed = answer.kind === 'unavailable' ? answer.why : '';
      return answer;
    },
    postgres: localPostgres({ dir: runDir, port: postgresPort }, { dir: clientSocketDir, port: postgresPort }),
    onLogin: (outcome) => tell({ kind: 'login', outcome }),
    clock,
    logger,
  });
  const ports = await tokenPort.listen();
  tell({ kind: 'listening' });
  logger.info({ host, ports }, 'takes tokens of ServiceAccounts for passwords');
  const trouble = async (): Promise<string> => {
    if ((await certificate.context()) === undefined) return 'there is no certificate for clients, and tokens are taken inside TLS alone';
    return (await hasReviewAccess(reviewDir)) ? unreviewed : REVIEW_ACCESS_MISSING;
  };
  for (let told = ''; ; await clock.sleep(LOOK_EVERY_MS)) {
    // A file that cannot be read is no reason to end the sessions that there are.
    const why = await trouble().catch((error: unknown) => (error instanceof Error ? error.message : String(error)));
    if (why !== told) tell({ kind: 'trouble', why });
    told = why;
  }
}
