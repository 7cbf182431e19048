import { EventEmitter } from 'node:events';
import { createReadStream, createWriteStream } from 'node:fs';
import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { pause } from '@kube-aurora/clock';
import pg from 'pg';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import type { CatalogList } from './catalog-lists.ts';
import type { ClusterConnection } from './cluster-connection.ts';
import type { CopyCommand } from './copy-command.ts';
import { describeRelations } from './describe-relation.ts';
import type { Toggle } from './meta-commands.ts';
import { formatTable, type ResultTable, type TableStyle } from './result-table.ts';

/** Values stay the text that PostgreSQL sent: what is printed is what it said. */
const AS_TEXT = { getTypeParser: () => (value: string | Buffer) => value.toString() };

/**
 * One connection, one printer. When the connection breaks (a failover, a restart) the session connects again before
 * the next statement and says so, like psql.
 */
export class PsqlSession {
  style: TableStyle;
  timing = false;
  #client: pg.Client | undefined;
  #connection: ClusterConnection;
  /** Command tags of the statements that the present call has finished, in order. */
  #tags: string[] = [];

  readonly #out: Writable;
  readonly #errors: Writable;

  constructor(
    connection: ClusterConnection,
    style: TableStyle,
    output: { readonly out: Writable; readonly errors: Writable } = { out: process.stdout, errors: process.stderr },
  ) {
    this.#connection = connection;
    this.style = style;
    this.#out = output.out;
    this.#errors = output.errors;
  }

  /** Switches something, or to where it is said, and tells. */
  toggle(what: Toggle, to: boolean | undefined): void {
    if (what === 'timing') this.timing = to ?? !this.timing;
    else this.style = { ...this.style, [what]: to ?? !this.style[what] };
    const on = what === 'timing' ? this.timing : this.style[what];
    const said = {
      timing: `Timing is ${on ? 'on' : 'off'}.`,
      expanded: `Expanded display is ${on ? 'on' : 'off'}.`,
      tuplesOnly: `Tuples only is ${on ? 'on' : 'off'}.`,
      unaligned: `Output format is ${on ? 'unaligned' : 'aligned'}.`,
    };
    this.print(said[what]);
  }

  print(text: string): void {
    this.#out.write(`${text}\n`);
  }

  printError(text: string): void {
    this.#errors.write(`${text}\n`);
  }

  prompt(continued: boolean): string {
    return `${this.#connection.database}${continued ? '-' : '='}> `;
  }

  describe(): string {
    const { database, user, host, port } = this.#connection;
    return `You are connected to database "${database}" as user "${user}" on host "${host}" at port "${port}".`;
  }

  async banner(): Promise<string> {
    const version = await this.#client?.query<{ server_version: string }>('SHOW server_version');
    return `kube-aurora (server ${version?.rows[0]?.server_version ?? 'unknown'})`;
  }

