import { existsSync } from 'node:fs';
import { completionAt } from './command-line/complete.ts';
import { COMPLETE_WORD, completionScript } from './command-line/completion-scripts.ts';
import { findCommand } from './command-line/command-table.ts';
import { findNames } from './command-line/find-names.ts';
import { commandHelp, generalHelp } from './command-line/help.ts';
import { parseCommandLine, usage, type Parsed } from './command-line/parse.ts';
import { HttpApi } from '@kube-aurora/kube-http';
import { inKubectlWords } from './kube/errors.ts';
import { loadConnection } from './kube/kubeconfig.ts';
import { countOf, secondsOf } from './logs/choose-pods.ts';
import { ROLES } from './psql/plan-psql.ts';
import { statusCommand } from './status/status-command.ts';
import type { Surroundings } from './surroundings.ts';
import { screenFor } from './text/paint.ts';
import { VERSION } from './version.ts';

/** As a service account has it; then a Service's address is one that we can reach. */
const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount/token';

/** Of each log in a report. */
const REPORT_LINES = 2000;

const stopped = new AbortController();
const write = (text: string): void => void process.stdout.write(text);
const say = (text: string): void => void process.stderr.write(`${text}\n`);

/** Runs one command line; answers the exit code. A command's own modules are loaded when it is the one: most of the time `status` takes is that of loading. */
async function run(words: readonly string[]): Promise<number> {
  if (words[0] === COMPLETE_WORD) return await complete(words.slice(1));
  const parsed = parseCommandLine(words);
  const { command, flags, positionals, rest } = parsed;
  if (flags.has('help') && command.name !== 'help') {
    write(commandHelp(command));
    return 0;
  }
  switch (command.name) {
    case 'help':
      return help(parsed);
    case 'version':
      write(`kubectl-aurora ${VERSION}\n`);
      return 0;
    case 'completion':
      write(completionScript(positionals[0]));
      return 0;
  }
  const connection = loadConnection({ kubeconfig: flags.get('kubeconfig'), context: flags.get('context') });
  const { config } = connection;
  const namespace = flags.get('namespace') ?? connection.namespace;
  const api = new HttpApi(config, 'kubectl-aurora');
  const around: Surroundings = {
    api,
    now: Date.now,
    write,
    screen: () => screenFor(process.stdout, process.env['NO_COLOR']),
    signal: stopped.signal,
  };
  const [name, member] = positionals;
  switch (command.name) {
    case 'status': {
      const output = flags.get('output');
      const format = output === 'json' || output === 'yaml' ? output : 'text';
      const everywhere = flags.has('all-namespaces');
      if (everywhere && name !== undefined) throw usage(command, 'a cluster cannot be named together with --all-namespaces');
      await statusCommand({ namespace: everywhere ? undefined : namespace, name, format, watch: flags.has('watch') }, around);
      return 0;
    }
    case 'psql': {
      const { psqlCommand } = await import('./psql/psql-command.ts');
      const role = ROLES.find((one) => one === flags.get('role')) ?? 'rw';
      const [serviceAccount, user] = [flags.get('serviceaccount'), flags.get('user')];
      const superuser = flags.has('superuser');
      if (!flags.has('token') && (serviceAccount !== undefined || user !== undefined))
        throw usage(command, '--serviceaccount and --user say whose token it is: use --token with them');
      if (flags.has('token') && superuser) throw usage(command, '--superuser is by a password: use --token --user postgres in its place');
      const token = flags.has('token') ? { serviceAccount, user } : undefined;
      const request = { namespace, name, role, superuser, token, builtIn: flags.has('built-in'), words: rest };
      return await psqlCommand(request, { api, config, environment: process.env, inCluster: existsSync(SERVICE_ACCOUNT), say });
    }
    case 'logs': {
      const { logsCommand } = await import('./logs/logs-command.ts');
      const [tail, since] = [flags.get('tail'), flags.get('since')];
      await logsCommand(
        {
          namespace,
          name,
          instance: flags.get('instance'),
          segment: flags.get('segment'),
          operator: flags.has('operator'),
          follow: flags.has('follow'),
          previous: flags.has('previous'),
          format: flags.get('output') === 'json' ? 'json' : flags.has('raw') ? 'raw' : 'text',
          tail: tail === undefined ? undefined : countOf('tail', tail),
          sinceSeconds: since === undefined ? undefined : secondsOf('since', since),
        },
        { ...around, say },
      );
      return 0;
    }
    case 'top': {
      const { topCommand } = await import('./figures/figures-commands.ts');
      await topCommand({ namespace, name, watch: flags.has('watch') }, around);
      return 0;
    }
    case 'storage': {
      const { storageCommand } = await import('./figures/figures-commands.ts');
      await storageCommand({ namespace, name, watch: flags.has('watch') }, around);
      return 0;
    }
    case 'report': {
      const { reportCommand } = await import('./report/report-command.ts');
      const tail = flags.get('tail');
      await reportCommand(
        { namespace, name, file: flags.get('file'), tail: tail === undefined ? REPORT_LINES : countOf('tail', tail) },
        around,
      );
      return 0;
    }
    case 'switchover': {
      const { switchoverCommand } = await import('./handover/switchover-command.ts');
      if (name === undefined || member === undefined)
        throw usage(command, 'NAME and INSTANCE are needed: which cluster, and who is to write');
      await switchoverCommand({ namespace, name, instance: member, wait: !flags.has('no-wait') }, around);
      return 0;
    }
    case 'restart': {
      const { restartCommand } = await import('./handover/restart-command.ts');
      await restartCommand({ namespace, name, member, writer: flags.has('writer') }, around);
      return 0;
    }
    default:
      throw new TypeError(`command ${command.name} is in the table and nowhere else`);
  }
}

function help({ command, positionals }: Parsed): number {
  const [about] = positionals;
  const found = about === undefined ? undefined : findCommand(about);
  if (about !== undefined && found === undefined) throw usage(command, `unknown help topic "${about}"`);
  write(found === undefined ? generalHelp() : commandHelp(found));
  return 0;
}

/** Suggestions must never get in the way of typing: what cannot be found out is left out, without a word. */
async function complete(words: readonly string[]): Promise<number> {
  const wanted = completionAt(words);
  let found: readonly string[] = [];
  if (wanted.kind === 'words') found = wanted.words;
  else {
    try {
      const flag = (long: string, short?: string): string | undefined =>
        words[words.findIndex((word) => word === `--${long}` || word === `-${short ?? ''}`) + 1 || words.length];
      const connection = loadConnection({ kubeconfig: flag('kubeconfig'), context: flag('context') });
      found = await findNames(new HttpApi(connection.config, 'kubectl-aurora'), flag('namespace', 'n') ?? connection.namespace, wanted);
    } catch {
      // No server, no rights, no such cluster: then there is nothing to suggest.
    }
  }
  const typed = words.at(-1) ?? '';
  write(`${[...found.filter((word) => word.startsWith(typed)), ':4'].join('\n')}\n`);
  return 0;
}

/** Ctrl-C ends what waits in order; a second one ends everything. */
process.on('SIGINT', () => {
  if (stopped.signal.aborted) process.exit(130);
  stopped.abort();
});
process.on('SIGTERM', () => process.exit(143));
// `kubectl aurora logs | head`: the reader has had enough.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

try {
  process.exitCode = await run(process.argv.slice(2));
} catch (error) {
  say(inKubectlWords(error));
  process.exitCode = 1;
}
