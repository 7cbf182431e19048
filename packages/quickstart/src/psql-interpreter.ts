import { META_HELP, metaCommand } from './meta-commands.ts';
import type { PsqlSession } from './psql-session.ts';
import { findMeta, isBlank, splitSql } from './split-sql.ts';

/** Reads a script or what is typed, line by line, and carries it out. */
export class Interpreter {
  readonly #session: PsqlSession;
  /** What stands since the last whole statement. */
  #pending = '';
  /** The statement that ran last: what `\\watch` and `\\g` mean when none stands before them. */
  #last = '';
  /** Takes the lines that `\\copy … from stdin` reads. */
  #inline: InlineData | undefined;
  #interrupt = new AbortController();
  ok = true;

  constructor(session: PsqlSession) {
    this.#session = session;
  }

  get midStatement(): boolean {
    return this.#pending !== '';
  }

  /** Forgets what was typed and ends what runs. */
  interrupt(): void {
    this.#pending = '';
    this.#interrupt.abort();
    this.#interrupt = new AbortController();
  }

  /** Carries out lines until there are none or \\q. */
  async read(lines: AsyncIterable<string>, afterEach: () => void): Promise<void> {
    const source = lines[Symbol.asyncIterator]();
    const next = async (): Promise<string | undefined> => {
      const { done, value } = await source.next();
      return done === true ? undefined : value;
    };
    this.#inline = { next };
    for (let line = await next(); line !== undefined; line = await next()) {
      if (!(await this.#line(line))) return;
      afterEach();
    }
    await this.#statement(this.#pending);
  }

  /** False means quit. */
  async #line(line: string): Promise<boolean> {
    this.#pending += `${line}\n`;
    for (let meta = findMeta(this.#pending); meta !== undefined; meta = findMeta(this.#pending)) {
      this.#pending = meta.after;
      const { statements, rest } = splitSql(meta.before);
      for (const statement of statements) await this.#statement(statement);
      if (!(await this.#meta(meta.command, rest))) return false;
    }
    const { statements, rest } = splitSql(this.#pending);
    for (const statement of statements) await this.#statement(statement);
    this.#pending = isBlank(rest) ? '' : rest;
    return true;
  }

  async #statement(sql: string): Promise<void> {
    if (isBlank(sql)) return;
    this.#last = sql;
    this.ok = (await this.#session.run(sql)) && this.ok;
  }

  /** Carries out one backslash command; `typed` is the unfinished statement before it. False means quit. */
  async #meta(line: string, typed: string): Promise<boolean> {
    const session = this.#session;
    const meta = metaCommand(line);
    const buffer = isBlank(typed) ? this.#last : typed;
    // A command that does not use the statement before it leaves it to be finished.
    if (meta.kind !== 'go' && meta.kind !== 'watch' && !isBlank(typed)) this.#pending = typed + this.#pending;
    switch (meta.kind) {
      case 'quit':
        return false;
      case 'help':
        session.print(META_HELP);
        break;
      case 'toggle':
        session.toggle(meta.what, meta.to);
        break;
      case 'conninfo':
        session.print(session.describe());
        break;
      case 'connect':
        await session.connectTo(meta.database);
        session.print(`You are now connected to database "${meta.database}".`);
        break;
      case 'list':
        this.ok = (await session.list(meta.list)) && this.ok;
        break;
      case 'describe':
        this.ok = (await session.describeRelations(meta.pattern)) && this.ok;
        break;
      case 'copy':
        this.ok = (await session.copy(meta, () => inlineData(this.#inline))) && this.ok;
        break;
      case 'go': {
        const { style } = session;
        if (meta.expanded) session.style = { ...style, expanded: true };
        await this.#statement(buffer);
        session.style = style;
        break;
      }
      case 'watch':
        if (isBlank(buffer)) session.printError('\\watch cannot be used with an empty query');
        else this.ok = (await session.watch(buffer, meta.everyMs, meta.times, this.#interrupt.signal)) && this.ok;
        break;
      case 'unknown':
        session.printError(meta.message);
        this.ok = false;
        break;
    }
    return true;
  }
}

interface InlineData {
  readonly next: () => Promise<string | undefined>;
}

/** The lines up to one that is \\. alone. */
async function* inlineData(source: InlineData | undefined): AsyncGenerator<string> {
  for (let line = await source?.next(); line !== undefined && line !== '\\.'; line = await source?.next()) yield `${line}\n`;
}

async function* linesOf(script: string): AsyncGenerator<string> {
  yield* script.replace(/\n$/, '').split('\n');
}

/**
 * Statements and backslash lines in order; an error is printed and the rest goes on, as psql does. True when all went
 * well.
 */
export async function runScript(session: PsqlSession, script: string): Promise<boolean> {
  const interpreter = new Interpreter(session);
  await interpreter.read(linesOf(script), () => undefined);
  return interpreter.ok;
}
