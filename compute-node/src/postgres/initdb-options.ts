/**
 * How a new volume begins, as the operator's ConfigMap says (initdb.json): the names are CloudNativePG's.
 */
import { join } from 'node:path';
import { textOf } from './mounted-file.ts';

/** The places where statements run once, in this order, as superuser. */
export const SQL_PLACES = ['postInitSQL', 'postInitTemplateSQL', 'postInitApplicationSQL'] as const;
export type SqlPlace = (typeof SQL_PLACES)[number];

/** Fields that become options of initdb. */
const LOCALE_FLAGS = {
  encoding: '--encoding',
  locale: '--locale',
  localeCollate: '--lc-collate',
  localeCType: '--lc-ctype',
  localeProvider: '--locale-provider',
  icuLocale: '--icu-locale',
  icuRules: '--icu-rules',
  builtinLocale: '--builtin-locale',
} as const;

export interface InitdbOptions {
  /** Of initdb: encoding and locale. */
  readonly flags: readonly string[];
  /** Texts that PostgreSQL runs, each as one query: several statements in one are one transaction. */
  readonly sql: Readonly<Record<SqlPlace, readonly string[]>>;
}

/** What is wanted cannot be done, for what it says itself or because a part of it is not there. */
export class InitdbOptionsError extends Error {
  constructor(field: string, why: string) {
    super(`spec.bootstrap.initdb.${field} ${why}`);
    this.name = 'InitdbOptionsError';
  }
}

/**
 * Reads the options and, from `sqlDirectory`, the statements that they refer to: keys of ConfigMaps and Secrets,
 * mounted as one file each. Throws {@link InitdbOptionsError} that names the field.
 */
export async function readInitdbOptions(directory: string | undefined, sqlDirectory: string | undefined): Promise<InitdbOptions> {
  const text = await textOf(directory, 'initdb.json');
  const fields = text === undefined ? {} : objectOf(text);
  const flags = flagsOf(fields);
  const sql: Record<SqlPlace, readonly string[]> = { postInitSQL: [], postInitTemplateSQL: [], postInitApplicationSQL: [] };
  for (const place of SQL_PLACES) sql[place] = [...textsOf(fields, place), ...(await referred(fields, `${place}Refs`, sqlDirectory))];
  return { flags, sql };
}

/**
 * Without a word about them, UTF-8 and the builtin provider's C.UTF-8: characters are those of Unicode, the order is
 * that of code points, and neither changes with the system's libraries. With one, initdb's own defaults, and C for what
 * is not named.
 */
function flagsOf(fields: Readonly<Record<string, unknown>>): readonly string[] {
  const given = Object.entries(LOCALE_FLAGS).flatMap(([field, flag]) => {
    const value = fields[field];
    if (value === undefined) return [];
    if (typeof value !== 'string') throw new InitdbOptionsError(field, 'must be a text');
    return [[flag, value] as const];
  });
  const named = new Map<string, string>(given);
  if (!named.has('--encoding')) named.set('--encoding', 'UTF8');
  if ([...named.keys()].every((flag) => flag === '--encoding')) {
    named.set('--locale-provider', 'builtin');
    named.set('--builtin-locale', named.get('--encoding') === 'UTF8' ? 'C.UTF-8' : 'C');
  }
  if (!named.has('--locale')) named.set('--locale', 'C');
  return [...named].map(([flag, value]) => `${flag}=${value}`);
}

async function referred(fields: Readonly<Record<string, unknown>>, field: string, directory: string | undefined): Promise<string[]> {
  const list = fields[field];
  if (!Array.isArray(list)) return [];
  const texts: string[] = [];
  for (const entry of list as readonly unknown[]) {
    const { file, from } = typeof entry === 'object' && entry !== null ? (entry as { file?: unknown; from?: unknown }) : {};
    if (typeof file !== 'string' || typeof from !== 'string') throw new InitdbOptionsError(field, 'is not what the operator writes');
    const text = directory === undefined ? undefined : await textOf(directory, join('/', file).slice(1));
    if (text === undefined) throw new InitdbOptionsError(field, `names ${from}, which is not there; make it`);
    texts.push(text);
  }
  return texts;
}

function textsOf(fields: Readonly<Record<string, unknown>>, field: string): readonly string[] {
  const list = fields[field];
  if (list === undefined) return [];
  if (!Array.isArray(list) || !list.every((text) => typeof text === 'string'))
    throw new InitdbOptionsError(field, 'must be a list of texts');
  return list;
}

function objectOf(text: string): Readonly<Record<string, unknown>> {
  const value: unknown = JSON.parse(text);
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Readonly<Record<string, unknown>>) : {};
}
