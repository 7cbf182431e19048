import { z } from 'zod';

/** What PostgreSQL says of each of its records. A field that it has nothing for is absent. */
const POSTGRES_RECORD = z
  .strictObject({
    at: z.iso.datetime().describe('when PostgreSQL said it; `time` is when its agent read that'),
    severity: z.string().describe('PANIC, FATAL, ERROR, WARNING, NOTICE, LOG, INFO or DEBUG, in the language of lc_messages'),
    sqlState: z.string().length(5).describe('the error code; 00000 for what is no error'),
    user: z.string().optional().describe('role of the session'),
    database: z.string().optional().describe('database of the session'),
    application: z.string().optional().describe("the session's application_name"),
    client: z.string().optional().describe('address of the client and its port, as host(port); [local] for the Unix socket'),
    pid: z.int().describe('process of PostgreSQL'),
    session: z.string().describe('PostgreSQL’s id of the session: when it began, and its process, in hex'),
    sessionLine: z.int().describe('which line of the session’s it is'),
    backend: z.string().describe('kind of process, as in pg_stat_activity.backend_type'),
    transaction: z.string().optional().describe('transaction id'),
    queryId: z.string().optional().describe('that of pg_stat_statements and of top statements'),
    detail: z.string().optional().describe('more of it'),
    hint: z.string().optional().describe('what could be done'),
    context: z.string().optional().describe('where in functions and statements it happened'),
    query: z.string().optional().describe('the statement within a function that failed'),
    location: z.string().optional().describe('where in PostgreSQL’s source, with log_error_verbosity = verbose'),
    statement: z
      .string()
      .optional()
      .describe('the statement of the session, where log_min_error_statement has it logged; 8192 characters of it'),
  })
  .describe('of lines with part postgres: a record of PostgreSQL’s own log');

const FAILURE = z
  .strictObject({
    type: z.string().describe('its class'),
    message: z.string().describe('its words, with those of its causes'),
    code: z.string().optional().describe('its code, of the operating system or our own'),
    stack: z.string().optional().describe('where in our source'),
  })
  .describe('the error that the line tells of');

/**
 * Every line that a program of kube-aurora logs: one source for what loggers write, docs/reference/logs.md and its JSON Schema. What a line has
 * beside these fields stands in `more`, so that a field means the same and is of the same type wherever it stands.
 */
export const LOG_LINE = z.strictObject({
  level: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal']).describe('how grave it is'),
  time: z.iso.datetime().describe('when, RFC 3339 in UTC with milliseconds'),
  component: z.string().describe('the program: operator, storage-daemon, compute-agent, console or local-kube'),
  cluster: z.string().optional().describe('namespace/name of the AuroraCluster that it is about'),
  instance: z.string().optional().describe('the pod that says it'),
  part: z.string().optional().describe('the part of the program; postgres: PostgreSQL itself'),
  msg: z.string().describe('what there is to say'),
  epoch: z
    .string()
    .regex(/^\d+$/)
    .optional()
    .describe('the writer’s epoch that it is about; of an agent the one that it runs in, on every line'),
  request: z
    .string()
    .optional()
    .describe(
      'what one program asked another: a switchover, by its status.switchover.startedAt, where the operator asks and the agent is asked',
    ),
  volume: z.string().optional().describe('UUID of the volume'),
  segment: z.string().optional().describe('the storage daemon that it is about'),
  peer: z.string().optional().describe('the other storage daemon'),
  scl: z.string().optional().describe('up to where the segment has all redo'),
  pid: z.int().optional().describe('the process that it is about'),
  reason: z.string().optional().describe('why, in words or as a name'),
  code: z.string().optional().describe('a typed error’s code'),
  err: FAILURE.optional(),
  postgres: POSTGRES_RECORD.optional(),
  more: z.record(z.string(), z.unknown()).optional().describe('what else belongs to it, by names of its own'),
});

export type PostgresRecord = z.infer<typeof POSTGRES_RECORD>;

/** The JSON Schema of a line. */
export function logLineJsonSchema(): object {
  return {
    ...z.toJSONSchema(LOG_LINE, { target: 'draft-2020-12' }),
    title: 'A line of the log of a program of kube-aurora',
  };
}
