import { Worker } from 'node:worker_threads';
import type { Clock } from '@kube-aurora/clock';
import type { Logger } from '@kube-aurora/process';
import { textOf } from '../postgres/mounted-file.ts';
import { readLogins } from './logins.ts';
import { LOGINS_FILE, type TokenPortPlaces } from './run-token-port.ts';
import type { LoginOutcome } from './token-port.ts';

/** How often it is looked whether anybody may log in by a token; also how long the port stays away after a fault. */
const LOOK_EVERY_MS = 1000;

/**
 * Has the token port served while there are logins for it, in a thread of its own: what its clients send and get passes through it, and must not
 * hold up this one, through which commits go. Without logins there is no thread and no port.
 */
export class TokenPortThread {
  readonly #places: TokenPortPlaces;
  readonly #program: URL;
  readonly #onLogin: (outcome: LoginOutcome) => void;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #over = new AbortController();
  #worker: Worker | undefined;
  #complaint = '';

  constructor(options: {
    places: TokenPortPlaces;
    /** What the thread runs: it calls runTokenPort. */
    program: URL;
    onLogin: (outcome: LoginOutcome) => void;
    clock: Clock;
    logger: Logger;
  }) {
    this.#places = options.places;
    this.#program = options.program;
    this.#onLogin = options.onLogin;
    this.#clock = options.clock;
    this.#logger = options.logger;
  }

  /** Resolves once it was stopped. */
  async run(): Promise<void> {
    const { signal } = this.#over;
    while (!signal.aborted) {
      try {
        const isWanted = await this.#isWanted();
        if (signal.aborted) break;
        if (isWanted) this.#worker ??= this.#start();
        else await this.#end();
      } catch (error) {
        this.#logger.error({ err: error }, 'the token port could not be looked after; trying again');
      }
      await this.#clock.sleep(LOOK_EVERY_MS, signal);
    }
    await this.#end();
  }

  /** Ends the port, and the sessions that came by it. */
  async stop(): Promise<void> {
    this.#over.abort();
    await this.#end();
  }

  /** A file that is wrong is no reason to end the sessions that there are: nobody new is let in by it. */
  async #isWanted(): Promise<boolean> {
    const read = readLogins(await textOf(this.#places.settingsDir, LOGINS_FILE));
    const complaint = read.kind === 'malformed' ? read.why : '';
    if (complaint !== '' && complaint !== this.#complaint) this.#logger.error({ why: complaint }, 'nobody can log in by a token');
    this.#complaint = complaint;
    return read.kind === 'malformed' ? this.#worker !== undefined : read.logins.logins.length > 0;
  }

  #start(): Worker {
    const worker = new Worker(this.#program, { workerData: this.#places });
    worker.on('message', this.#onLogin);
    worker.on('error', (error) => this.#logger.error({ err: error }, 'the token port ended by a fault; its sessions are cut off'));
    worker.on('exit', () => {
      if (this.#worker === worker) this.#worker = undefined;
    });
    return worker;
  }

  async #end(): Promise<void> {
    const worker = this.#worker;
    if (worker === undefined) return;
    this.#worker = undefined;
    await worker.terminate();
    this.#logger.info('the token port is closed');
  }
}
