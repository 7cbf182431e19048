/**
 * `npm run psql`: a small psql for machines that have none. `-c SQL`, a script on standard input, or a prompt.
 */
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import { parseArgs } from 'node:util';
import { clusterConnection, ENDPOINTS } from './cluster-connection.ts';
import { Interpreter, runScript } from './psql-interpreter.ts';
import { PsqlSession } from './psql-session.ts';

const USAGE = `usage: npm run psql -- [-c SQL]... [-f FILE] [-d DATABASE] [-U superuser] [-A] [-t] [-x]
                       [--cluster NAME] [--namespace NAME] [--superuser] [--endpoint rw|ro|r]
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
      endpoint: { type: 'string', default: 'rw' },
      'no-align': { type: 'boolean', short: 'A', default: false },
      'tuples-only': { type: 'boolean', short: 't', default: false },
      expanded: { type: 'boolean', short: 'x', default: false },
      help: { type: 'boolean', default: false },
    },
  }).values;
}

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

async function main(): Promise<number> {
  const options = readArguments();
  if (options.help) {
    process.stdout.write(`${USAGE}\n`);
    return 0;
  }
  const endpoint = ENDPOINTS.find((one) => one === options.endpoint);
  if (endpoint === undefined) throw new Error(`--endpoint ${options.endpoint} is none: use ${ENDPOINTS.join(', ')}`);
  const connection = await clusterConnection({ ...options, endpoint });
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
