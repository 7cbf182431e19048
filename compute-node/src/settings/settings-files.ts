/**
 * Where the cluster's PostgreSQL settings come from: a directory that the operator's ConfigMap is mounted at, and that
 * changes while we run. Files, all JSON:
 *
 *   parameters.json   what the manifest wants now: an object of texts
 *   accepted.json     the last set that was seen running, for a pod that starts anew while the manifest's is refused
 *   failover.json     who takes a lost writer's place, and when (election/place-settings.ts)
 *   initdb.json       how a new volume begins (postgres/initdb-options.ts)
 */
import { createHash } from 'node:crypto';
import { textOf } from '../postgres/mounted-file.ts';
import { parseParameters } from '../postgres/parameters.ts';

/** Parameters that are set together or not at all. */
export interface SettingsSet {
  /** Of the file's bytes; whoever wrote it names the set by the same. */
  readonly fingerprint: string;
  readonly parameters: ReadonlyMap<string, string>;
}

/** PostgreSQL's own values: what is left when nothing else works. */
export const NO_SETTINGS: SettingsSet = { fingerprint: fingerprintOf('{}'), parameters: new Map() };

export type ReadSettings =
  | { readonly kind: 'read'; readonly set: SettingsSet }
  /** The file says something that can be no set of parameters. */
  | { readonly kind: 'malformed'; readonly fingerprint: string; readonly why: string };

/** 16 hex digits. */
export function fingerprintOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

export interface SettingsFiles {
  wanted(): Promise<ReadSettings>;
  /** Undefined when none was seen running yet, or when it can no longer be read. */
  accepted(): Promise<SettingsSet | undefined>;
}

/** Without a directory, or without the file in it, nothing is wanted. */
export function settingsFiles(directory: string | undefined): SettingsFiles {
  return {
    async wanted() {
      return readSet((await textOf(directory, 'parameters.json')) ?? '{}');
    },
    async accepted() {
      const text = await textOf(directory, 'accepted.json');
      const read = text === undefined ? undefined : readSet(text);
      return read?.kind === 'read' ? read.set : undefined;
    },
  };
}

function readSet(text: string): ReadSettings {
  const fingerprint = fingerprintOf(text);
  try {
    return { kind: 'read', set: { fingerprint, parameters: parseParameters(text) } };
  } catch (error) {
    return { kind: 'malformed', fingerprint, why: error instanceof Error ? error.message : String(error) };
  }
}
