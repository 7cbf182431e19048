import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Settings that initdb works out from the locale and the time zone it is run with, and writes to postgresql.conf. They
 * belong to the database as its encoding does, so the volume keeps them: every pod starts with the same.
 */
const KEPT = ['datestyle', 'default_text_search_config', 'lc_messages', 'lc_monetary', 'lc_numeric', 'lc_time', 'log_timezone', 'timezone'];

/** From the postgresql.conf of a directory that initdb has just made. */
export function initialSettings(dataDir: string): Map<string, string> {
  const settings = new Map<string, string>();
  for (const line of readFileSync(join(dataDir, 'postgresql.conf'), 'utf8').split('\n')) {
    const match = /^(\w+)\s*=\s*(?:'((?:[^']|'')*)'|([^\s#']+))/.exec(line);
    const name = match?.[1]?.toLowerCase();
    if (name !== undefined && KEPT.includes(name)) settings.set(name, match?.[2]?.replaceAll("''", "'") ?? match?.[3] ?? '');
  }
  return settings;
}
