import type { Clock } from '@kube-aurora/clock';
import type { Logger } from '@kube-aurora/process';
import { NO_RULES, type AccessFiles, type AccessRules, type ReadRules } from './access-files.ts';

/** How often the files are looked at while PostgreSQL runs. */
const LOOK_EVERY_MS = 1000;

export interface RulesStatus {
  /** Fingerprint of the lines that are wanted (access-files.ts). */
  readonly wanted: string;
  /** Of those that are in force; undefined: nobody is let in from the network. */
  readonly running: string | undefined;
  readonly state: 'applied' | 'pending' | 'refused';
  /** Why they were refused, in PostgreSQL's own words. */
  readonly message: string;
}

/** What a running PostgreSQL can be told. */
export interface GuardedServer {
  /** Has PostgreSQL read these, if it takes them; its words otherwise, and those before stay. */
  admit(rules: AccessRules): Promise<string | undefined>;
}

/**
 * Who may log in, over all starts of PostgreSQL under this agent.
 *
 * Invariant: PostgreSQL is started only with lines that it is known to take, or with none, and then lets nobody in from the network:
 * with a line that it does not take it would not start, and without a line that refuses somebody it would let them in.
 */
export class LoginRules {
  readonly #files: AccessFiles;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #wanted: ReadRules = { kind: 'read', rules: NO_RULES };
  /** In force, or of the last PostgreSQL. */
  #running: AccessRules | undefined;
  #refused: { readonly fingerprint: string; readonly words: string } | undefined;

  constructor(options: { files: AccessFiles; clock: Clock; logger: Logger }) {
    this.#files = options.files;
    this.#clock = options.clock;
    this.#logger = options.logger;
  }

  get status(): RulesStatus {
    const running = this.#running?.fingerprint;
    if (this.#wanted.kind === 'malformed')
      return { wanted: this.#wanted.fingerprint, running, state: 'refused', message: this.#wanted.why };
    const wanted = this.#wanted.rules.fingerprint;
    if (wanted === running) return { wanted, running, state: 'applied', message: '' };
    return this.#refused?.fingerprint === wanted
      ? { wanted, running, state: 'refused', message: this.#refused.words }
      : { wanted, running, state: 'pending', message: '' };
  }

  /** For the next start; undefined: nobody is let in from the network until PostgreSQL was asked. */
  async choose(): Promise<AccessRules | undefined> {
    this.#wanted = await this.#files.wanted();
    const wanted = this.#wanted.kind === 'read' ? this.#wanted.rules : undefined;
    const accepted = await this.#files.accepted();
    const isKnown = wanted?.fingerprint === accepted?.fingerprint || wanted?.lines.length === 0;
    this.#running = wanted !== undefined && isKnown ? wanted : (this.#running ?? accepted);
    return this.#running;
  }

  /** Brings the running PostgreSQL to what is wanted now. Rejects when PostgreSQL cannot be asked. */
  async look(server: GuardedServer): Promise<void> {
    this.#wanted = await this.#files.wanted();
    if (this.#wanted.kind === 'malformed') return;
    const { rules } = this.#wanted;
    if (rules.fingerprint === this.#running?.fingerprint || rules.fingerprint === this.#refused?.fingerprint) return;
    const words = await server.admit(rules);
    if (words === undefined) {
      this.#running = rules;
      this.#refused = undefined;
      this.#logger.info({ rules: rules.fingerprint, lines: rules.lines.length }, 'who may log in has changed, without a restart');
      return;
    }
    this.#refused = { fingerprint: rules.fingerprint, words };
    this.#logger.error({ rules: rules.fingerprint, words }, 'PostgreSQL refuses these lines of pg_hba.conf; those before stay');
  }

  /** The same whenever that changes, until `signal` aborts. */
  async keep(server: GuardedServer, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.look(server);
      } catch (error) {
        if (signal.aborted) return;
        this.#logger.warn({ err: error }, 'who may log in could not be brought up to date; trying again');
      }
      await this.#clock.sleep(LOOK_EVERY_MS, signal);
    }
  }
}
