import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '@kube-aurora/clock';
import type { Logger } from '@kube-aurora/process';
import type { Client } from 'pg';
import { connectSuperuser, letGo, type LocalSocket } from '../postgres/local-client.ts';
import { readQueries, type CustomQuery, type ReadQueries } from './definition.ts';
import { OVER_BOUNDS, ROWS_MAX, seriesOf, withinBounds, type Series } from './series.ts';

/** Shown in pg_stat_activity. */
const APPLICATION_NAME = 'kube-aurora queries';
const LOOK_MS = 5000;
const STATEMENT_MS = 5000;
const ANSWER_MS = 8000;
const FILES_MAX = 20;

export interface CustomQueriesOptions {
  /** Where the cluster's ConfigMap is mounted; undefined: it names none. */
  readonly directory: string | undefined;
  readonly socket: LocalSocket;
  /** The application's, for queries that name no other. */
  readonly database: string;
  readonly isServing: () => boolean;
  /** Answers, or queries, have changed. */
  readonly onAnswered: () => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface CustomQueriesStatus {
  readonly queries: number;
  /** What of the ConfigMap is not understood. */
  readonly problems: readonly string[];
  /** What PostgreSQL, or the answer's form, had against a query the last time. */
  readonly failing: readonly { readonly query: string; readonly message: string }[];
}

interface Course {
  readonly query: CustomQuery;
  dueMs: number;
  series: readonly Series[];
  failure: string | undefined;
  failures: number;
  isAsked: boolean;
}

/**
 * Asks a cluster's own queries for as long as the agent lives, one after the other. Each is one statement of a read-only transaction, as
 * pg_monitor, with a timeout, of which a hundred rows are taken. Nobody waits for it; what fails shows in status and metrics.
 */
export class CustomQueries {
  readonly #options: CustomQueriesOptions;
  readonly #stopping = new AbortController();
  #read: ReadQueries = { queries: [], problems: [] };
  #text = '';
  #courses: readonly Course[] = [];

  constructor(options: CustomQueriesOptions) {
    this.#options = options;
  }

  /** Undefined when the cluster names no queries. */
  get status(): CustomQueriesStatus | undefined {
    if (this.#options.directory === undefined) return undefined;
    return {
      queries: this.#courses.length,
      problems: this.#read.problems,
      failing: this.#shown.flatMap(({ query, failure }) => (failure === undefined ? [] : [{ query: query.name, message: failure }])),
    };
  }

  /** As they are within the bounds of all together. */
  get #shown(): readonly Course[] {
    const within = withinBounds(this.#courses.map(({ series }) => series));
    return this.#courses.map((course, index) => {
      const series = within[index] ?? [];
      return series === 'over' ? { ...course, series: [], failure: OVER_BOUNDS } : course;
    });
  }

  get series(): readonly Series[] {
    return this.#shown.flatMap(({ series }) => series);
  }

  /** Of those that were asked. */
  get failures(): readonly { readonly query: string; readonly failures: number; readonly isFailing: boolean }[] {
    return this.#shown
      .filter(({ isAsked }) => isAsked)
      .map(({ query, failures, failure }) => ({ query: query.name, failures, isFailing: failure !== undefined }));
  }

  /** Resolves once it was stopped, at once when there is nothing to ask; never rejects. */
  async run(): Promise<void> {
    const { directory, clock, isServing, onAnswered } = this.#options;
    const { signal } = this.#stopping;
    if (directory === undefined) return;
    while (!signal.aborted) {
      await this.#readFiles(directory);
      if (isServing()) await this.askDue();
      else for (const course of this.#courses) course.series = [];
      onAnswered();
      await clock.sleep(LOOK_MS, signal);
    }
  }

  stop(): void {
    this.#stopping.abort();
  }

  /** Takes these instead of those before. */
  take(files: ReadonlyMap<string, string>): void {
    const text = JSON.stringify([...files]);
    if (text === this.#text) return;
    this.#text = text;
    this.#read = readQueries(files);
    this.#courses = this.#read.queries.map((query) => ({ query, dueMs: 0, series: [], failure: undefined, failures: 0, isAsked: false }));
    for (const problem of this.#read.problems) this.#options.logger.warn({ problem }, 'a query of the cluster is not asked');
  }

  /** Asks what is due. */
  async askDue(): Promise<void> {
    const { clock, logger, database } = this.#options;
    for (const course of this.#courses) {
      if (this.#stopping.signal.aborted) return;
      if (course.dueMs > clock.now()) continue;
      course.dueMs = clock.now() + course.query.everyMs;
      course.isAsked = true;
      try {
        const answers: Series[] = [];
        for (const one of course.query.databases ?? [database]) answers.push(...(await this.#ask(course.query, one)));
        course.series = answers;
        course.failure = undefined;
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error);
        if (course.failure !== message && !this.#stopping.signal.aborted)
          logger.warn({ query: course.query.name, reason: message }, 'a query of the cluster failed; asking again');
        course.series = [];
        course.failure = message;
        course.failures++;
      }
    }
  }

  async #ask(query: CustomQuery, database: string): Promise<Series[]> {
    const client = await connectSuperuser(this.#options.socket, {
      database,
      applicationName: APPLICATION_NAME,
      settings: [`statement_timeout=${STATEMENT_MS}`, 'lock_timeout=1s', 'search_path=public', 'idle_in_transaction_session_timeout=10s'],
      answerWithinMs: ANSWER_MS,
    });
    try {
      return await askOnce(client, query, database);
    } finally {
      letGo(client);
    }
  }

  async #readFiles(directory: string): Promise<void> {
    try {
      const names = (await readdir(directory, { withFileTypes: true })).filter(
        (entry) => !entry.name.startsWith('.') && !entry.isDirectory(),
      );
      const files = await Promise.all(
        names.slice(0, FILES_MAX).map(async ({ name }) => [name, await readFile(join(directory, name), 'utf8')] as const),
      );
      this.take(new Map(files));
    } catch (error) {
      // The ConfigMap is optional: it is not there, or not any more. Everything else passes.
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') this.take(new Map());
      else this.#options.logger.warn({ err: error }, "the cluster's queries could not be read; trying again");
    }
  }
}

/** The extended protocol takes one statement and no more. */
async function askOnce(client: Client, query: CustomQuery, database: string): Promise<Series[]> {
  await client.query('begin read only');
  if (query.isWritersOnly) {
    const { rows } = await client.query<{ standby: boolean }>('select pg_is_in_recovery() as standby');
    if (rows[0]?.standby === true) return [];
  }
  await client.query('set local role pg_monitor');
  // The types of `pg` leave `queryMode` out.
  const declare = { text: `declare answer no scroll cursor for ${query.sql}`, queryMode: 'extended' };
  await client.query(declare);
  const { rows } = await client.query<Record<string, unknown>>(`fetch ${ROWS_MAX + 1} from answer`);
  if (rows.length > ROWS_MAX) throw new Error(`the answer has more than ${ROWS_MAX} rows: group it, or put a limit on it`);
  return seriesOf(query, database, rows);
}
