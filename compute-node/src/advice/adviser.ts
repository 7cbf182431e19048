import type { Clock } from '@kube-aurora/clock';
import type { Logger } from '@kube-aurora/process';
import { connectSuperuser, letGo, type LocalSocket } from '../postgres/local-client.ts';
import { quietSession } from '../postgres/quiet-session.ts';
import { adviceOf, ADVICE_MAX, type Advice, type Finding } from './finding.ts';
import { lookAtDatabase, lookAtServer } from './look-around.ts';
import { cache, type CacheUse } from './server-advice.ts';

/** Shown in pg_stat_activity. */
const APPLICATION_NAME = 'kube-aurora advice';
const FIRST_MS = 30_000;
const EVERY_MS = 600_000;
/** An overloaded writer is asked once it is no more; so often it is looked whether it is. */
const BUSY_MS = 60_000;
const STATEMENT_MS = 5000;
const ANSWER_MS = 8000;
const SETTINGS = quietSession(STATEMENT_MS, ['default_transaction_read_only=on']);

/** Pages since PostgreSQL started. */
export interface PageCounts {
  readonly atMs: number;
  readonly wanted: number;
  readonly fromStorage: number;
}

export interface AdviserOptions {
  readonly socket: LocalSocket;
  readonly isServing: () => boolean;
  /** Sessions at work now for each core that there is; undefined while nobody knows. */
  readonly loadPerCore: () => number | undefined;
  /** Undefined while nobody knows. */
  readonly pages: () => PageCounts | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface AdviceStatus {
  /** Most urgent first, ten at most. */
  readonly findings: readonly Advice[];
  /** How many more there are. */
  readonly more: number;
  /** RFC 3339; undefined before the first look. */
  readonly lookedAt: string | undefined;
  /** What could not be looked at, and why. */
  readonly failing: readonly string[];
}

/**
 * Looks around in a writer's databases, every ten minutes, one short connection after the other. Nothing waits for it, nothing follows from what it
 * finds, and a writer that has more to do than it has cores for is left alone.
 */
export class Adviser {
  readonly #options: AdviserOptions;
  readonly #stopping = new AbortController();
  #all: readonly Advice[] = [];
  #failing: readonly string[] = [];
  #lookedAt: string | undefined;
  #pages: PageCounts | undefined;

  constructor(options: AdviserOptions) {
    this.#options = options;
  }

  get status(): AdviceStatus {
    return {
      findings: this.#all.slice(0, ADVICE_MAX),
      more: Math.max(0, this.#all.length - ADVICE_MAX),
      lookedAt: this.#lookedAt,
      failing: this.#failing,
    };
  }

  /** Resolves once it was stopped; never rejects. */
  async run(): Promise<void> {
    const { clock, isServing, loadPerCore } = this.#options;
    const { signal } = this.#stopping;
    await clock.sleep(FIRST_MS, signal);
    while (!signal.aborted) {
      const load = loadPerCore();
      const mayLook = isServing() && load !== undefined && load <= 1;
      if (mayLook) await this.look();
      else if (!isServing()) this.#forget();
      await clock.sleep(mayLook ? EVERY_MS : BUSY_MS, signal);
    }
  }

  stop(): void {
    this.#stopping.abort();
  }

  /** Looks once. */
  async look(): Promise<void> {
    const { clock, logger } = this.#options;
    const failing: string[] = [];
    const failed = (where: string, error: unknown): void => {
      const message = error instanceof Error ? error.message : String(error);
      failing.push(`${where}: ${message}`);
      if (!this.#failing.includes(`${where}: ${message}`))
        logger.warn({ where, reason: message }, 'could not look what there is to advise');
    };
    const found: Finding[] = [...this.#lookAtCache()];
    try {
      const server = await this.#ask('postgres', lookAtServer);
      if (server === undefined) {
        this.#forget();
        return;
      }
      found.push(...server.found);
      for (const database of server.databases) {
        if (this.#stopping.signal.aborted) return;
        try {
          found.push(...(await this.#ask(database, (client) => lookAtDatabase(client, database))));
        } catch (error) {
          failed(database, error);
        }
      }
    } catch (error) {
      failed('postgres', error);
    }
    const now = new Date(clock.wallTime()).toISOString();
    this.#all = adviceOf(found, this.#all, now);
    this.#failing = failing;
    this.#lookedAt = now;
  }

  async #ask<T>(database: string, work: (client: Awaited<ReturnType<typeof connectSuperuser>>) => Promise<T>): Promise<T> {
    const client = await connectSuperuser(this.#options.socket, {
      database,
      applicationName: APPLICATION_NAME,
      settings: SETTINGS,
      answerWithinMs: ANSWER_MS,
    });
    try {
      return await work(client);
    } finally {
      letGo(client);
    }
  }

  #lookAtCache(): readonly Finding[] {
    const now = this.#options.pages();
    const before = this.#pages;
    this.#pages = now;
    if (now === undefined || before === undefined || now.wanted < before.wanted || now.fromStorage < before.fromStorage) return [];
    const use: CacheUse = {
      wanted: now.wanted - before.wanted,
      fromStorage: now.fromStorage - before.fromStorage,
      seconds: (now.atMs - before.atMs) / 1000,
    };
    return use.seconds > 0 ? cache(use) : [];
  }

  /** It is another PostgreSQL's, or a reader's by now. */
  #forget(): void {
    this.#all = [];
    this.#failing = [];
    this.#lookedAt = undefined;
    this.#pages = undefined;
  }
}