  async connect(): Promise<void> {
    const client = new pg.Client({ ...this.#connection, connectionTimeoutMillis: 30_000, types: AS_TEXT, application_name: 'psql' });
    client.on('notice', (notice) => this.printError(`${notice.severity ?? 'NOTICE'}:  ${notice.message ?? ''}`));
    client.on('error', () => {
      this.#client = undefined;
    });
    // pg keeps the first word of a command tag only; psql prints it whole (CREATE TABLE).
    if ('connection' in client && client.connection instanceof EventEmitter) {
      client.connection.on('commandComplete', (message: { text?: string }) => this.#tags.push(message.text ?? ''));
    }
    await client.connect();
    this.#client = client;
  }

  async connectTo(database: string): Promise<void> {
    await this.close();
    this.#connection = { ...this.#connection, database };
    await this.connect();
  }

  /** Asks the server to cancel what runs now. */
  async cancel(): Promise<void> {
    const client = this.#client as (pg.Client & { processID?: number | null }) | undefined;
    if (client?.processID === undefined || client.processID === null) return;
    const other = new pg.Client({ ...this.#connection, connectionTimeoutMillis: 5000 });
    try {
      await other.connect();
      await other.query('SELECT pg_cancel_backend($1)', [client.processID]);
    } catch (error) {
      this.printError(`could not send the cancel request: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      await other.end();
    }
  }

  /** One of psql's lists. */
  list({ title, sql, noCount, none }: CatalogList): Promise<boolean> {
    return this.#attempt(sql, async () => {
      const table = await this.#ask(sql);
      if (none !== undefined && table.rows.length === 0) this.printError(none);
      else this.print(formatTable(table, this.style, { title, ...(noCount === true ? { footers: [] } : {}) }));
    });
  }

  /** `\\d NAME`: all of every relation that the pattern names. */
  describeRelations(pattern: string): Promise<boolean> {
    return this.#attempt('', async () => {
      const found = await describeRelations((sql) => this.#ask(sql), pattern);
      if (found.length === 0) this.printError(`Did not find any relation named "${pattern}".`);
      for (const { table, ...around } of found) this.print(formatTable(table, this.style, around));
    });
  }

  /** `\\copy`: a file of this machine, or `inline` (what followed in the script), into or out of the server. */
  copy(command: CopyCommand & { kind: 'copy' }, inline: () => AsyncIterable<string>): Promise<boolean> {
    const { sql, direction, file } = command;
    return this.#attempt(sql, async () => {
      const client = await this.#connected();
      if (direction === 'from') {
        const into = client.query(copyFrom(sql));
        await pipeline(file === undefined ? Readable.from(inline()) : createReadStream(file), into);
        if (!this.style.tuplesOnly) this.print(`COPY ${into.rowCount}`);
      } else {
        const out = client.query(copyTo(sql));
        if (file === undefined) await pipeline(out, this.#out, { end: false });
        else await pipeline(out, createWriteStream(file));
        if (file !== undefined && !this.style.tuplesOnly) this.print(`COPY ${out.rowCount}`);
      }
    });
  }

  /** Runs one statement again and again, `times` at most, until it fails or `signal` says so. */
  async watch(sql: string, everyMs: number, times: number, signal: AbortSignal): Promise<boolean> {
    for (let done = 0; done < times && !signal.aborted; done++) {
      if (done > 0) await pause(everyMs, signal);
      if (signal.aborted) break;
      this.print(`${clockTime(new Date())} (every ${everyMs / 1000}s)\n`);
      if (!(await this.run(sql))) return false;
    }
    return true;
  }

  async #connected(): Promise<pg.Client> {
    if (this.#client === undefined) {
      await this.connect();
      this.printError('The connection to the server was lost. Attempting reset: Succeeded.');
    }
    if (this.#client === undefined) throw new Error('no connection to the server');
    return this.#client;
  }

  async #ask(sql: string): Promise<ResultTable> {
    const client = await this.#connected();
    const { fields, rows } = await client.query<(string | null)[]>({ text: sql, rowMode: 'array' });
    return { columns: fields.map(({ name, dataTypeID }) => ({ name, typeOid: dataTypeID })), rows };
  }

  /** Prints the error of what fails; true when nothing did. */
  async #attempt(sql: string, act: () => Promise<void>): Promise<boolean> {
    const started = performance.now();
    try {
      await act();
      if (this.timing) this.print(`Time: ${(performance.now() - started).toFixed(3)} ms`);
      return true;
    } catch (error) {
      this.#showError(error, sql);
      return false;
    }
  }

  /** Runs one statement and prints its result or its error; true when it succeeded. */
  run(sql: string): Promise<boolean> {
    return this.#attempt(sql, async () => {
      const client = await this.#connected();
      this.#tags = [];
      const answer = await client.query({ text: sql, rowMode: 'array' });
      const results = Array.isArray(answer) ? (answer as pg.QueryArrayResult<(string | null)[]>[]) : [answer];
      for (const [index, result] of results.entries()) this.#show(result, this.#tags[index] ?? '');
    });
  }

  #show(result: pg.QueryArrayResult<(string | null)[]>, tag: string): void {
    if (result.fields.length > 0) {
      const columns = result.fields.map((field) => ({ name: field.name, typeOid: field.dataTypeID }));
      this.print(formatTable({ columns, rows: result.rows }, this.style));
    } else if (tag !== '' && !this.style.tuplesOnly) {
      this.print(tag);
    }
  }

  #showError(error: unknown, sql: string): void {
    if (!(error instanceof pg.DatabaseError)) {
      this.printError(error instanceof Error ? error.message : String(error));
      return;
    }
    const lines = [`${error.severity ?? 'ERROR'}:  ${error.message}`];
    if (error.position !== undefined) {
      const before = sql.slice(0, Number(error.position) - 1);
      const row = before.split('\n').length;
      const column = before.length - (before.lastIndexOf('\n') + 1);
      const label = `LINE ${row}: `;
      lines.push(`${label}${sql.split('\n')[row - 1] ?? ''}`, `${' '.repeat(label.length + column)}^`);
    }
    if (error.detail !== undefined) lines.push(`DETAIL:  ${error.detail}`);
    if (error.hint !== undefined) lines.push(`HINT:  ${error.hint}`);
    this.printError(lines.join('\n'));
  }

  async close(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    await client?.end();
  }
}

/** As the C library writes it: Thu Nov 26 11:11:05 2026. */
function clockTime(date: Date): string {
  const [day, month, dayOfMonth, year] = date.toDateString().split(' ');
  return `${day ?? ''} ${month ?? ''} ${String(Number(dayOfMonth)).padStart(2)} ${date.toTimeString().slice(0, 8)} ${year ?? ''}`;
}
