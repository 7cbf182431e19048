import { parseArgs } from 'node:util';
import { z } from 'zod';

/** One setting of a program: flag `--data-dir`, environment variable, what it means, and how its text is read. */
export interface Setting<T> {
  readonly env: string;
  readonly description: string;
  readonly type: z.ZodType<T, string | undefined>;
}

export type ConfigSchema = Readonly<Record<string, Setting<unknown>>>;
export type Config<S extends ConfigSchema> = { readonly [K in keyof S]: S[K] extends Setting<infer T> ? T : never };

/** Names each setting that is wrong or missing, with its flag, its variable and what was expected. */
export class ConfigError extends Error {
  constructor(problems: readonly string[]) {
    super(`configuration: ${problems.join('; ')}`);
    this.name = 'ConfigError';
  }
}

/** Readers for the texts of settings. Every one gives a message that says what is expected. */
export const setting = {
  text: () => z.string('is required').min(1, 'must not be empty'),
  optionalText: () => z.string().optional(),
  integer: (min: number, max: number, fallback: number) =>
    z
      .string()
      .default(String(fallback))
      .transform((text, context) => {
        const value = Number(text);
        if (text.trim() === '' || !Number.isInteger(value) || value < min || value > max) {
          context.addIssue({ code: 'custom', message: `must be a whole number from ${min} to ${max}, not '${text}'` });
          return z.NEVER;
        }
        return value;
      }),
  choice: <const T extends string>(values: readonly T[], fallback: T) =>
    z
      .string()
      .default(fallback)
      .transform((text, context) => {
        const value = values.find((candidate) => candidate === text);
        if (value === undefined) {
          context.addIssue({ code: 'custom', message: `must be one of ${values.join(', ')}, not '${text}'` });
          return z.NEVER;
        }
        return value;
      }),
  /** `host:port`; an empty host listens everywhere. */
  address: (fallback: string) =>
    z
      .string()
      .default(fallback)
      .refine((text) => parseAddress(text) !== undefined, {
        error: (issue) => `must be host:port with a port from 0 to 65535, not '${String(issue.input)}'`,
      }),
};

/** Splits `host:port` ([v6]:port too). Undefined when it is not one. */
export function parseAddress(text: string): { host: string; port: number } | undefined {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:]*)):(\d{1,5})$/.exec(text);
  if (match === null) return undefined;
  const port = Number(match[3]);
  if (port > 65_535) return undefined;
  const host = match[1] ?? match[2] ?? '';
  return { host: host === '' ? '0.0.0.0' : host, port };
}

function flagName(key: string): string {
  return key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/**
 * Reads a program's settings: a flag wins over its environment variable, which wins over the default.
 * Throws ConfigError that lists everything wrong at once.
 */
export function readConfig<S extends ConfigSchema>(schema: S, env: NodeJS.ProcessEnv, argv: readonly string[]): Config<S> {
  const keys = Object.keys(schema);
  const problems: string[] = [];
  const flags: Record<string, string | undefined> = {};
  try {
    const options = Object.fromEntries(keys.map((key) => [flagName(key), { type: 'string' as const }]));
    Object.assign(flags, parseArgs({ args: [...argv], options, strict: true }).values);
  } catch (error) {
    throw new ConfigError([error instanceof Error ? error.message : String(error)]);
  }
  const config: Record<string, unknown> = {};
  for (const key of keys) {
    const one = schema[key];
    if (one === undefined) continue;
    const text = flags[flagName(key)] ?? env[one.env];
    const parsed = one.type.safeParse(text === '' ? undefined : text);
    if (parsed.success) config[key] = parsed.data;
    else
      problems.push(`--${flagName(key)} (${one.env}: ${one.description}) ${parsed.error.issues.map((issue) => issue.message).join(', ')}`);
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return config as Config<S>;
}

/** The settings as a table for `--help` and the docs. */
export function describeConfig(schema: ConfigSchema): string {
  return Object.entries(schema)
    .map(([key, one]) => `  --${flagName(key)}  (${one.env})\n      ${one.description}`)
    .join('\n');
}
