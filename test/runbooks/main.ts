/**
 * `npm run test:runbooks`: every command of the runbooks, typed as it stands there, at a cluster on local-kube that has lost its writer and moved it back: each must
 * succeed and say something. Words of the command line choose sections by their names. Takes Debian's `prometheus`, or what PROMETHEUS names.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { print } from '../bench/table.ts';
import { programsOf } from '../alerts/pod-programs.ts';
import { commandsOf, filledIn, type RunbookCommand } from './commands.ts';
import { StandingCluster } from './standing-cluster.ts';

const RUNBOOKS = path.resolve(import.meta.dirname, '../../docs/runbooks');
/** For a rate: two scrapes. */
const SCRAPED_MS = 60_000;

const chosen = process.argv.slice(2);
const commands = readdirSync(RUNBOOKS)
  .flatMap((file) => commandsOf(file.replace('.md', ''), readFileSync(path.join(RUNBOOKS, file), 'utf8')))
  .filter(({ section }) => chosen.length === 0 || chosen.some((word) => section.includes(word)));
const cluster = await StandingCluster.start();
const psql = `kubectl aurora psql ${cluster.name} --superuser`;
const sessions: ChildProcess[] = [];
const failed: string[] = [];

async function must(line: string, input = ''): Promise<string> {
  const { status, stdout, stderr } = await cluster.shell(line, input);
  if (status !== 0) throw new Error(`${line}: ${stdout}${stderr}`);
  return stdout.trim();
}

const sql = (statement: string): Promise<string> => must(`${psql} -- -v ON_ERROR_STOP=1 -qAt`, statement);

/** What runbooks tell one to end, made for the one command that ends it. */
const TO_BE_ENDED: Readonly<Record<string, () => Promise<string>>> = {
  async PID() {
    sessions.push(spawn('bash', ['-c', `${psql} -- -c 'select pg_sleep(600)'`], { env: cluster.environment, stdio: 'ignore' }));
    const ask = "select max(pid) from pg_stat_activity where query like 'select pg_sleep%' and state = 'active'";
    for (let pid = ''; ; await delay(300)) if ((pid = await sql(ask)) !== '') return pid;
  },
  async GID() {
    await sql("begin; insert into kept values (1); prepare transaction 'left';");
    return 'left';
  },
  async SLOT() {
    await sql("select pg_create_physical_replication_slot('unread', true)");
    return 'unread';
  },
};

/** What a command's reader would have in the place of the words in capitals. */
async function namesFor({ page, text }: RunbookCommand): Promise<Record<string, string>> {
  const names: Record<string, string> = {
    NS: 'default',
    NAME: cluster.name,
    POD: page === 'storage' ? `${cluster.name}-storage-0` : `${cluster.name}-1`,
    TABLE: 'kept',
  };
  for (const [word, make] of Object.entries(TO_BE_ENDED)) if (new RegExp(`\\b${word}\\b`).test(text)) names[word] = await make();
  return names;
}

/** Why it does not work; undefined when it does. */
async function tryOut(command: RunbookCommand, names: Readonly<Record<string, string>>): Promise<string | undefined> {
  const text = filledIn(command.text, names);
  if (command.kind === 'promql') {
    await cluster.nameTargets();
    const until = performance.now() + SCRAPED_MS;
    while ((await cluster.ask(text)) === 0) {
      if (performance.now() > until) return 'it has no answer';
      await delay(500);
    }
    return undefined;
  }
  const line = command.kind === 'console' ? text : `${filledIn(command.psql ?? '', names)} -- -v ON_ERROR_STOP=1`;
  // psql begins without a statement: that it connects is what is tried.
  const asks = line.startsWith('kubectl aurora psql');
  const { status, stdout, stderr } = await cluster.shell(line, command.kind === 'sql' ? text : asks ? 'select 1;' : '');
  if (status !== 0) return `it ends with ${status ?? 'no end'}: ${stdout}${stderr}`.trim();
  return stdout.trim() === '' ? `it says nothing: ${stderr}`.trim() : undefined;
}

try {
  // So that there is something to see: a failover, a container that ran before, a switchover.
  await sql('create table kept (id int)');
  for (const { pid } of programsOf(cluster.home, `${cluster.name}-1`)) process.kill(pid, 'SIGKILL');
  await delay(3000);
  await cluster.ready();
  await must(`kubectl aurora switchover ${cluster.name} ${cluster.name}-1`);
  await cluster.ready();
  for (const command of commands) {
    const why = await tryOut(command, await namesFor(command)).catch((error: unknown) => String(error));
    print(
      `${why === undefined ? 'ok  ' : 'FAIL'} ${command.page}:${command.line} ${command.section}: ${command.text.split('\n')[0] ?? ''}`,
    );
    if (why === undefined) continue;
    print(`     ${why}`);
    failed.push(command.text);
  }
} finally {
  for (const session of sessions) session.kill('SIGKILL');
  await cluster.stop();
}
print(`${commands.length - failed.length} commands of runbooks work, ${failed.length} do not`);
process.exitCode = failed.length === 0 ? 0 : 1;
