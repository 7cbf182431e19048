import type { Logger } from '@kube-aurora/process';

/** Longest line that is kept whole; PostgreSQL logs whole statements. */
const LINE_MAX = 8192;
const LINES_KEPT = 200;

/** Cuts PostgreSQL's log into lines, hands them to the agent's logger, and keeps the last ones for error messages. */
export class LineLog {
  readonly #logger: Logger;
  #partial = '';
  #lines: string[] = [];
  #lastFatal: string | undefined;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  push(chunk: Buffer): void {
    const lines = (this.#partial + chunk.toString('utf8')).split('\n');
    this.#partial = (lines.pop() ?? '').slice(0, LINE_MAX);
    for (const line of lines) this.#line(line.slice(0, LINE_MAX));
  }

  /** Nothing more comes: what stands without a line break is the last line. */
  end(): void {
    if (this.#partial !== '') this.#line(this.#partial);
    this.#partial = '';
  }

  recent(count = LINES_KEPT): string[] {
    return this.#lines.slice(-count);
  }

  /** The last FATAL or PANIC, without the time and process id before it. */
  get lastFatal(): string | undefined {
    return this.#lastFatal;
  }

  #line(text: string): void {
    if (text.trim() === '') return;
    this.#lines.push(text);
    if (this.#lines.length > LINES_KEPT * 2) this.#lines = this.#lines.slice(-LINES_KEPT);
    // The answer to each of our own readiness probes.
    if (text.endsWith('FATAL:  the database system is starting up')) this.#logger.debug({ postgres: true }, text);
    else if (/ (PANIC|FATAL): {2}/.test(text)) {
      this.#lastFatal = /(?:PANIC|FATAL): {2}.*/.exec(text)?.[0];
      this.#logger.error({ postgres: true }, text);
    } else if (/ (ERROR|WARNING): {2}/.test(text)) this.#logger.warn({ postgres: true }, text);
    else this.#logger.info({ postgres: true }, text);
  }
}
