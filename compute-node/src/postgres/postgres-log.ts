import type { Logger } from '@kube-aurora/process';
import { LogRecords, type LogRecord } from './log-records.ts';

const RECORDS_KEPT = 200;
/** CANNOT_CONNECT_NOW: the answer to each of our own readiness probes. */
const NOT_YET = '57P03';

/** Hands PostgreSQL's log to the agent's logger, record by record, and keeps the last ones for error messages. */
export class PostgresLog {
  readonly #logger: Logger;
  readonly #records = new LogRecords((record) => this.#note(record));
  #kept: string[] = [];
  #lastFatal: string | undefined;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  push(chunk: Buffer): void {
    this.#records.push(chunk);
  }

  /** Nothing more comes. */
  end(): void {
    this.#records.end();
  }

  /** As PostgreSQL words them, hints on lines of their own. */
  recent(count = RECORDS_KEPT): string[] {
    return this.#kept.slice(-count);
  }

  /** The last FATAL or PANIC. */
  get lastFatal(): string | undefined {
    return this.#lastFatal;
  }

  #note({ message, postgres }: LogRecord): void {
    const said = postgres === undefined ? message : `${postgres.severity}:  ${message}`;
    this.#kept.push(said, ...(postgres?.hint === undefined ? [] : [`HINT:  ${postgres.hint}`]));
    if (this.#kept.length > RECORDS_KEPT * 2) this.#kept = this.#kept.slice(-RECORDS_KEPT);
    const fields = postgres === undefined ? {} : { postgres };
    if (postgres?.sqlState === NOT_YET) this.#logger.debug(fields, message);
    else if (postgres !== undefined && ['FATAL', 'PANIC'].includes(postgres.severity)) {
      this.#lastFatal = said;
      this.#logger.error(fields, message);
    } else if (postgres !== undefined && isTrouble(postgres)) this.#logger.warn(fields, message);
    else this.#logger.info(fields, message);
  }
}

/** Success is 00, no data 02: whatever language the severity is in. */
function isTrouble({ severity, sqlState }: { readonly severity: string; readonly sqlState: string }): boolean {
  return severity === 'ERROR' || severity === 'WARNING' || !/^0[02]/.test(sqlState);
}
