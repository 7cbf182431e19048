/**
 * `npm run psql`: a small psql for machines that have none. `-c SQL`, a script on standard input, or a prompt.
 */
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import { parseArgs } from 'node:util';
import { clusterConnection } from './cluster-connection.ts';
import { META_HELP, metaCommand } from './meta-commands.ts';
import { PsqlSession } from './psql-session.ts';
import { isBlank, splitSql } from './split-sql.ts';

const USAGE = `usage: npm run psql -- [-c SQL]... [-f FILE] [-d DATABASE] [-U superuser] [-A] [-t] [-x]
                       [--cluster NAME] [--namespace NAME] [--superuser]
  without -c or -f: reads a script from standard input, or gives a prompt on a terminal`;

function readArguments() {
  return parseArgs({
    options: {
      command: { type: 'string', short: 'c', multiple: true },
      file: { type: 'string', short: 'f' },
      dbname: { type: 'string', short: 'd' },
      cluster: { type: 'string', default: 'demo' },
      namespace: { type: 'string', short: 'n', default: 'default' },
      superuser: { type: 'boolean', default: false },
      'no-align': { type: 'boolean', short: 'A', default: false },
      'tuples-only': { type: 'boolean', short: 't', default: false },
      expanded: { type: 'boolean', short: 'x', default: false },
      help: { type: 'boolean', default: false },
    },
  }).values;
}

/** Runs one backslash command; false means quit. */
async function runMeta(session: PsqlSession, line: string): Promise<boolean> {
  const meta = metaCommand(line);
  switch (meta.kind) {
    case 'quit':
      return false;
    case 'help':
      session.print(META_HELP);
      break;
    case 'timing':
      session.timing = !session.timing;
      session.print(`Timing is ${session.timing ? 'on' : 'off'}.`);
      break;
    case 'expanded':
      session.style = { ...session.style, expanded: !session.style.expanded };
      session.print(`Expanded display is ${session.style.expanded ? 'on' : 'off'}.`);
      break;
    case 'conninfo':
      session.print(session.describe());
      break;
    case 'connect':
      await session.connectTo(meta.database);
      session.print(`You are now connected to database "${meta.database}".`);
      break;
    case 'query':
      await session.run(meta.sql);
      break;
    case 'unknown':
      session.printError(meta.message);
      break;
  }
  return true;
}

/** A script: statements and backslash lines in order; an error is printed and the rest goes on, as psql does. True when all went well. */
async function runScript(session: PsqlSession, script: string): Promise<boolean> {
  let ok = true;
  let pending = '';
  for (const line of script.split('\n')) {
    if (isBlank(pending) && line.trimStart().startsWith('\\')) {
      if (!(await runMeta(session, line))) return ok;
      continue;
    }
    pending += `${line}\n`;
    const { statements, rest } = splitSql(pending);
    for (const statement of statements) ok = (await session.run(statement)) && ok;
    pending = rest;
  }
  if (!isBlank(pending)) ok = (await session.run(pending)) && ok;
  return ok;
}

async function prompt(session: PsqlSession): Promise<void> {
  session.print(`${await session.banner()}\nType \\? for help, \\q to quit.\n`);
  const terminal = createInterface({ input: process.stdin, output: process.stdout, historySize: 1000 });
  let pending = '';
  terminal.setPrompt(session.prompt(false));
  terminal.prompt();
  terminal.on('SIGINT', () => {
    pending = '';
    void session.cancel();
    process.stdout.write('\n');
    terminal.setPrompt(session.prompt(false));
    terminal.prompt();
  });
  for await (const line of terminal) {
    if (isBlank(pending) && line.trimStart().startsWith('\\')) {
      if (!(await runMeta(session, line))) break;
    } else {
      const { statements, rest } = splitSql(`${pending}${line}\n`);
      for (const statement of statements) await session.run(statement);
      pending = isBlank(rest) ? '' : rest;
    }
    terminal.setPrompt(session.prompt(pending !== ''));
    terminal.prompt();
  }
  terminal.close();
}

async function readStandardInput(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(Buffer.from(chunk as Uint8Array));
  return Buffer.concat(chunks).toString('utf8');
}

async function main(): Promise<number> {
  const options = readArguments();
  if (options.help) {
    process.stdout.write(`${USAGE}\n`);
    return 0;
  }
  const connection = await clusterConnection(options);
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

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`psql: error: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}
