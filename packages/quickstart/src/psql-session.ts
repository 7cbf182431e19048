import { EventEmitter } from 'node:events';
import pg from 'pg';
import type { ClusterConnection } from './cluster-connection.ts';
import { formatTable, type TableStyle } from './result-table.ts';

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

  constructor(connection: ClusterConnection, style: TableStyle) {
    this.#connection = connection;
    this.style = style;
  }

  print(text: string): void {
    process.stdout.write(`${text}\n`);
  }

  printError(text: string): void {
    process.stderr.write(`${text}\n`);
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

  /** Runs one statement and prints its result or its error; true when it succeeded. */
  async run(sql: string): Promise<boolean> {
    const started = performance.now();
    try {
      if (this.#client === undefined) {
        this.printError('The connection to the server was lost. Attempting reset: Succeeded.');
        await this.connect();
      }
      this.#tags = [];
      const answer = await this.#client?.query({ text: sql, rowMode: 'array' });
      const results = Array.isArray(answer) ? (answer as pg.QueryArrayResult<(string | null)[]>[]) : [answer];
      for (const [index, result] of results.entries()) if (result !== undefined) this.#show(result, this.#tags[index] ?? '');
      if (this.timing) this.print(`Time: ${(performance.now() - started).toFixed(3)} ms`);
      return true;
    } catch (error) {
      this.#showError(error, sql);
      return false;
    }
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
