import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import type { ParseArgsConfig } from 'node:util';
import type { ClusterConnection } from './cluster-connection.ts';
import { Interpreter, runScript } from './psql-interpreter.ts';
import { PsqlSession } from './psql-session.ts';

/** A small psql for machines that have none: what it runs, and how it prints. As psql's own flags. */
export interface SmallPsqlOptions {
  readonly command?: readonly string[];
  readonly file?: string;
  readonly dbname?: string;
  readonly 'no-align': boolean;
  readonly 'tuples-only': boolean;
  readonly expanded: boolean;
}

export const SMALL_PSQL_FLAGS = {
  command: { type: 'string', short: 'c', multiple: true },
  file: { type: 'string', short: 'f' },
  dbname: { type: 'string', short: 'd' },
  'no-align': { type: 'boolean', short: 'A', default: false },
  'tuples-only': { type: 'boolean', short: 't', default: false },
  expanded: { type: 'boolean', short: 'x', default: false },
} as const satisfies NonNullable<ParseArgsConfig['options']>;

async function prompt(session: PsqlSession): Promise<void> {
  session.print(`${await session.banner()}\nType \\? for help, \\q to quit.\n`);
  const interpreter = new Interpreter(session);
  const terminal = createInterface({ input: process.stdin, output: process.stdout, historySize: 1000 });
  const ask = (): void => {
    terminal.setPrompt(session.prompt(interpreter.midStatement));
    terminal.prompt();
  };
  ask();
  terminal.on('SIGINT', () => {
    interpreter.interrupt();
    void session.cancel();
    process.stdout.write('\n');
    ask();
  });
  await interpreter.read(terminal, ask);
  terminal.close();
}

async function readStandardInput(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(Buffer.from(chunk as Uint8Array));
  return Buffer.concat(chunks).toString('utf8');
}

/** Runs what the options say, what standard input has, or a prompt. Answers the exit code; rejects when there is no connection. */
export async function smallPsql(connection: ClusterConnection, options: SmallPsqlOptions): Promise<number> {
  const session = new PsqlSession(
    { ...connection, database: options.dbname ?? connection.database },
    { tuplesOnly: options['tuples-only'], unaligned: options['no-align'], expanded: options.expanded },
  );
  await session.connect();
  let ok = true;
  if (options.command !== undefined) for (const command of options.command) ok = (await runScript(session, command)) && ok;
  else if (options.file !== undefined) ok = await runScript(session, readFileSync(options.file, 'utf8'));
  else if (process.stdin.isTTY) await prompt(session);
  else ok = await runScript(session, await readStandardInput());
  await session.close();
  return ok ? 0 : 1;
}
