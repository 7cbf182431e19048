/**
 * Who may log in from where, and how, as the operator delivers it (its specs/settings-map.ts). Files of the settings directory, both
 * JSON lists of texts, each a line of pg_hba.conf:
 *
 *   pg_hba.json            what the manifest wants now
 *   accepted-pg_hba.json   the last that were seen in force, for a pod that starts anew while the manifest's are refused
 */
import { textOf } from '../postgres/mounted-file.ts';
import { fingerprintOf } from '../settings/settings-files.ts';

/** Lines that hold together or not at all. */
export interface AccessRules {
  /** Of the file's bytes; whoever wrote it names the lines by the same. */
  readonly fingerprint: string;
  readonly lines: readonly string[];
}

/** None of its own: passwords, from everywhere. */
export const NO_RULES: AccessRules = { fingerprint: fingerprintOf('[]'), lines: [] };

export type ReadRules =
  | { readonly kind: 'read'; readonly rules: AccessRules }
  | { readonly kind: 'malformed'; readonly fingerprint: string; readonly why: string };

export interface AccessFiles {
  wanted(): Promise<ReadRules>;
  /** Undefined when none were seen in force yet, or when they can no longer be read. */
  accepted(): Promise<AccessRules | undefined>;
}

/** Without a directory, or without the file in it, nothing is wanted. */
export function accessFiles(directory: string | undefined): AccessFiles {
  return {
    async wanted() {
      return readRules((await textOf(directory, 'pg_hba.json')) ?? '[]');
    },
    async accepted() {
      const text = await textOf(directory, 'accepted-pg_hba.json');
      const read = text === undefined ? undefined : readRules(text);
      return read?.kind === 'read' ? read.rules : undefined;
    },
  };
}

/**
 * What a line says is for PostgreSQL to judge, and was judged where the manifest came in; here, that it is one line: none can reach into
 * those that stand before and after it.
 */
export function readRules(text: string): ReadRules {
  const fingerprint = fingerprintOf(text);
  const malformed = (why: string): ReadRules => ({ kind: 'malformed', fingerprint, why });
  let lines: unknown;
  try {
    lines = JSON.parse(text);
  } catch (error) {
    return malformed(`the text is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (!Array.isArray(lines) || !lines.every((line) => typeof line === 'string')) return malformed('expected a JSON list of texts');
  const broken = lines.findIndex((line) => /[\n\r\0]/.test(line) || line.trimEnd().endsWith('\\'));
  if (broken !== -1) return malformed(`line ${broken + 1} goes on in another: write it as one`);
  return { kind: 'read', rules: { fingerprint, lines } };
}
