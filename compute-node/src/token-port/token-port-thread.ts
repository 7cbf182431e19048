import { Worker } from 'node:worker_threads';
import type { Clock } from '@kube-aurora/clock';
import type { Logger } from '@kube-aurora/process';
import { textOf } from '../postgres/mounted-file.ts';
import { readLogins } from './logins.ts';
import { LOGINS_FILE, type TokenPortPlaces, type TokenPortWord } from './run-token-port.ts';
import type { LoginOutcome } from './token-port.ts';

/**
 * How the port is. `closed`: nobody may log in by a token, so there is none. `opening`: it is about to listen. `listening`, with a message:
 * it is open, and nobody would get in.
 */
export interface TokenPortStatus {
  readonly state: 'closed' | 'opening' | 'listening' | 'failed';
  /** RFC 3339: since when that is so. */
  readonly since: string;
  /** What is wrong, for people; empty when nothing is. */
  readonly message: string;
}

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
  readonly #onChange: () => void;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #over = new AbortController();
  #worker: Worker | undefined;
  #complaint = '';
  #status: TokenPortStatus;

  constructor(options: {
    places: TokenPortPlaces;
    /** What the thread runs: it calls runTokenPort. */
    program: URL;
    onLogin: (outcome: LoginOutcome) => void;
    /** The status is another. */
    onChange: () => void;
    clock: Clock;
    logger: Logger;
  }) {
    this.#places = options.places;
    this.#program = options.program;
    this.#onLogin = options.onLogin;
    this.#onChange = options.onChange;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#status = { state: 'closed', since: new Date(this.#clock.wallTime()).toISOString(), message: '' };
  }

  /** A file that nobody can be let in by is told of before anything else. */
  get status(): TokenPortStatus {
    return this.#complaint === '' ? this.#status : { ...this.#status, message: this.#complaint };
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
    if (complaint !== this.#complaint) {
      this.#complaint = complaint;
      this.#onChange();
    }
    return read.kind === 'malformed' ? this.#worker !== undefined : read.logins.logins.length > 0;
  }

  #start(): Worker {
    const worker = new Worker(this.#program, { workerData: this.#places });
    // One that failed a moment ago says so until it listens.
    if (this.#status.state !== 'failed') this.#become('opening');
    worker.on('message', (word: TokenPortWord) => {
      if (word.kind === 'login') this.#onLogin(word.outcome);
      else if (this.#worker === worker) this.#become('listening', word.kind === 'trouble' ? word.why : '');
    });
    worker.on('error', (error) => {
      this.#logger.error({ err: error }, 'the token port ended by a fault; its sessions are cut off');
      if (this.#worker === worker) this.#become('failed', error instanceof Error ? error.message : String(error));
    });
    worker.on('exit', () => {
      if (this.#worker === worker) this.#worker = undefined;
    });
    return worker;
  }

  #become(state: TokenPortStatus['state'], message = ''): void {
    if (this.#status.state === state && this.#status.message === message) return;
    this.#status = { state, since: new Date(this.#clock.wallTime()).toISOString(), message };
    this.#onChange();
  }

  async #end(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    this.#become('closed');
    if (worker === undefined) return;
    await worker.terminate();
    this.#logger.info('the token port is closed');
  }
}
