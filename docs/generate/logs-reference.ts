import { logLineJsonSchema } from '../../packages/process/src/log-schema.ts';

interface Property {
  readonly description?: string;
  readonly type?: string;
  readonly enum?: readonly string[];
  readonly properties?: Readonly<Record<string, Property>>;
  readonly required?: readonly string[];
}

/** docs/reference/log-line.schema.json. */
export function logSchemaFile(): string {
  return `${JSON.stringify(logLineJsonSchema(), undefined, 2)}\n`;
}

/** docs/reference/logs.md, from the schema that loggers write by. */
export function logsReference(): string {
  const line = logLineJsonSchema() as Property;
  const { err, postgres } = line.properties ?? {};
  return [
    '# Logs',
    '',
    'Operator, storage daemons and compute agents log to stdout, one JSON object a line, PostgreSQL’s own log among the agents’ lines. The [JSON Schema](./log-line.schema.json)',
    'of a line is made from what the loggers write by, as is this page (`npm run docs:generate`); a test holds it against what a whole system has logged. A field means the same and is of',
    'the same type wherever it stands: what a line has beside the fields below is in `more`.',
    '',
    '```json',
    JSON.stringify({
      level: 'warn',
      time: '2026-11-27T16:18:44.124Z',
      component: 'compute-agent',
      cluster: 'default/demo',
      instance: 'demo-1',
      epoch: '2',
      part: 'postgres',
      postgres: {
        at: '2026-11-27T16:18:44.123Z',
        severity: 'ERROR',
        sqlState: '42P01',
        user: 'app',
        database: 'app',
        application: 'psql',
        client: '10.0.0.9(50112)',
        pid: 4711,
        session: '6a187e04.1267',
        sessionLine: 3,
        backend: 'client backend',
        statement: 'select * from t',
      },
      msg: 'relation "t" does not exist at character 15',
    }),
    '```',
    '',
    'On a terminal a program that is run by hand writes text in its place. `kubectl aurora logs` shows the lines of all pods by time for a person to read, `-o json` as they are.',
    '`LOG_LEVEL` (`trace`, `debug`, `info`, `warn`, `error`, `fatal`) is `info` unless the environment says otherwise; the chart has `operator.logLevel` for the operator.',
    '',
    '## Every line',
    '',
    ...table(line),
    '',
    '`cluster`, `instance` and `epoch` bring together what several programs say of one thing: `epoch` is on every line of an agent that has opened the volume, on the lines by which a segment promised that epoch and',
    'annulled what came before it, on what the operator does and tells as Events, and in the cluster’s status (`kubectl aurora status`). So a failover, from the reader that misses its writer to the one that answers clients, is',
    '',
    '```console',
    '$ kubectl aurora logs demo --operator --instance all --segment all --since 1h -o json | jq -r \'select(.epoch == "3") | [.time, .instance // .component, .part // "", .msg] | @tsv\'',
    '```',
    '',
    'Under `npm start` the operator is no pod, and its log a file: leave out the flags and give jq both, `jq … <(kubectl aurora logs demo --since 1h -o json) .kube-aurora/logs/operator.log`.',
    'Who missed the writer, before there was that epoch, says so with the one before. A switchover has a name besides, `status.switchover.startedAt`, which the operator that asks and the agent that is asked have as `request`:',
    '',
    '```console',
    "$ R=$(kubectl get auroracluster demo -o jsonpath='{.status.switchover.startedAt}')",
    '$ kubectl aurora logs demo --operator --instance all --segment all --since 1h -o json | jq -r --arg r "$R" \'select(.request == $r) | [.time, .instance // .component, .msg, .reason // .more.words] | @tsv\'',
    '```',
    '',
    '## `err`',
    '',
    ...table(err),
    '',
    '## `postgres`',
    '',
    ...table(postgres),
    '',
    'A record of PostgreSQL is one line here, with its DETAIL, HINT, CONTEXT and STATEMENT as fields. `level` is `error` for FATAL and PANIC, `warn` for ERROR, WARNING and whatever has another code than success, `info` otherwise;',
    'clients that come while PostgreSQL starts are at `debug`. All `log_*` settings of `spec.postgresql.parameters` do as ever, but for `log_destination`, `logging_collector` and `log_line_prefix`: each line has all',
    'that a prefix could say. What is on PostgreSQL’s stderr and is no record of its own, as the loader’s words, has no `postgres`. Parts longer than 8192 characters are cut.',
    '',
    '## Secrets',
    '',
    'What looks like a secret is taken out before a line is written, and `***` stands for it: passwords of `CREATE` and `ALTER ROLE`, user mappings and subscriptions in every notation of SQL, passwords in connection strings and URIs,',
    'SCRAM and MD5 verifiers, private keys, bearer and JSON Web tokens, fields by such names, and what PostgreSQL quotes of a statement with a password that it could not read. What nobody can tell is a secret in an ordinary',
    'value of an ordinary statement: it is in the log where `log_statement`, `log_min_duration_statement` or an error has PostgreSQL log that statement.',
    '',
  ].join('\n');
}

function table(of: Property | undefined): string[] {
  const required = new Set(of?.required);
  return [
    '| field | type | always | meaning |',
    '| --- | --- | --- | --- |',
    ...Object.entries(of?.properties ?? {}).map(
      ([name, { type = '', description = '', enum: values }]) =>
        `| \`${name}\` | ${type} | ${required.has(name) ? 'yes' : ''} | ${description}${values === undefined ? '' : `: ${values.join(', ')}`} |`,
    ),
  ];
}
