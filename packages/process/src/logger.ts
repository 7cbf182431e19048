import { isSecretField, maskSecrets, readLine, REDACTED } from '@kube-aurora/log';
import { pino, type Logger, type LoggerOptions as PinoOptions } from 'pino';
import { LOG_LINE } from './log-schema.ts';

export type { Logger } from 'pino';

type Fields = Readonly<Record<string, unknown>>;

export interface LoggerOptions {
  /** Whose lines they are; the same on all of them. */
  readonly who?: { readonly cluster?: string | undefined; readonly instance?: string | undefined };
  /** What every line has as of now, where it does not say otherwise itself. */
  readonly also?: () => Fields;
  readonly level?: string;
  /** In the place of stdout. */
  readonly destination?: { write(line: string): void };
}

/**
 * A program's root logger: JSON lines as LOG_LINE says, one object an event, on stdout unless told otherwise, and text where that is a terminal;
 * level by LOG_LEVEL. What looks like a secret is in no line.
 */
export function createLogger(component: string, { who = {}, also, level, destination }: LoggerOptions = {}): Logger {
  const options: PinoOptions = {
    level: level ?? process.env['LOG_LEVEL'] ?? 'info',
    base: { component, ...present(who) },
    timestamp: pino.stdTimeFunctions.isoTime,
    // Errors are as LOG_LINE has them by then.
    serializers: { err: (error: unknown) => error },
    formatters: { level: (label) => ({ level: label }), log: inSchema },
    hooks: {
      logMethod(words, method) {
        method.apply(this, words.map((word) => (typeof word === 'string' ? maskSecrets(word) : word)) as typeof words);
      },
    },
    ...(also === undefined ? {} : { mixin: () => present(also()) }),
  };
  const target = destination ?? (process.stdout.isTTY ? terminal : undefined);
  return target === undefined ? pino(options) : pino(options, target);
}

const terminal = {
  write(text: string): void {
    const line = readLine(text);
    process.stdout.write(line === undefined ? text : `${line.time.slice(11, 23)} ${line.level.padEnd(5)} ${line.message}  ${line.rest}\n`);
  },
};

/** Fields of a line as LOG_LINE has them: what it does not know, or knows otherwise, goes into `more`. */
function inSchema(fields: Fields): Record<string, unknown> {
  const line: Record<string, unknown> = {};
  const more: Record<string, unknown> = {};
  for (const [name, given] of Object.entries(present(fields))) {
    const value = name === 'err' ? errorOf(given) : plain(given);
    const schema = Object.hasOwn(LOG_LINE.shape, name) && name !== 'more' ? LOG_LINE.shape[name as keyof typeof LOG_LINE.shape] : undefined;
    if (schema?.safeParse(value).success === true) line[name] = value;
    else more[name] = isSecretField(name) && typeof value === 'string' ? REDACTED : value;
  }
  return Object.keys(more).length === 0 ? line : { ...line, more };
}

/** As JSON has it, without what looks like a secret. */
function plain(value: unknown): unknown {
  if (typeof value === 'string') return maskSecrets(value);
  if (typeof value === 'bigint') return value.toString();
  if (value instanceof Error) return errorOf(value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null || 'toJSON' in value) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [name, isSecretField(name) && typeof inner === 'string' ? REDACTED : plain(inner)]),
  );
}

function errorOf(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { type: typeof error, message: maskSecrets(String(error)) };
  const { code } = error as { readonly code?: unknown };
  return {
    type: error.name,
    message: maskSecrets(messageOf(error)),
    ...(typeof code === 'string' || typeof code === 'number' ? { code: String(code) } : {}),
    ...(error.stack === undefined ? {} : { stack: maskSecrets(error.stack) }),
  };
}

/** With those of its causes. */
function messageOf(error: Error): string {
  return error.cause instanceof Error ? `${error.message}: ${messageOf(error.cause)}` : error.message;
}

function present(fields: Fields): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

/** For tests and tools that must stay quiet. */
export function silentLogger(): Logger {
  return pino({ level: 'silent' });
}
